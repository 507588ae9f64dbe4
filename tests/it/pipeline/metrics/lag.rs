//! Lags held against an independent measurement: rows that carry their commit time, read from the warehouse.

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tailwater_proof::program::Running;
use tailwater_servers::{PASSWORD, Proxy, USER};

use super::super::{
    http::serve,
    scene::{LIMIT, Scene, Setup},
};
use super::scrape::Scrape;

/// How far a lag may be from what a reader sees: the time between two rows, a flush, a tick, a scrape, on a busy machine.
const CLOSE: f64 = 4.0;
/// How long the lag is watched, so that one that grows is told from one that does not.
const WATCHED: Duration = Duration::from_secs(9);

fn newest(scene: &Scene) -> Result<i64> {
    let answer = scene.rows("SELECT CAST(coalesce(max(id), 0) AS TEXT) FROM {pulse}")?;
    Ok(answer.first().and_then(|row| row.parse().ok()).unwrap_or_default())
}

/// Writes a row now; returns when it was committed.
fn beat(scene: &Scene, id: i64) -> Result<Instant> {
    scene.sql(0, &format!("INSERT INTO pulse VALUES ({id})"))?;
    Ok(Instant::now())
}

/// Age of the newest commit that the warehouse shows, when all that are older are shown too.
fn age(written: &BTreeMap<i64, Instant>, shown: i64) -> f64 {
    let unseen = written.range(shown + 1..).next().map(|(_, at)| at.elapsed());
    unseen.unwrap_or_default().as_secs_f64()
}

#[test]
fn lags_are_what_a_reader_of_the_warehouse_sees() -> Result<()> {
    let mut source = None;
    let setup = Setup::new("metrics_lag").one_shard().through(|mysql| {
        let proxy = source.insert(Proxy::start(mysql.address())?);
        Ok(format!("mysql://{USER}:{PASSWORD}@127.0.0.1:{}", proxy.port()))
    })?;
    let scene = setup.start()?;
    let source = source.context("no proxy")?;
    // A lag is as old as the last sign of life: one comes every second.
    let file = scene.folder().join("tailwater.toml");
    let lines = fs::read_to_string(&file)?.replacen("[[source]]\n", "[[source]]\nheartbeat = \"1s\"\n", 1);
    fs::write(&file, lines)?;
    scene.sql(0, "CREATE TABLE pulse (id BIGINT PRIMARY KEY); INSERT INTO pulse VALUES (0)")?;
    let mut running = scene.start(&["run", "--http", "127.0.0.1:0"])?;
    let address = serve::address(&scene, &mut running)?;
    scene.becomes_equal(&["pulse"], &mut running)?;

    // Under load: what the metric says and what is seen go together; so does what was read back.
    let mut written = BTreeMap::new();
    let mut seen: Vec<f64> = Vec::new();
    let mut shown = 0;
    for id in 1..=40 {
        written.insert(id, beat(&scene, id)?);
        thread::sleep(Duration::from_millis(50));
        let now = newest(&scene)?;
        seen.extend(written.range(shown + 1..now + 1).map(|(_, at)| at.elapsed().as_secs_f64()));
        shown = now;
        let lag = Scrape::of(address)?.most("tailwater_lag_seconds", &[]).context("no lag")?;
        let truth = age(&written, newest(&scene)?);
        ensure!((lag - truth).abs() < CLOSE, "row {id}: the metric says {lag} s, a reader sees {truth} s");
    }
    scene.becomes_equal(&["pulse"], &mut running)?;
    let scrape =
        until(&scene, &mut running, address, |s| s.most("tailwater_end_to_end_seconds_count", &[]) > Some(10.0))?;
    let (sum, count) = ("tailwater_end_to_end_seconds_sum", "tailwater_end_to_end_seconds_count");
    let measured = scrape.most(sum, &[]).context("no sum")? / scrape.most(count, &[]).context("no count")?;
    let truth = seen.iter().sum::<f64>() / seen.len().max(1) as f64;
    ensure!((measured - truth).abs() < CLOSE, "read back: {measured} s, seen {truth} s");

    // Silent because nothing happens: near zero, for longer than any row would take.
    let idle = Instant::now();
    while idle.elapsed() < WATCHED {
        let lag = Scrape::of(address)?.most("tailwater_lag_seconds", &[]).context("no lag")?;
        ensure!(lag < CLOSE, "idle, and the lag is {lag} s");
        thread::sleep(Duration::from_millis(200));
    }

    // Silent because it broke, on a connection that stands: the lag grows with what a reader misses.
    source.set_stalled(true);
    let broke = beat(&scene, 1000)?;
    thread::sleep(WATCHED);
    let scrape = Scrape::of(address)?;
    let (lag, truth) =
        (scrape.most("tailwater_lag_read_seconds", &[]).context("no lag")?, broke.elapsed().as_secs_f64());
    ensure!(
        newest(&scene)? < 1000 && (lag - truth).abs() < CLOSE,
        "the metric says {lag} s, a reader misses {truth} s"
    );
    source.set_stalled(false);
    until(&scene, &mut running, address, |s| s.most("tailwater_lag_seconds", &[]) < Some(CLOSE))?;
    scene.becomes_equal(&["pulse"], &mut running)?;
    running.terminate(LIMIT)
}

/// A source that is behind tells how much, and the retention of its binlogs is the runway.
#[test]
fn what_was_not_read_is_told_in_bytes_transactions_and_time() -> Result<()> {
    let scene = Setup::new("metrics_head").one_shard().own_servers().start()?;
    scene.sql(0, "CREATE TABLE pulse (id BIGINT PRIMARY KEY); SET GLOBAL binlog_expire_logs_seconds = 7200")?;
    let mut running = scene.start(&["run", "--http", "127.0.0.1:0"])?;
    let address = serve::address(&scene, &mut running)?;
    let scrape = until(&scene, &mut running, address, |s| s.most("tailwater_source_runway_seconds", &[]).is_some())?;
    let runway = scrape.most("tailwater_source_runway_seconds", &[]).context("no runway")?;
    ensure!((7190.0..=7200.0).contains(&runway), "{runway}");
    ensure!(scrape.most("tailwater_source_retention_seconds", &[]) == Some(7200.0), "{}", scrape.text);
    let all_read = |s: &Scrape| {
        s.most("tailwater_source_behind_bytes", &[]) == Some(0.0)
            && s.most("tailwater_source_behind_transactions", &[]) == Some(0.0)
    };
    until(&scene, &mut running, address, all_read)?;
    running.terminate(LIMIT)
}

fn until(
    scene: &Scene,
    running: &mut Running,
    address: std::net::SocketAddr,
    mut done: impl FnMut(&Scrape) -> bool,
) -> Result<Scrape> {
    let mut last = Scrape::default();
    let waited = scene.wait("the figures", running, || {
        last = Scrape::of(address)?;
        Ok(done(&last))
    });
    waited.with_context(|| last.text.clone())?;
    Ok(last)
}
