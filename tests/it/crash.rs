//! Tailwater is killed (SIGKILL) again and again while its sources are written to; in the end
//! source and warehouse are equal and the log has no gap.
//!
//! `TAILWATER_SEED` repeats the statements and the waiting times of a run, though not its timing.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tailwater_proof::compare::{Table, Warehouse, check_log, compare, count_entries, newest_seq};
use tailwater_proof::program::{Program, Running};
use tailwater_proof::workload::{Counts, Load, LoadOptions, Shard, seed, tables};
use tailwater_servers::{Mysql, MysqlOptions, PASSWORD, Postgres, S3, USER};
use tokio::runtime::Runtime;

/// Kills of each process. Together more than 30 in each run of the tests.
const KILLS_OF_RUN: usize = 14;
const KILLS_OF_EACH_HALF: usize = 9;
const KILLS_ON_S3: usize = 4;
/// Longest life of a process that is killed at a random moment. Starting takes part of it, so that
/// kills hit the start, the claim and the work.
const LIFE_MAX: Duration = Duration::from_millis(2000);
/// Bound on a process' way to its first progress. It takes a second; machines may be busy.
const PROGRESS_LIMIT: Duration = Duration::from_secs(60);
/// Bound on catching up after the last kill.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(120);

#[test]
fn run_killed_at_random_moments_neither_loses_nor_doubles_rows() -> Result<()> {
    let scene = Scene::new("sqlite", Lake::Folder)?;
    let mut random = StdRng::seed_from_u64(scene.seed);
    for kill in 0..KILLS_OF_RUN {
        if kill == KILLS_OF_RUN / 2 {
            scene.alter()?;
        }
        scene.live_and_die("run", &mut random)?;
    }
    scene.finish()
}

#[test]
fn extract_and_apply_killed_apart_neither_lose_nor_double_rows() -> Result<()> {
    let scene = Scene::new("postgres", Lake::Folder)?;
    let applied = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let extract = scope.spawn(|| -> Result<()> {
            let mut random = StdRng::seed_from_u64(scene.seed);
            for kill in 0..KILLS_OF_EACH_HALF {
                if kill == KILLS_OF_EACH_HALF / 2 {
                    scene.alter()?;
                }
                scene.live_and_die("extract", &mut random)?;
            }
            // The other half makes progress only while there is something new to apply.
            let mut running = scene.program.start(&["extract"])?;
            wait("end of the kills of apply", CATCH_UP_LIMIT, || {
                ensure_running(&mut running, "extract")?;
                Ok(applied.load(Ordering::Relaxed))
            })?;
            running.terminate(CATCH_UP_LIMIT)
        });
        let apply = scope.spawn(|| -> Result<()> {
            let kills = || -> Result<()> {
                let mut random = StdRng::seed_from_u64(scene.seed + 1);
                // Without a lake there is nothing to apply.
                wait("first entries", PROGRESS_LIMIT, || Ok(scene.entries() >= scene.shards.len()))?;
                (0..KILLS_OF_EACH_HALF).try_for_each(|_| scene.live_and_die("apply", &mut random))
            };
            let killed = kills();
            applied.store(true, Ordering::Relaxed);
            killed
        });
        let halves = [extract, apply].map(|half| half.join().expect("a half panicked"));
        halves.into_iter().collect::<Result<()>>()
    })?;
    scene.finish()
}

#[test]
fn run_killed_while_the_lake_is_on_s3_neither_loses_nor_doubles_rows() -> Result<()> {
    let scene = Scene::new("sqlite", Lake::S3(S3::with_bucket("lake")?))?;
    let mut random = StdRng::seed_from_u64(scene.seed);
    for _ in 0..KILLS_ON_S3 {
        scene.live_and_die("run", &mut random)?;
    }
    scene.finish()
}

enum Lake {
    Folder,
    S3(S3),
}

/// Two shards under load, a lake, a warehouse and the program.
struct Scene {
    seed: u64,
    load: std::sync::Mutex<Option<Load>>,
    runtime: Runtime,
    shards: Vec<Shard>,
    warehouse: Warehouse,
    lake: Lake,
    program: Program,
    folder: tempfile::TempDir,
    _servers: Vec<Mysql>,
    _postgres: Option<Postgres>,
}

impl Scene {
    fn new(warehouse: &str, lake: Lake) -> Result<Self> {
        let seed = seed("TAILWATER_SEED")?;
        eprintln!("TAILWATER_SEED={seed}");
        let folder = tempfile::tempdir()?;
        let servers = [Mysql::start(MysqlOptions::default())?, Mysql::start(MysqlOptions::default())?];
        let postgres = if warehouse == "postgres" { Some(Postgres::start()?) } else { None };
        let warehouse = match &postgres {
            Some(postgres) => Warehouse::Postgres(postgres.create_database("crash")?),
            None => Warehouse::Sqlite(folder.path().join("warehouse.db")),
        };
        fs::write(folder.path().join("tailwater.toml"), configuration(&servers, &warehouse, &lake))?;
        let shards: Vec<Shard> = servers
            .iter()
            .zip(1..)
            .map(|(server, n)| Shard { name: format!("s{n}"), url: server.root_url() })
            .collect();
        let runtime = Runtime::new()?;
        let options = LoadOptions {
            seed,
            sessions: 2,
            // About what a debug build on S3 keeps up with while other tests run.
            rate: if matches!(lake, Lake::S3(_)) { 8.0 } else { 15.0 },
            moves: Some(Duration::from_millis(100)),
            truncates: Some(Duration::from_millis(2300)),
            outlives_restarts: false,
        };
        let load = runtime.block_on(Load::start(&shards, options))?;
        let mut program =
            Program::new(env!("CARGO_BIN_EXE_tailwater"), folder.path()).log_to(folder.path().join("tailwater.log"));
        if let Lake::S3(_) = &lake {
            program = program.env("AWS_ACCESS_KEY_ID", S3::ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", S3::SECRET_KEY);
        }
        Ok(Self {
            seed,
            load: std::sync::Mutex::new(Some(load)),
            runtime,
            shards,
            warehouse,
            lake,
            program,
            folder,
            _servers: servers.into(),
            _postgres: postgres,
        })
    }

    /// Starts a process and kills it: at a random moment, or soon after its work became visible.
    fn live_and_die(&self, verb: &str, random: &mut StdRng) -> Result<()> {
        self.with_load(Load::check)?;
        let mut running = self.program.start(&[verb])?;
        if random.random_bool(0.5) {
            thread::sleep(random.random_range(Duration::ZERO..LIFE_MAX));
        } else {
            let half = self.half_to_watch(verb, random);
            let (work, more) = (self.work(half)?, random.random_range(1..4));
            wait("progress", PROGRESS_LIMIT, || {
                ensure_running(&mut running, verb)?;
                Ok(self.work(half)? >= work + more)
            })
            .with_context(|| format!("`tailwater {verb}`{}", running.said()))?;
            thread::sleep(random.random_range(Duration::ZERO..LIFE_MAX / 8));
        }
        running.kill9().with_context(|| format!("`tailwater {verb}`"))
    }

    /// Whose progress a process is killed at. A merge after many kills has much to gather, above all
    /// on S3, so most lives of `run` end at an entry.
    fn half_to_watch(&self, verb: &str, random: &mut StdRng) -> &'static str {
        match (verb, &self.lake) {
            ("apply", _) => "apply",
            ("run", Lake::Folder) if random.random_bool(0.4) => "apply",
            _ => "extract",
        }
    }

    /// A number that grows while a half works: entries, or places in the warehouse.
    fn work(&self, half: &str) -> Result<i64> {
        if half == "extract" {
            return Ok(self.entries() as i64);
        }
        let orders = Table { database: "shop".to_owned(), name: "orders".to_owned(), global_key: false };
        // Not there before the first merge; locked for moments where it is SQLite.
        Ok(self.runtime.block_on(newest_seq(&self.warehouse, &orders)).ok().flatten().unwrap_or(0))
    }

    fn entries(&self) -> usize {
        count_entries(&self.lake())
    }

    fn lake(&self) -> PathBuf {
        match &self.lake {
            Lake::Folder => self.folder.path().join("lake"),
            Lake::S3(s3) => s3.bucket_folder("lake"),
        }
    }

    fn alter(&self) -> Result<()> {
        self.with_load(|load| self.runtime.block_on(load.alter()))
    }

    fn with_load(&self, act: impl FnOnce(&mut Load) -> Result<()>) -> Result<()> {
        let mut load = self.load.lock().expect("nobody panics with the load");
        act(load.as_mut().context("the load has been stopped")?).context("the load")
    }

    /// Stops the load, lets Tailwater catch up, and compares.
    fn finish(self) -> Result<()> {
        let load = self.load.lock().expect("nobody panics with the load").take().context("the load was stopped")?;
        let counts: Counts = self.runtime.block_on(load.stop())?;
        eprintln!("{counts}");
        self.program.complete(&["run", "--once"], CATCH_UP_LIMIT)?;
        let report = self.runtime.block_on(compare(&self.shards, &self.warehouse, &tables(true)))?;
        eprintln!("{report}");
        let logs = check_log(&self.lake())?;
        eprintln!("{logs:#?}");
        ensure!(report.is_equal(), "source and warehouse differ:\n{report}");
        ensure!(report.rows() > 500 && counts.moves > 0, "the load was too small to prove anything: {counts}");
        ensure!(logs.len() == self.shards.len(), "there are logs of {} shards", logs.len());
        ensure!(logs.iter().all(|log| log.unlisted == 0), "files of killed writers are left in the lake");
        Ok(())
    }
}

fn ensure_running(running: &mut Running, verb: &str) -> Result<()> {
    match running.ended()? {
        None => Ok(()),
        // Says so with the end of the log.
        Some(_) => running.kill9().with_context(|| format!("`tailwater {verb}`")),
    }
}

/// Waits until `done`.
fn wait(what: &str, limit: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !done()? {
        ensure!(Instant::now() < deadline, "no {what} within {limit:?}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn configuration(servers: &[Mysql], warehouse: &Warehouse, lake: &Lake) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    for (server, n) in servers.iter().zip(1..) {
        line(format!("[[source]]\nname = \"s{n}\"\nstart = \"earliest\""));
        line(format!("url = \"mysql://{USER}:{PASSWORD}@{}:{}\"", server.host(), server.port()));
    }
    match lake {
        Lake::Folder => line("[lake]\nurl = \"./lake\"".to_owned()),
        Lake::S3(s3) => line(format!(
            "[lake]\nurl = \"s3://lake/tw\"\nendpoint = \"{}\"\nregion = \"{}\"",
            s3.endpoint(),
            S3::REGION
        )),
    }
    line("flush_interval = \"500ms\"\n[warehouse]\ntick = \"200ms\"".to_owned());
    line(warehouse.configuration());
    line("[[table]]\nmatch = \"shop.parcels\"\nkey = \"global\"\nupdated_at = \"updated_at\"".to_owned());
    line("[[table]]\nmatch = \"shop.*\"".to_owned());
    text
}
