//! `make soak`: half an hour of load while every server that Tailwater talks to goes away now and then; then every row is
//! compared. Memory, lags and the dashboard's panels of that time are left in a folder.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use tailwater_proof::compare::{Warehouse, check_log, compare};
use tailwater_proof::lag::LagProbe;
use tailwater_proof::panels;
use tailwater_proof::program::{Program, Running};
use tailwater_proof::workload::{Load, LoadOptions, Shard, seed, tables};
use tailwater_servers::{Mysql, MysqlOptions, PASSWORD, Postgres, Prometheus, Proxy, S3, USER};
use tokio::time::{interval, sleep_until};

/// Bound on the orderly stop and on the last catching up.
const STOP_LIMIT: Duration = Duration::from_secs(300);
/// How often the warehouse is looked at for the lag.
const LOOK: Duration = Duration::from_millis(250);
/// How often memory is sampled.
const SAMPLE: Duration = Duration::from_secs(5);
/// How long the store of the lake cannot be reached each time.
const STORE_AWAY: Duration = Duration::from_secs(15);
const BUCKET: &str = "lake";
const SHARDS: usize = 3;

/// Lets Tailwater run for a long time among servers that come and go.
#[derive(Debug, Parser)]
struct Arguments {
    /// Minutes of load.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// Sessions of each shard.
    #[arg(long, default_value_t = 2)]
    sessions: u64,
    /// Transactions a second of each session, at most.
    #[arg(long, default_value_t = 15.0)]
    rate: f64,
    /// Seconds between two disturbances.
    #[arg(long, default_value_t = 150)]
    disturb: u64,
    /// Where the figures go.
    #[arg(long, default_value = "target/soak")]
    out: PathBuf,
    /// Dashboard whose panels are drawn from this run.
    #[arg(long, default_value = "deploy/grafana/overview.json")]
    dashboard: PathBuf,
    /// Folder of Prometheus' rules.
    #[arg(long, default_value = "deploy/prometheus")]
    rules: PathBuf,
    /// The program; without it the one beside this.
    #[arg(long, env = "TAILWATER_BIN")]
    binary: Option<PathBuf>,
}

/// What goes away, in turn.
#[derive(Debug, Clone, Copy)]
enum Disturbance {
    RestartSource(usize),
    KillSource(usize),
    LoseStore,
    RestartWarehouse,
    KillWarehouse,
}

impl Disturbance {
    const ALL: [Self; 7] = [
        Self::RestartSource(0),
        Self::LoseStore,
        Self::RestartWarehouse,
        Self::KillSource(1),
        Self::LoseStore,
        Self::KillWarehouse,
        Self::RestartSource(2),
    ];

    fn tell(self) -> String {
        match self {
            Self::RestartSource(n) => format!("MySQL of s{} is restarted", n + 1),
            Self::KillSource(n) => format!("MySQL of s{} is killed (SIGKILL) and started again", n + 1),
            Self::LoseStore => format!("the S3 server cannot be reached for {STORE_AWAY:?}"),
            Self::RestartWarehouse => "PostgreSQL is restarted".to_owned(),
            Self::KillWarehouse => "PostgreSQL is killed (SIGKILL) and started again".to_owned(),
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| {
        runtime.block_on(async {
            tokio::select! {
                outcome = soak(&arguments) => outcome,
                _ = tokio::signal::ctrl_c() => bail!("interrupted; everything that was started is being stopped"),
            }
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the soak failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The servers of a run.
struct World {
    sources: Vec<Mysql>,
    shards: Vec<Shard>,
    postgres: Postgres,
    s3: S3,
    store: Proxy,
    warehouse: Warehouse,
}

impl World {
    fn start() -> Result<Self> {
        let sources: Vec<Mysql> = (0..SHARDS).map(|_| Mysql::start(MysqlOptions::default())).collect::<Result<_>>()?;
        let shards = sources.iter().zip(1..).map(|(server, n)| Shard { name: format!("s{n}"), url: server.root_url() });
        let shards = shards.collect();
        let postgres = Postgres::start()?;
        let warehouse = Warehouse::Postgres(postgres.create_database("soak")?);
        let s3 = S3::with_bucket(BUCKET)?;
        let store = Proxy::start(s3.address())?;
        Ok(Self { sources, shards, postgres, s3, store, warehouse })
    }

    fn configuration(&self) -> String {
        let mut text = String::from("pipeline = \"soak\"\n");
        for (server, n) in self.sources.iter().zip(1..) {
            let url = format!("mysql://{USER}:{PASSWORD}@{}:{}", server.host(), server.port());
            let _ = writeln!(text, "[[source]]\nname = \"s{n}\"\nurl = \"{url}\"");
        }
        let _ = writeln!(
            text,
            "[lake]\nurl = \"s3://{BUCKET}\"\nendpoint = \"http://127.0.0.1:{}\"\nregion = \"{}\"\nflush_interval = \"2s\"",
            self.store.port(),
            S3::REGION
        );
        let _ = writeln!(text, "[verify]\npause = \"60s\"");
        let _ = writeln!(text, "[warehouse]\ntick = \"2s\"\n{}", self.warehouse.configuration());
        text + "[[table]]\nmatch = \"shop.*\"\n"
    }

    /// Does it, in a thread of its own: servers take seconds to stop and start.
    fn disturb(&mut self, what: Disturbance) -> Result<()> {
        match what {
            Disturbance::RestartSource(n) => self.sources[n].restart(),
            Disturbance::KillSource(n) => {
                self.sources[n].kill9();
                self.sources[n].restart()
            }
            Disturbance::LoseStore => {
                self.store.set_down(true);
                std::thread::sleep(STORE_AWAY);
                self.store.set_down(false);
                Ok(())
            }
            Disturbance::RestartWarehouse => self.postgres.restart(),
            Disturbance::KillWarehouse => {
                self.postgres.kill9();
                self.postgres.restart()
            }
        }
    }
}

/// What is measured on the way.
struct Samples {
    began: Instant,
    csv: String,
    resident: Vec<(f64, u64)>,
    events: Vec<(f64, String)>,
}

impl Samples {
    fn sample(&mut self, running: &Running) {
        let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap_or_default();
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = kilobytes.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
        let (seconds, bytes) = (self.began.elapsed().as_secs_f64(), kilobytes.unwrap_or_default() << 10);
        self.resident.push((seconds, bytes));
        let _ = writeln!(self.csv, "{seconds:.1},{bytes}");
    }

    fn event(&mut self, text: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        eprintln!("[{seconds:>5.0} s] {text}");
        self.events.push((seconds, text.to_owned()));
    }

    /// Mean resident memory of the part of the run between two fractions of it, in MiB.
    fn mean(&self, from: f64, to: f64) -> f64 {
        let end = self.resident.last().map_or(0.0, |(at, _)| *at);
        let part = self.resident.iter().filter(|(at, _)| *at >= from * end && *at <= to * end);
        let (sum, n) = part.fold((0.0, 0.0), |(sum, n), (_, bytes)| (sum + *bytes as f64, n + 1.0));
        sum / f64::max(n, 1.0) / f64::from(1 << 20)
    }

    fn most(&self) -> f64 {
        self.resident.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default() as f64 / f64::from(1 << 20)
    }
}

async fn soak(arguments: &Arguments) -> Result<()> {
    fs::create_dir_all(&arguments.out)?;
    let out = std::path::absolute(&arguments.out)?;
    let dashboard = fs::read_to_string(&arguments.dashboard).context("the dashboard cannot be read")?;
    let folder = tempfile::Builder::new().prefix("tailwater-soak-").tempdir()?;
    let mut world = World::start()?;
    let seed = seed("TAILWATER_SEED")?;
    let options = LoadOptions {
        seed,
        sessions: arguments.sessions,
        rate: arguments.rate,
        moves: None,
        truncates: None,
        outlives_restarts: true,
    };
    let mut load = Load::start(&world.shards, options).await?;
    let http = free_address()?;
    fs::write(folder.path().join("tailwater.toml"), world.configuration())?;
    let program = Program::new(binary(arguments)?, folder.path())
        .log_to(out.join("tailwater.log"))
        .env("TAILWATER_LOG_LEVEL", "info")
        .env("TAILWATER_HTTP", http.clone())
        .env("AWS_ACCESS_KEY_ID", S3::ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", S3::SECRET_KEY);
    let mut running = program.start(&["run"])?;
    let prometheus = prometheus(arguments, &http)?;
    let mut samples = Samples { began: Instant::now(), csv: String::new(), resident: Vec::new(), events: Vec::new() };
    samples.event(&format!("running (TAILWATER_SEED={seed}); Prometheus is at {}", prometheus.address()));
    let mut probe = LagProbe::new(&world.shards, world.warehouse.clone()).await?;
    let began = now();
    world = under_load(arguments, world, &mut load, &mut running, &mut probe, &mut samples).await?;

    let counts = load.stop().await?;
    samples.event(&format!("load stopped: {counts}"));
    let figures = panels::read(&prometheus, &dashboard, began, now())?;
    fs::write(out.join("panels.json"), figures)?;
    fs::write(out.join("memory.csv"), format!("seconds,resident_bytes\n{}", samples.csv))?;
    running.terminate(STOP_LIMIT)?;
    program.complete(&["run", "--once"], STOP_LIMIT)?;
    probe.look().await;
    samples.event("comparing every row and column of source and warehouse");
    let report = compare(&world.shards, &world.warehouse, &tables(false)).await?;
    let logs = check_log(&world.s3.bucket_folder(BUCKET).join("soak"))?;
    let text = summary(arguments, &samples, &counts.to_string(), probe, &report.to_string(), logs.len());
    fs::write(out.join("summary.md"), &text)?;
    eprintln!("{text}\nfigures: {}", out.display());
    ensure!(report.is_equal(), "source and warehouse differ");
    Ok(())
}

/// Load, probes, and a disturbance now and then, until the time is over.
async fn under_load(
    arguments: &Arguments,
    world: World,
    load: &mut Load,
    running: &mut Running,
    probe: &mut LagProbe,
    samples: &mut Samples,
) -> Result<World> {
    let end = tokio::time::Instant::now() + Duration::from_secs(arguments.minutes * 60);
    let period = Duration::from_secs(arguments.disturb);
    let mut disturbances = Disturbance::ALL.iter().cycle();
    let mut next = tokio::time::Instant::now() + period;
    let (mut looks, mut beats, mut rests) = (interval(LOOK), interval(Duration::from_secs(1)), interval(SAMPLE));
    let mut world = Some(world);
    let mut busy: Option<tokio::task::JoinHandle<(World, Result<()>)>> = None;
    loop {
        let over = tokio::time::Instant::now() >= end;
        if over && let Some(world) = world.take() {
            return Ok(world);
        }
        tokio::select! {
            () = sleep_until(next), if world.is_some() && next + period / 2 < end => {
                let what = *disturbances.next().unwrap_or(&Disturbance::LoseStore);
                samples.event(&what.tell());
                next += period;
                if let Some(mut taken) = world.take() {
                    busy = Some(tokio::task::spawn_blocking(move || {
                        let done = taken.disturb(what);
                        (taken, done)
                    }));
                }
            }
            done = async { match &mut busy { Some(busy) => busy.await, None => std::future::pending().await } } => {
                busy = None;
                let (back, done) = done?;
                world = Some(back);
                done?;
                samples.event("it is back");
            }
            _ = beats.tick() => probe.beat_where_possible().await,
            _ = looks.tick() => probe.look().await,
            _ = rests.tick() => samples.sample(running),
        }
        if let Some(status) = running.ended()? {
            bail!("tailwater ended by itself: {status}{}", running.said());
        }
        load.check().context("the load broke down")?;
    }
}

fn summary(
    arguments: &Arguments,
    samples: &Samples,
    counts: &str,
    probe: LagProbe,
    report: &str,
    logs: usize,
) -> String {
    let mut text = format!("{} minutes, {SHARDS} shards: {counts}.\n\n", arguments.minutes);
    let _ = writeln!(
        text,
        "Resident memory: mean {:.0} MiB in the second quarter, {:.0} MiB in the last, at most {:.0} MiB.\n",
        samples.mean(0.25, 0.5),
        samples.mean(0.75, 1.0),
        samples.most()
    );
    let _ = writeln!(text, "| second | what happened |\n| --- | --- |");
    for (at, what) in &samples.events {
        let _ = writeln!(text, "| {at:.0} | {what} |");
    }
    let (lags, unseen) = probe.finish();
    let _ = writeln!(
        text,
        "\n| shard | probes | half below | 95 of 100 below | greatest |\n| --- | --- | --- | --- | --- |"
    );
    for (shard, lag) in lags {
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        let _ = writeln!(
            text,
            "| {shard} | {} | {} | {} | {} |",
            lag.rows,
            seconds(lag.median),
            seconds(lag.p95),
            seconds(lag.max)
        );
    }
    let _ = writeln!(text, "\n{unseen} probes never arrived; {logs} logs without a gap.\n\n```\n{report}\n```");
    text
}

/// A Prometheus with the rules that the dashboard builds on.
fn prometheus(arguments: &Arguments, http: &str) -> Result<Prometheus> {
    let rules = std::path::absolute(&arguments.rules)?;
    Prometheus::start(&format!(
        "global: {{ scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 5s }}\nrule_files: ['{}/*.rules.yml']\n\
         scrape_configs:\n- job_name: tailwater\n  static_configs:\n  - targets: ['{http}']\n",
        rules.display()
    ))
}

fn binary(arguments: &Arguments) -> Result<PathBuf> {
    let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("tailwater"));
    let path = arguments.binary.clone().map_or_else(beside, Ok)?;
    let path = std::path::absolute(path)?;
    ensure!(path.is_file(), "there is no program {}: build it first", Path::new(&path).display());
    Ok(path)
}

/// An address that nothing listens at now.
fn free_address() -> Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Seconds since the epoch.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
