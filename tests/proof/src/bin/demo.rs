//! `make demo`: shards under load, copied for a minute while a table changes and a row moves, then
//! compared with the warehouse row for row.

use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use tailwater_proof::compare::{Warehouse, check_log, compare};
use tailwater_proof::lag::LagProbe;
use tailwater_proof::program::{Program, Running};
use tailwater_proof::workload::{Load, LoadOptions, Move, Shard, move_parcel, seed, tables};
use tailwater_redshift::{Loader, Options, Redshift};
use tailwater_servers::{Mysql, MysqlOptions, PASSWORD, Postgres, S3, USER};
use tokio::time::{interval, sleep_until};

/// Bound on the orderly stop and on the last catching up.
const STOP_LIMIT: Duration = Duration::from_secs(120);
/// How often the warehouse is looked at for the lag.
const LOOK: Duration = Duration::from_millis(200);
/// The bucket of a lake that is not in a folder.
const BUCKET: &str = "lake";
/// The parcel that is moved; the load has positive ids only.
const PARCEL: i64 = -1;

/// Shows Tailwater at work on real servers.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seconds of load.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// MySQL servers.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(2..=16))]
    shards: u64,
    /// Sessions of each shard.
    #[arg(long, default_value_t = 3)]
    sessions: u64,
    /// Transactions a second of each session, at most.
    #[arg(long, default_value_t = 25.0)]
    rate: f64,
    /// Where the copy goes.
    #[arg(long, value_enum, default_value_t = Kind::Sqlite)]
    warehouse: Kind,
    /// Keep the lake and the warehouse, and say where they are.
    #[arg(long)]
    keep: bool,
    /// The program; without it the one beside this.
    #[arg(long, env = "TAILWATER_BIN")]
    binary: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Sqlite,
    Postgres,
    /// A stand-in of Amazon Redshift, with the lake on a server of the S3 protocol.
    Redshift,
}

/// Where the copy goes in this run.
enum Place {
    Sqlite,
    Postgres(Postgres),
    Redshift { server: Box<Redshift>, s3: S3 },
}

impl Place {
    fn start(kind: Kind) -> Result<Self> {
        Ok(match kind {
            Kind::Sqlite => Self::Sqlite,
            Kind::Postgres => Self::Postgres(Postgres::start()?),
            Kind::Redshift => {
                let s3 = S3::with_bucket(BUCKET)?;
                let loader = Loader::new(s3.endpoint(), S3::ACCESS_KEY, S3::SECRET_KEY);
                let server = Redshift::start(Options { loader, ..Options::default() })?;
                Self::Redshift { server: Box::new(server), s3 }
            }
        })
    }

    fn warehouse(&self, folder: &Path) -> Result<Warehouse> {
        Ok(match self {
            Self::Sqlite => Warehouse::Sqlite(folder.join("warehouse.db")),
            Self::Postgres(server) => Warehouse::Postgres(server.create_database("demo")?),
            Self::Redshift { server, .. } => Warehouse::Redshift(server.create_database("demo")?),
        })
    }

    /// The folder that the lake lies in.
    fn lake(&self, folder: &Path) -> PathBuf {
        match self {
            Self::Redshift { s3, .. } => s3.bucket_folder(BUCKET),
            Self::Sqlite | Self::Postgres(_) => folder.join("lake"),
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| {
        runtime.block_on(async {
            tokio::select! {
                outcome = demo(&arguments) => outcome,
                _ = tokio::signal::ctrl_c() => bail!("interrupted; everything that was started is being stopped"),
            }
        })
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says what happens, on a line of its own even while a progress line is on the screen.
fn say(started: Instant, text: &str) {
    let clear = if stderr().is_terminal() { "\r\x1b[2K" } else { "" };
    eprintln!("{clear}[{:>3} s] {text}", started.elapsed().as_secs());
}

async fn demo(arguments: &Arguments) -> Result<bool> {
    let started = Instant::now();
    let binary = binary(arguments)?;
    let mut folder = tempfile::Builder::new().prefix("tailwater-demo-").tempdir()?;
    folder.disable_cleanup(arguments.keep);

    say(started, &format!("starting {} MySQL servers", arguments.shards));
    let (servers, shards) = shards(arguments.shards)?;
    let place = Place::start(arguments.warehouse)?;
    let warehouse = place.warehouse(folder.path())?;
    let seed = seed("TAILWATER_SEED")?;
    say(started, &format!("creating the shop on each and writing to it (TAILWATER_SEED={seed})"));
    let options = LoadOptions {
        seed,
        sessions: arguments.sessions,
        rate: arguments.rate,
        moves: None,
        truncates: Some(Duration::from_secs(arguments.seconds / 3 + 1)),
        outlives_restarts: false,
    };
    let mut load = Load::start(&shards, options).await?;
    let mut parcel = Parcel::insert(&shards).await?;

    let (program, command) = prepared(binary, folder.path(), &servers, &place, &warehouse)?;
    say(started, &format!("$ tailwater {}", command.join(" ").replace(PASSWORD, "***")));
    let mut running = program.start(&command)?;
    let mut probe = LagProbe::new(&shards, warehouse.clone()).await?;
    under_load(started, arguments, &mut load, &mut parcel, &mut running, &mut probe).await?;

    let counts = load.stop().await?;
    say(started, &format!("load stopped: {counts}"));
    say(started, "stopping tailwater (SIGTERM); then `run --once` brings over what is left");
    running.terminate(STOP_LIMIT)?;
    let mut once = command;
    once.push("--once".to_owned());
    program.complete(&once, STOP_LIMIT)?;
    probe.look().await;

    say(started, "comparing every row and column of source and warehouse\n");
    let report = compare(&shards, &warehouse, &tables(false)).await?;
    eprintln!("{report}");
    for log in check_log(&place.lake(folder.path()))? {
        eprintln!(
            "log of {}: {} entries without a gap, {} files, {} rows",
            log.shard, log.entries, log.files, log.rows
        );
    }
    print_lags(probe);
    if arguments.keep {
        eprintln!("kept: {}", folder.path().display());
    }
    if report.is_equal() {
        eprintln!("\n{} rows on {} shards: source and warehouse are equal.", report.rows(), shards.len());
    } else {
        eprintln!("\nsource and warehouse DIFFER.");
    }
    Ok(report.is_equal())
}

/// The minute itself: pulses, the ALTER half way, then the move.
async fn under_load(
    started: Instant,
    arguments: &Arguments,
    load: &mut Load,
    parcel: &mut Parcel,
    running: &mut Running,
    probe: &mut LagProbe,
) -> Result<()> {
    let length = Duration::from_secs(arguments.seconds);
    let begin = tokio::time::Instant::now();
    let (mut altered, mut moved) = (false, false);
    let mut looks = interval(LOOK);
    let mut beats = interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = sleep_until(begin + length) => return Ok(()),
            _ = beats.tick() => probe.beat().await?,
            _ = looks.tick() => probe.look().await,
        }
        if let Some(status) = running.ended()? {
            bail!("tailwater ended by itself: {status}");
        }
        if !altered && begin.elapsed() > length / 2 {
            altered = true;
            say(started, "ALTER TABLE shop.orders ADD COLUMN priority, channel (with defaults) on each shard");
            load.alter().await?;
        }
        if !moved && begin.elapsed() > length * 2 / 3 {
            moved = true;
            parcel.travel().await?;
            say(started, "moved the row shop.parcels(-1) from s1 to s2: inserted there, then deleted here");
        }
        load.check().context("the load broke down")?;
    }
}

fn binary(arguments: &Arguments) -> Result<PathBuf> {
    let binary = match &arguments.binary {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("tailwater"),
    };
    std::path::absolute(&binary)
        .ok()
        .filter(|path| path.is_file())
        .with_context(|| format!("there is no program {}: build it first", Path::new(&binary).display()))
}

fn shards(count: u64) -> Result<(Vec<Mysql>, Vec<Shard>)> {
    let servers: Vec<Mysql> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..count).map(|_| scope.spawn(|| Mysql::start(MysqlOptions::default()))).collect();
        starts
            .into_iter()
            .map(|start| start.join().map_err(|_| anyhow::anyhow!("a start panicked"))?)
            .collect::<Result<_>>()
    })?;
    let shards = servers.iter().zip(1..).map(|(server, n)| Shard { name: format!("s{n}"), url: server.root_url() });
    let shards = shards.collect();
    Ok((servers, shards))
}

/// The program in its surroundings and the words that it is started with: the short form where that says everything, and
/// a configuration file for Redshift.
fn prepared(
    binary: PathBuf,
    folder: &Path,
    servers: &[Mysql],
    place: &Place,
    warehouse: &Warehouse,
) -> Result<(Program, Vec<String>)> {
    let program = Program::new(binary, folder).serving();
    let mut words = vec!["run".to_owned()];
    let sources: Vec<String> =
        servers.iter().map(|server| format!("mysql://{USER}:{PASSWORD}@{}:{}", server.host(), server.port())).collect();
    let address = match (place, warehouse) {
        (Place::Redshift { s3, .. }, _) => {
            std::fs::write(folder.join("tailwater.toml"), configuration(&sources, s3, warehouse))?;
            words.extend(["--config", "tailwater.toml"].map(str::to_owned));
            let keys = [("AWS_ACCESS_KEY_ID", S3::ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", S3::SECRET_KEY)];
            return Ok((keys.into_iter().fold(program, |program, (name, key)| program.env(name, key)), words));
        }
        (_, Warehouse::Postgres(url)) => url.clone(),
        _ => "sqlite:warehouse.db".to_owned(),
    };
    for (source, n) in sources.iter().zip(1..) {
        words.push("--source".to_owned());
        words.push(format!("s{n}={source}"));
    }
    words.extend(
        ["--tables", "shop.*", "--lake", "./lake", "--warehouse", &address, "--start", "earliest"].map(str::to_owned),
    );
    Ok((program, words))
}

/// Short intervals, so that a minute shows many ticks; on a cluster each costs seconds and money.
fn configuration(sources: &[String], s3: &S3, warehouse: &Warehouse) -> String {
    let mut text = String::new();
    for (source, n) in sources.iter().zip(1..) {
        text += &format!("[[source]]\nname = \"s{n}\"\nurl = \"{source}\"\nstart = \"earliest\"\n\n");
    }
    text += &format!(
        "[lake]\nurl = \"s3://{BUCKET}\"\nendpoint = \"{}\"\nregion = \"{}\"\nflush_interval = \"2s\"\n\n",
        s3.endpoint(),
        S3::REGION
    );
    text += &format!("[warehouse]\ntick = \"2s\"\n{}\n\n", warehouse.configuration());
    text + "[[table]]\nmatch = \"shop.*\"\n"
}

/// The row that moves.
struct Parcel {
    from: Conn,
    to: Conn,
}

impl Parcel {
    async fn insert(shards: &[Shard]) -> Result<Self> {
        let [from, to, ..] = shards else { bail!("a move needs two shards") };
        let mut from = Conn::new(Opts::from_url(&from.url)?).await?;
        let to = Conn::new(Opts::from_url(&to.url)?).await?;
        from.query_drop(format!("INSERT INTO shop.parcels VALUES ({PARCEL}, 'travels', 500, NOW(6))")).await?;
        Ok(Self { from, to })
    }

    async fn travel(&mut self) -> Result<()> {
        let how = Move { insert_first: true, clock_seconds: 1, given_up: false };
        if !move_parcel(&mut self.from, &mut self.to, PARCEL, how).await? {
            bail!("the parcel is gone");
        }
        Ok(())
    }
}

fn print_lags(probe: LagProbe) {
    let (lags, unseen) = probe.finish();
    eprintln!("\nlag from the commit on the shard to the row in the warehouse, a probe each second:");
    for (shard, lag) in lags {
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        let (median, p95, max) = (seconds(lag.median), seconds(lag.p95), seconds(lag.max));
        eprintln!("  {shard}: median {median}, 95 of 100 below {p95}, greatest {max} ({} probes)", lag.rows);
    }
    if unseen > 0 {
        eprintln!("  {unseen} probes never arrived");
    }
}
