//! What being watched costs: processor time of `/metrics` and `/api/status` over a real connection, in a process of 64 shards
//! with 500 tables each, all of them known, merged and compared, and with a full hour of curves.
//!
//! The figure that matters is the share of one core that a scrape every 15 s and a page that is open all day take. Run with
//! `cargo bench --bench http`.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use tailwater::{
    config::{Http, Listen},
    http::{Access, Bound, Site},
    live::{POINT_SECONDS, POINTS, Phase, Recent},
    metrics::Metrics,
    model::{Catalog, Known, OpCounts, Origin, Position, Shard, TableOutcome, Target, VerifiedTable, VerifiedThrough},
};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SHARDS: usize = 64;
const TABLES: usize = 500;
const REQUESTS: u32 = 20;

/// Seconds between two scrapes of a usual Prometheus, and between two questions of the page.
const SCRAPE_SECONDS: f64 = 15.0;
const PAGE_SECONDS: f64 = 3.0;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

/// Everything that a process of that size remembers.
fn fill(metrics: &Metrics) {
    let live = metrics.live();
    let targets: Vec<Target> = (0..TABLES).map(|n| Target::new(format!("shop.table_with_a_name_{n:03}"))).collect();
    for n in 0..SHARDS {
        let shard = Shard::new(format!("shop-{n:02}"));
        let mut catalog = Catalog::default();
        for (t, target) in targets.iter().enumerate() {
            let origin = Origin::new(&shard, "shop", format!("table_with_a_name_{t:03}"));
            let parked = (t == 7 && n == 3).then(|| "the table has no primary key".to_owned());
            let mut found = VerifiedTable::new(&origin, target, TableOutcome::Equal);
            found.through = Some(VerifiedThrough { committed_at: Some(now()), ..VerifiedThrough::default() });
            metrics.verified(&origin, &found);
            let known = Known {
                target: target.clone(),
                schema: None,
                parked,
                needs_snapshot: None,
                snapshot: None,
                appends: false,
            };
            catalog.origins.insert(origin, known);
        }
        let set = format!("3e11fa47-71ca-11e1-9e33-c80aa94295{n:02}:1-123456789");
        let (state, figures) = (live.shard(&shard), metrics.shard(&shard));
        state.expect();
        state.claimed(4711, &Position { gtid_set: Some(set), ..Position::default() }, &catalog);
        state.enter(Phase::Running);
        figures.connected(true);
        figures.read(100, 1_000_000, OpCounts { i: 5000, u: 5000, d: 100, s: 0 });
        figures.read_up_to(now());
        figures.stored(500, 10_000, 100_000, now());
        figures.applied("main", 10, 10_000, now());
    }
    for target in &targets {
        live.applied(target, 123_456);
        metrics.target(target).applied(OpCounts { i: 5000, u: 5000, d: 100, s: 0 });
    }
    live.group("main").enter(Phase::Running);
}

/// Processor time of the whole process in seconds; elsewhere than on Linux the clock has to do.
fn cpu_seconds(start: Instant) -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of = |path: std::path::PathBuf| {
        std::fs::read_to_string(path).ok().and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok())
    };
    let times: Vec<f64> = threads.filter_map(|thread| of(thread.path().join("schedstat"))).collect();
    if times.is_empty() { start.elapsed().as_secs_f64() } else { times.iter().sum::<f64>() / 1e9 }
}

/// Bytes of the answer.
fn ask(at: SocketAddr, path: &str, headers: &str) -> usize {
    let mut stream = TcpStream::connect(at).expect("connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answer");
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer[..answer.len().min(300)]));
    answer.len()
}

/// Prints what a request costs; the share of a core that it takes, in hundredths.
fn measure(name: &str, at: SocketAddr, path: &str, headers: &str, every: f64) -> f64 {
    ask(at, path, headers);
    let start = Instant::now();
    let before = cpu_seconds(start);
    let bytes = (0..REQUESTS).map(|_| ask(at, path, headers)).max().unwrap_or_default();
    let seconds = (cpu_seconds(start) - before) / f64::from(REQUESTS);
    let share = seconds / every * 100.0;
    println!(
        "{name:<34}{bytes:>10} bytes {:>8.2} ms of processor  {share:.3} % of a core every {every} s",
        seconds * 1e3
    );
    share
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    let metrics = Arc::new(Metrics::new());
    fill(&metrics);
    let config = Http { listen: Some(Listen::At(SocketAddr::from(([127, 0, 0, 1], 0)))), ..Http::default() };
    let (serving, at, since) = runtime.block_on(async {
        let port = Bound::open(&config).await.expect("port").expect("a port");
        let (at, access) = (port.address(), Access::new(None, port.address()));
        let site = Arc::new(Site::new("shop", &config, access, Arc::clone(&metrics), Arc::new(Recent::default())));
        let mut figures = metrics.snapshot(now());
        let step = (POINT_SECONDS * 1_000_000) as i64;
        figures.at -= step * POINTS as i64;
        for _ in 0..POINTS {
            figures.at += step;
            figures.shards.iter_mut().for_each(|shard| shard.rows_read += 1234);
            site.look(figures.clone());
        }
        (port.serve(site), at, figures.at - step)
    });
    println!("{SHARDS} shards, {TABLES} tables in each");
    const GZIP: &str = "Accept-Encoding: gzip\r\n";
    let page = format!("/api/status?since={since}");
    measure("/metrics", at, "/metrics", "", SCRAPE_SECONDS);
    let scraped = measure("/metrics, compressed", at, "/metrics", GZIP, SCRAPE_SECONDS);
    let shown = measure("/api/status, as the page asks", at, &page, GZIP, PAGE_SECONDS);
    measure("/api/status, with the whole hour", at, "/api/status", GZIP, 3600.0);
    measure("/readyz", at, "/readyz", "", 10.0);
    println!("one Prometheus and one open page: {:.3} % of a core", scraped + shown);
    runtime.block_on(serving.end());
}
