//! Stopping and going on: by schedule, by signal, by a cut network, by a store that fails, and by a second process.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tailwater::lake::{Directory, LogWriter, OpenOptions, SystemClock, WriterId};
use tailwater::model::{Digest, Shard};
use tailwater::warehouse::sqlite::{Durability, Sqlite};
use tailwater::warehouse::{Claim, Warehouse as _};
use tailwater_servers::{Proxy, S3Fault};
use tokio::runtime::Runtime;

use super::scene::{Engine, LIMIT, Scene, Setup};

/// Exit code of a process whose shard or group belongs to another.
const FENCED: i32 = 3;

const TABLE: &str = "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(60));";
const ROWS: &str = "INSERT INTO t (v) VALUES ('a'), ('b'), ('c'); UPDATE t SET v = CONCAT(v, '.') WHERE id % 2 = 0 AND LENGTH(v) < 50; \
                    DELETE FROM t WHERE id % 7 = 0;";

/// Rest of a load between two rounds.
const REST: Duration = Duration::from_millis(50);

/// Data files below a folder.
fn files(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for item in fs::read_dir(folder).with_context(|| format!("no folder {}", folder.display()))? {
        let item = item?;
        count += match item.file_type()?.is_dir() {
            true => files(&item.path())?,
            false => usize::from(item.path().extension().is_some_and(|e| e == "parquet")),
        };
    }
    Ok(count)
}

/// Writes to both shards until dropped.
struct Load<'a> {
    stop: Arc<AtomicBool>,
    thread: Option<thread::ScopedJoinHandle<'a, Result<u64>>>,
}

impl<'a> Load<'a> {
    fn start(scope: &'a thread::Scope<'a, '_>, scene: &'a Scene) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = scope.spawn(move || {
            let mut rounds = 0;
            while !stopped.load(Ordering::Relaxed) {
                scene.sql_all(ROWS)?;
                rounds += 1;
                thread::sleep(REST);
            }
            Ok(rounds)
        });
        Self { stop, thread: Some(thread) }
    }

    fn end(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().context("ended twice")?.join().expect("the load panicked")
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        // A failed test must not wait for it for ever.
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_second_run_applies_nothing_again() -> Result<()> {
    for engine in Engine::ALL {
        let scene = Setup::new("twice").to(engine).start()?;
        scene.sql_all(&format!("{TABLE} {ROWS} {ROWS}"))?;
        scene.once()?;
        scene.equal(&["t"])?;
        let query = "SELECT CAST(MAX(_tw_seq) AS TEXT) || ' ' || CAST(SUM(_tw_seq % 1000) AS TEXT) || ' ' || CAST(COUNT(*) AS TEXT) FROM {t}";
        let (rows, stored) = (scene.rows(query)?, files(&scene.lake())?);
        scene.once()?;
        ensure!(rows == scene.rows(query)? && stored == files(&scene.lake())?, "the second run did something");
        // One half at a time.
        scene.sql_all(ROWS)?;
        scene.complete(&["extract", "--once"])?;
        ensure!(rows == scene.rows(query)? && stored < files(&scene.lake())?, "extract did not store, or applied");
        scene.complete(&["apply", "--once"])?;
        scene.equal(&["t"])?;
        scene.complete(&["apply", "--once"])?;
        scene.equal(&["t"])?;
        scene.log_is_whole()?;
    }
    Ok(())
}

#[test]
fn a_stop_signal_drains_and_the_next_run_goes_on() -> Result<()> {
    for engine in Engine::ALL {
        let scene = Setup::new("signals").to(engine).start()?;
        scene.sql_all(&format!("{TABLE} {ROWS}"))?;
        thread::scope(|scope| -> Result<()> {
            let load = Load::start(scope, &scene);
            for _ in 0..3 {
                let entries = files(&scene.lake()).unwrap_or(0);
                let mut running = scene.start(&["run"])?;
                scene.wait("files", &mut running, || Ok(files(&scene.lake()).unwrap_or(0) > entries + 2))?;
                running.terminate(LIMIT)?;
            }
            load.end()?;
            Ok(())
        })?;
        scene.once()?;
        scene.equal(&["t"])?;
        scene.log_is_whole()?;
    }
    Ok(())
}

/// Another machine's writer commits to the log: this one waits, sees it move and refuses.
#[test]
fn an_extractor_refuses_a_log_that_moves_under_another() -> Result<()> {
    let scene = Setup::new("busy").one_shard().start()?;
    scene.sql(0, &format!("{TABLE} {ROWS}"))?;
    scene.once()?;
    let runtime = Runtime::new()?;
    let claim = || {
        let options = OpenOptions {
            writer: WriterId { name: "elsewhere:busy".to_owned(), nonce: 7 },
            take_over: true,
            config: Digest::of(b"another configuration"),
            watch: OpenOptions::WATCH,
        };
        let store = Arc::new(Directory::open(scene.lake().join(&scene.name))?);
        let shard = Shard::new("s1");
        runtime.block_on(LogWriter::open(store, Arc::new(SystemClock::new()), shard, options)).context("the claim")
    };
    claim()?;
    let before = scene.log()?.len();
    let mut refused = scene.start(&["extract", "--once"])?;
    let status = loop {
        if let Some(status) = refused.ended()? {
            break status;
        }
        claim()?;
        thread::sleep(Duration::from_millis(200));
    };
    let said = scene.log()?.split_off(before);
    ensure!(status.code() == Some(FENCED), "{status}:\n{said}");
    ensure!(said.contains("elsewhere:busy") && said.contains("--take-over"), "{said}");
    // The operator has stopped the other and says so.
    let other = claim()?;
    scene.sql(0, ROWS)?;
    scene.complete(&["run", "--once", "--take-over"])?;
    scene.equal(&["t"])?;
    let late = runtime.block_on(other.release());
    ensure!(late.is_err(), "a fenced writer committed");
    scene.log_is_whole()
}

/// Two processes of one machine: the second is a restart to the log, and the first learns that it is fenced.
#[test]
fn a_process_that_was_replaced_stops_with_its_own_code() -> Result<()> {
    let scene = Setup::new("fenced").start()?;
    scene.sql_all(&format!("{TABLE} {ROWS}"))?;
    let mut first = scene.start(&["extract"])?;
    scene.wait("files", &mut first, || Ok(files(&scene.lake()).unwrap_or(0) >= 2))?;
    scene.complete(&["extract", "--once", "--take-over"])?;
    scene.sql_all(ROWS)?;
    let status = first.wait(LIMIT)?;
    let said = scene.log()?;
    ensure!(status.code() == Some(FENCED), "{status}:\n{said}");
    // Whichever is first: the server replaces the older connection of one replica, the log refuses the older writer.
    let refused = said.contains("only one process may extract a shard")
        || said.contains("follows the source as the same replica");
    ensure!(refused, "{said}");
    scene.once()?;
    scene.equal(&["t"])?;
    scene.log_is_whole()
}

/// Another machine's applier holds the group and is alive: this one waits for its silence, and refuses.
#[test]
fn an_applier_refuses_a_group_that_another_applies() -> Result<()> {
    let scene = Setup::new("appliers").one_shard().start()?;
    scene.sql(0, &format!("{TABLE} {ROWS}"))?;
    scene.once()?;
    let runtime = Runtime::new()?;
    let warehouse = Sqlite::new(scene.folder().join("warehouse.db"), Durability::Full);
    let hold = || {
        let claim = Claim {
            group: format!("{}/main", scene.name),
            writer: "elsewhere:appliers/00000007".to_owned(),
            quiet: Duration::ZERO,
        };
        runtime.block_on(warehouse.open_group(&claim)).context("the other's claim")
    };
    hold()?;
    let before = scene.log()?.len();
    let mut refused = scene.start(&["apply", "--once"])?;
    let status = loop {
        if let Some(status) = refused.ended()? {
            break status;
        }
        hold()?;
        thread::sleep(Duration::from_millis(500));
    };
    let said = scene.log()?.split_off(before);
    ensure!(status.code() == Some(FENCED), "{status}:\n{said}");
    ensure!(said.contains("is being applied by elsewhere:appliers") && said.contains("--take-over"), "{said}");
    scene.sql(0, ROWS)?;
    scene.complete(&["extract", "--once"])?;
    scene.complete(&["apply", "--once", "--take-over"])?;
    scene.equal(&["t"])
}

/// A second applier on the same machine is a restart; the first finds out at its next merge and stops.
#[test]
fn an_applier_that_was_replaced_stops_with_its_own_code() -> Result<()> {
    for engine in Engine::ALL {
        let scene = Setup::new("replaced").to(engine).start()?;
        scene.sql_all(&format!("{TABLE} {ROWS}"))?;
        scene.complete(&["extract", "--once"])?;
        let mut first = scene.start(&["apply"])?;
        scene.becomes_equal(&["t"], &mut first)?;
        scene.complete(&["apply", "--once"])?;
        scene.sql_all(ROWS)?;
        scene.complete(&["extract", "--once"])?;
        let status = first.wait(LIMIT)?;
        let said = scene.log()?;
        ensure!(status.code() == Some(FENCED), "{status}:\n{said}");
        ensure!(said.contains("was taken over by"), "{said}");
        scene.complete(&["apply", "--once"])?;
        scene.equal(&["t"])?;
    }
    Ok(())
}

#[test]
fn a_connection_cut_within_transactions_loses_and_doubles_nothing() -> Result<()> {
    let mut proxy = None;
    let scene = Setup::new("cuts")
        .one_shard()
        .through(|server| {
            let new = Proxy::start(server.address())?;
            let url = new.url(&server.url());
            proxy = Some(new);
            Ok(url)
        })?
        .start()?;
    let proxy = proxy.context("no proxy")?;
    scene.sql(0, &format!("{TABLE} CREATE TABLE wide (id INT PRIMARY KEY, v VARCHAR(1000)); {ROWS}"))?;
    let mut running = scene.start(&["run"])?;
    scene.becomes_equal(&["t"], &mut running)?;
    for round in 0..5u64 {
        // Within the events of the next transaction: it is some 400 kB.
        proxy.cut_after(20_000 + round * 70_000);
        scene.sql(
            0,
            &format!(
                "BEGIN; INSERT INTO wide WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 400)
                    SELECT {round} * 1000 + i, REPEAT('w', 1000) FROM n; UPDATE wide SET v = {round} WHERE id % 3 = 0; {ROWS} COMMIT;"
            ),
        )?;
        scene.wait("the cut", &mut running, || Ok(!proxy.is_armed()))?;
        scene.becomes_equal(&["t", "wide"], &mut running)?;
    }
    // A pause of the network, and an end while it is down.
    proxy.set_down(true);
    scene.sql(0, ROWS)?;
    proxy.set_down(false);
    scene.becomes_equal(&["t", "wide"], &mut running)?;
    running.terminate(LIMIT)?;
    scene.log_is_whole()
}

/// Longer than any request is waited for.
const UNANSWERED: Duration = Duration::from_secs(60);

#[test]
fn a_store_that_fails_and_loses_answers_loses_no_rows() -> Result<()> {
    let scene = Setup::new("stores").on_s3().lake("request_timeout = \"1s\"").start()?;
    scene.sql_all(&format!("{TABLE} {ROWS}"))?;
    let mut running = scene.start(&["run"])?;
    scene.becomes_equal(&["t"], &mut running)?;
    for fault in [
        S3Fault::answer(503).times(4).on("PUT", "/data/"),
        S3Fault::answer(503).times(4).on("PUT", "/log/"),
        S3Fault::answer(500).times(3).on("GET", ""),
        S3Fault::lose_answer().times(2).on("PUT", "/log/"),
        S3Fault::lose_answer().times(2).on("PUT", "/data/"),
        S3Fault::lose_request().times(2).on("PUT", "/log/"),
        S3Fault::lose_answer().times(3).on("GET", ""),
        S3Fault::delay(UNANSWERED).times(2).on("PUT", "/data/"),
        S3Fault::delay(UNANSWERED).times(2).on("PUT", "/log/"),
        S3Fault::delay(UNANSWERED).times(2).on("GET", "/log/"),
    ] {
        let s3 = scene.s3()?;
        s3.inject(fault);
        scene.sql_all(ROWS)?;
        scene.wait("the faults", &mut running, || Ok(s3.pending_faults() == 0))?;
        scene.becomes_equal(&["t"], &mut running)?;
    }
    running.terminate(LIMIT)?;
    scene.once()?;
    scene.equal(&["t"])?;
    scene.log_is_whole()
}
