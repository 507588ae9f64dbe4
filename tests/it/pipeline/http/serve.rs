//! What the port answers, while the program copies from real servers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use serde_json::Value;
use tailwater_proof::program::Running;

use super::super::scene::{LIMIT, Scene, Setup};
use super::client::{ask, get};

/// Where a program said that it serves.
pub(in crate::pipeline) fn address(scene: &Scene, running: &mut Running) -> Result<SocketAddr> {
    let mut found = None;
    scene.wait("an address", running, || {
        let log = scene.log()?;
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        found = lines.filter_map(|line| line["address"].as_str().map(str::to_owned)).next_back();
        Ok(found.is_some())
    })?;
    Ok(found.context("no address")?.parse()?)
}

#[test]
fn a_run_is_watched_from_its_start_to_its_end() -> Result<()> {
    let scene = Setup::new("http_run").start()?;
    scene.sql_all("CREATE TABLE t (id INT PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 1), (2, 2)")?;
    let mut running = scene.start(&["run", "--http", "127.0.0.1:0"])?;
    let at = address(&scene, &mut running)?;
    scene.wait("readiness", &mut running, || Ok(get(at, "/readyz")?.status == 200))?;
    scene.becomes_equal(&["t"], &mut running)?;

    let alive = get(at, "/healthz")?;
    ensure!((alive.status, alive.text().as_str()) == (200, "ok\n"), "{alive:?}");
    let ready = ask(at, "GET", "/readyz", &["Accept: application/json"])?;
    ensure!(ready.header("content-type") == "application/json" && ready.json()?["ok"] == true, "{ready:?}");
    ensure!(ready.json()?["conditions"].as_array().is_some_and(|c| c.len() == 3), "{}", ready.text());

    let text = get(at, "/metrics")?;
    ensure!(text.header("content-type") == "text/plain; version=0.0.4; charset=utf-8", "{text:?}");
    ensure!(text.text().contains("\n# TYPE tailwater_extract_row_changes_total counter\n"), "{}", text.text());
    let open = ask(at, "GET", "/metrics", &["Accept: application/openmetrics-text; version=1.0.0"])?;
    ensure!(open.header("content-type").starts_with("application/openmetrics-text; version=1.0.0"), "{open:?}");
    ensure!(open.text().ends_with("# EOF\n") && open.text().contains("tailwater_build_info"));
    let packed = ask(at, "GET", "/metrics", &["Accept-Encoding: gzip"])?;
    let mut unpacked = String::new();
    GzDecoder::new(packed.body.as_slice()).read_to_string(&mut unpacked)?;
    ensure!(packed.header("content-encoding") == "gzip" && unpacked.contains("tailwater_extract_row_changes_total"));
    ensure!(packed.body.len() * 3 < text.body.len(), "{} of {} bytes", packed.body.len(), text.body.len());

    let head = ask(at, "HEAD", "/metrics", &[])?;
    ensure!(head.status == 200 && head.body.is_empty() && head.header("content-length") != "0", "{head:?}");
    let post = ask(at, "POST", "/metrics", &["Content-Length: 0"])?;
    ensure!((post.status, post.header("allow")) == (405, "GET, HEAD"), "{post:?}");
    ensure!(get(at, "/nothing")?.status == 404);
    ensure!(ask(at, "GET", "/metrics", &["Host: elsewhere.example"])?.status == 421);

    running.terminate(LIMIT)?;
    ensure!(get(at, "/healthz").is_err(), "it answers after its end");
    Ok(())
}

#[test]
fn the_status_names_shards_tables_and_what_went_wrong() -> Result<()> {
    let scene = Setup::new("http_status").rule("bare", "no_key = \"park\"").start()?;
    scene.sql_all("CREATE TABLE t (id INT PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 1), (2, 2)")?;
    scene.sql(0, "CREATE TABLE bare (a INT); INSERT INTO bare VALUES (1)")?;
    let mut running = scene.start(&["run", "--http", "127.0.0.1:0"])?;
    let at = address(&scene, &mut running)?;
    scene.becomes_equal(&["t"], &mut running)?;
    let mut status = Value::Null;
    scene.wait("what was applied", &mut running, || {
        status = get(at, "/api/status")?.json()?;
        let points = status["shards"][1]["history"]["read"].as_array().map_or(0, Vec::len);
        Ok(status["tables"][1]["rows_applied"] == 4 && status["tables"][0]["parked"].is_array() && points > 0)
    })?;
    let table = |n: usize| &status["tables"][n];
    ensure!(status["pipeline"] == "http_status" && status["format"] == 1, "{status:#}");
    ensure!(table(0)["target"] == "http_status.bare" && table(1)["origins"] == 2, "{status:#}");
    let parked = &table(0)["parked"][0];
    ensure!(parked["origin"] == "s1:http_status.bare" && parked["stage"] == "extract", "{status:#}");
    ensure!(parked["command"] == "tailwater snapshot --table http_status.bare --shard s1", "{status:#}");
    let shard = &status["shards"][0];
    ensure!(shard["shard"] == "s1" && shard["phase"] == "running" && shard["connected"] == true, "{status:#}");
    ensure!(shard["position"].as_str().is_some_and(|p| p.contains(':')) && shard["rows_read"].as_u64() > Some(1));
    ensure!(
        status["groups"][0]["ticks"].as_u64() > Some(0) && status["groups"][0]["last"]["at"].is_i64(),
        "{status:#}"
    );
    let recent = status["recent"].as_array().context("no recent events")?;
    ensure!(
        recent.iter().any(|e| e["level"] == "error"
            && e["message"].as_str() == Some("table parked: its rows no longer reach the lake"))
    );
    ensure!(!status.to_string().contains(tailwater_servers::PASSWORD), "a password");
    let until = shard["history"]["until"].as_i64().context("no time")?;
    let later = get(at, &format!("/api/status?since={until}"))?.json()?;
    ensure!(later["shards"][0]["history"]["read"].as_array().is_some_and(|list| list.len() <= 1), "{later:#}");
    ensure!(get(at, "/api/status?since=yesterday")?.status == 400);
    running.terminate(LIMIT)
}

#[test]
fn a_token_is_asked_for_and_probes_are_open() -> Result<()> {
    let scene = Setup::new("http_token").one_shard().lines("[http]\ntoken = \"open sesame\"").start()?;
    let mut running = scene.start(&["extract", "--http", "127.0.0.1:0"])?;
    let at = address(&scene, &mut running)?;
    for path in ["/metrics", "/api/status", "/nothing"] {
        let refused = get(at, path)?;
        ensure!(refused.status == 401 && refused.header("www-authenticate").starts_with("Bearer"), "{refused:?}");
        ensure!(ask(at, "GET", path, &["Authorization: Bearer open sesam"])?.status == 401);
        let allowed = ask(at, "GET", path, &["Authorization: Bearer open sesame", "Host: elsewhere.example"])?.status;
        ensure!(allowed == if path == "/nothing" { 404 } else { 200 }, "{path}: {allowed}");
    }
    ensure!(get(at, "/healthz")?.status == 200 && [200, 503].contains(&get(at, "/readyz")?.status));
    running.terminate(LIMIT)?;
    ensure!(!scene.log()?.contains("sesame"), "the token is in the log");
    Ok(())
}

#[test]
fn a_port_that_is_taken_ends_the_program_before_it_begins() -> Result<()> {
    let scene = Setup::new("http_taken").one_shard().start()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let at = taken.local_addr()?.to_string();
    let said = scene.ends_with(&["run", "--once", "--http", &at], 74)?;
    ensure!(said.contains(&at) && said.contains("--http off"), "{said}");
    ensure!(!scene.lake().exists(), "the lake was made");
    scene.ends_with(&["run", "--once", "--http", "nonsense"], 78)?;
    Ok(())
}

#[test]
fn a_source_that_is_away_is_named_and_comes_back() -> Result<()> {
    let mut scene = Setup::new("http_away").one_shard().own_servers().start()?;
    scene.sql_all("CREATE TABLE t (id INT PRIMARY KEY)")?;
    let mut running = scene.start(&["run", "--http", "127.0.0.1:0"])?;
    let at = address(&scene, &mut running)?;
    scene.wait("readiness", &mut running, || Ok(get(at, "/readyz")?.status == 200))?;
    scene.own_server(0)?.stop()?;
    scene.wait("a 503", &mut running, || Ok(get(at, "/readyz")?.status == 503))?;
    let said = get(at, "/readyz")?.text();
    ensure!(said.starts_with("shard s1: ") && said.contains("MySQL server is up"), "{said}");
    ensure!(get(at, "/healthz")?.status == 200, "a restart would not bring the source back");
    scene.own_server(0)?.restart()?;
    scene.wait("readiness", &mut running, || Ok(get(at, "/readyz")?.status == 200))?;
    running.terminate(LIMIT)
}

#[test]
fn clients_that_are_slow_hold_nobody_up() -> Result<()> {
    let scene = Setup::new("http_slow").one_shard().start()?;
    let mut running = scene.start(&["run", "--http", "127.0.0.1:0"])?;
    let at = address(&scene, &mut running)?;
    // Half of a head, and answers that nobody reads.
    let mut idle = Vec::new();
    for n in 0..20 {
        let mut client = TcpStream::connect(at)?;
        let request = if n % 2 == 0 {
            "GET /metrics HT".to_owned()
        } else {
            format!("GET /metrics HTTP/1.1\r\nHost: {at}\r\n\r\n").repeat(50)
        };
        client.write_all(request.as_bytes())?;
        idle.push(client);
    }
    let began = Instant::now();
    for _ in 0..20 {
        ensure!(get(at, "/metrics")?.status == 200);
    }
    ensure!(began.elapsed() < Duration::from_secs(10), "20 answers took {:?}", began.elapsed());
    let too_long = ask(at, "GET", "/metrics", &[&format!("Cookie: {}", "x".repeat(20_000))])?;
    ensure!(too_long.status == 431, "{too_long:?}");
    let began = Instant::now();
    running.terminate(LIMIT)?;
    ensure!(began.elapsed() < Duration::from_secs(20), "it took {:?} to end", began.elapsed());
    Ok(())
}
