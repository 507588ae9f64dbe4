//! Holding back, letting go and trying again while the program runs.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use tailwater_proof::program::Running;

use super::scene::{Engine, LIMIT, Scene, Setup};

const TABLES: &str =
    "CREATE TABLE orders (id INT PRIMARY KEY, n INT); INSERT INTO orders VALUES (1, 1), (2, 2), (3, 3);
    CREATE TABLE users (id INT PRIMARY KEY, n INT); INSERT INTO users VALUES (1, 1);";

/// What `status` says, while something is held back or parked.
fn status(scene: &Scene) -> Result<serde_json::Value> {
    let said = scene.ends_with(&["status", "--json"], 1)?;
    let object = said.find("{\n  \"pipeline\"").context("no object")?;
    let mut values = serde_json::Deserializer::from_str(&said[object..]).into_iter();
    values.next().context("no object")?.with_context(|| said.clone())
}

/// Changes orders until the running applier says that it holds them back.
fn held(scene: &Scene, running: &mut Running) -> Result<()> {
    let mut id = 1000;
    scene.wait("pause", running, || {
        id += 1;
        scene.sql(0, &format!("INSERT INTO orders VALUES ({id}, 0)"))?;
        Ok(scene.log()?.contains("the table is paused"))
    })
}

/// A paused table stands still in the warehouse while the lake and all others go on, through a restart; then it catches up in order.
#[test]
fn a_paused_table_waits_in_the_lake_and_catches_up() -> Result<()> {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let scene = Setup::new("pausetable").one_shard().begins("snapshot").to(engine).start()?;
        scene.sql(0, TABLES)?;
        let mut running = scene.start(&["run"])?;
        scene.becomes_equal(&["orders", "users"], &mut running)?;
        let pattern = format!("{}.orders", scene.name);
        let said = scene.ends_with(&["pause", "--table", &pattern], 0)?;
        ensure!(said.contains(&format!("tables {pattern} paused (s1:{pattern})")), "{said}");
        held(&scene, &mut running)?;

        let count = || scene.rows("SELECT CAST(count(*) AS TEXT) FROM {orders}");
        let before = count()?;
        scene
            .sql(0, "UPDATE orders SET n = n + 10; DELETE FROM orders WHERE id = 2; INSERT INTO users VALUES (2, 2)")?;
        scene.becomes_equal(&["users"], &mut running)?;
        ensure!(count()? == before, "the paused table moved");
        let told = status(&scene)?;
        let orders = told["tables"].as_array().context("tables")?.iter().find(|t| t["target"] == pattern.as_str());
        let orders = orders.context("no table")?;
        ensure!(
            orders["paused"][0] == format!("s1:{pattern}") && orders["parked"] == serde_json::json!([]),
            "{told:#}"
        );

        // It holds for whoever comes next.
        running.terminate(LIMIT)?;
        let mut running = scene.start(&["run"])?;
        scene.sql(0, "INSERT INTO users VALUES (3, 3); UPDATE orders SET n = 99 WHERE id = 3; ALTER TABLE orders ADD COLUMN more INT DEFAULT 7")?;
        scene.becomes_equal(&["users"], &mut running)?;
        ensure!(count()? == before, "the paused table moved after a restart");

        let said = scene.ends_with(&["resume", "--table", &format!("{}.*", scene.name)], 64)?;
        ensure!(said.contains(&format!("is not paused; paused are: tables {pattern}")), "{said}");
        scene.complete(&["resume", "--table", &pattern])?;
        scene.sql(0, "INSERT INTO orders VALUES (5, 5, 5)")?;
        scene.becomes_equal(&["orders", "users"], &mut running)?;
        running.terminate(LIMIT)?;
        scene.complete(&["status"])?;
        scene.log_is_whole()?;
    }
    Ok(())
}

/// The log of a paused shard ends cleanly and the other shard goes on; resumed, nothing is missing.
#[test]
fn a_paused_shard_is_not_read_until_it_is_resumed() -> Result<()> {
    let scene = Setup::new("pauseshard").begins("snapshot").start()?;
    scene.sql_all(TABLES)?;
    let mut running = scene.start(&["run"])?;
    scene.becomes_equal(&["orders", "users"], &mut running)?;
    let said = scene.ends_with(&["pause", "--shard", "s11"], 64)?;
    ensure!(said.contains("no shard is called \\\"s11\\\", did you mean \\\"s1\\\"?"), "{said}");
    scene.complete(&["pause", "--shard", "s1"])?;
    scene.wait("pause", &mut running, || Ok(scene.log()?.contains("the shard is paused")))?;
    scene.sql_all("INSERT INTO orders VALUES (50, 50)")?;
    let of = |shard: &str| {
        scene.rows(&format!("SELECT CAST(id AS TEXT) FROM {{orders}} WHERE id = 50 AND _tw_origin LIKE '{shard}:%'"))
    };
    scene.wait("the other shard", &mut running, || Ok(of("s2")?.len() == 1))?;
    ensure!(of("s1")?.is_empty(), "the paused shard was read");
    let told = status(&scene)?;
    ensure!(told["shards"][0]["paused"].is_i64() && told["shards"][1]["paused"].is_null(), "{told:#}");
    // A run that is to end does not wait for it, and a new process does not read it.
    running.terminate(LIMIT)?;
    scene.once()?;
    ensure!(of("s1")?.is_empty(), "the paused shard was read by a new process");
    let mut running = scene.start(&["run"])?;
    scene.complete(&["resume"])?;
    scene.becomes_equal(&["orders", "users"], &mut running)?;
    running.terminate(LIMIT)?;
    scene.log_is_whole()
}

/// A table that was parked while applying goes on without a restart, once its cause is mended.
#[test]
fn a_parked_table_is_tried_again_without_a_restart() -> Result<()> {
    let scene = Setup::new("unpark").one_shard().begins("snapshot").to(Engine::Postgres).start()?;
    let (name, target) = (scene.name.as_str(), scene.target("orders"));
    scene.change(&format!("CREATE SCHEMA {name}"))?;
    scene.change(&format!("CREATE TABLE {target} (x INT)"))?;
    scene.sql(0, TABLES)?;
    let mut running = scene.start(&["run"])?;
    scene.wait("park", &mut running, || Ok(scene.log()?.contains("table parked")))?;
    scene.becomes_equal(&["users"], &mut running)?;
    let said = scene.ends_with(&["unpark", "--table", &format!("{name}.ordres")], 64)?;
    ensure!(said.contains(&format!("did you mean \\\"{name}.orders\\\"?")), "{said}");
    scene.change(&format!("DROP TABLE {target}"))?;
    let said = scene.ends_with(&["unpark", "--table", &format!("{name}.*")], 0)?;
    ensure!(said.contains(&format!("s1:{name}.orders is tried again")), "{said}");
    scene.becomes_equal(&["orders", "users"], &mut running)?;
    running.terminate(LIMIT)?;
    scene.complete(&["status"])
}

/// Address that the program says it serves on.
fn address(scene: &Scene, running: &mut Running) -> Result<String> {
    scene.wait("port", running, || Ok(scene.log()?.contains("\"serving metrics")))?;
    let log = scene.log()?;
    let line = log.lines().rfind(|line| line.contains("\"serving metrics")).context("no line")?;
    let line: serde_json::Value = serde_json::from_str(line)?;
    Ok(line["address"].as_str().context("no address")?.to_owned())
}

/// Status of the answer to a request, and its text.
fn ask(address: &str, method: &str, path: &str, headers: &[&str], body: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).with_context(|| answer.clone())?;
    Ok((status, answer))
}

const JSON: &str = "Content-Type: application/json";

/// Lines say which shard or group they are about, whoever logged them.
fn says_what_it_is_about(scene: &Scene) -> Result<()> {
    let log = scene.log()?;
    let mut lines = 0;
    for line in log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        let target = line["target"].as_str().unwrap_or_default();
        for (half, key) in [("extract", "shard"), ("apply", "group")] {
            if target.starts_with(&format!("tailwater::pipeline::{half}")) {
                ensure!(line[key].is_string(), "no {key} in {line}");
                lines += 1;
            }
        }
    }
    ensure!(lines > 10, "{log}");
    Ok(())
}

/// Commands over HTTP, and who may give them; the log level; a configuration that is read anew.
#[test]
fn a_running_process_takes_commands_and_a_new_configuration() -> Result<()> {
    let scene = Setup::new("commands").one_shard().begins("snapshot").start()?;
    let file = scene.folder().join("tailwater.toml");
    let whole = fs::read_to_string(&file)?;
    let narrow = whole.replace("match = \"commands.*\"", "match = \"commands.orders\"");
    ensure!(whole != narrow, "{whole}");
    fs::write(&file, &narrow)?;
    scene.sql(0, TABLES)?;
    let mut running = scene.start(&["run", "--http", "127.0.0.1:0"])?;
    scene.becomes_equal(&["orders"], &mut running)?;
    let at = address(&scene, &mut running)?;
    let pause = "{\"tables\": [\"commands.orders\"], \"pipeline\": \"commands\"}";
    for (headers, status) in [
        (&[JSON, "Origin: https://evil.example"][..], 403),
        (&[JSON, "Sec-Fetch-Site: cross-site"], 403),
        (&["Content-Type: text/plain"], 415),
        (&[], 415),
    ] {
        let (found, answer) = ask(&at, "POST", "/api/control/pause", headers, pause)?;
        ensure!(found == status, "{headers:?}: {answer}");
    }
    for (method, path, body, status) in [
        ("GET", "/api/control/pause", "", 405),
        ("POST", "/api/control/explode", "{}", 404),
        ("POST", "/api/control/pause", "{\"tabels\": []}", 400),
        ("POST", "/api/control/pause", "{}", 400),
        ("POST", "/api/control/pause", "{\"tables\": [\"commands.ordres\"]}", 404),
        ("POST", "/api/control/pause", "{\"pipeline\": \"other\", \"tables\": [\"*.*\"]}", 421),
        ("POST", "/api/control/resume", "{\"shards\": [\"s1\"]}", 409),
    ] {
        let (found, answer) = ask(&at, method, path, &[JSON], body)?;
        ensure!(found == status, "{method} {path} {body}: {answer}");
    }
    let (status, answer) = ask(&at, "POST", "/api/control/pause", &[JSON], pause)?;
    ensure!(status == 200 && answer.contains("\"done\":\"paused\""), "{answer}");
    held(&scene, &mut running)?;
    let series = "tailwater_table_paused{shard=\"s1\",table=\"commands.orders\"} 1";
    let (_, told) = ask(&at, "GET", "/api/status", &[], "")?;
    let (_, figures) = ask(&at, "GET", "/metrics", &[], "")?;
    ensure!(told.contains("\"paused\":[\"s1:commands.orders\"]") && figures.contains(series), "{told}\n{figures}");
    let (status, answer) = ask(&at, "POST", "/api/control/resume", &[JSON], "{}")?;
    ensure!(status == 200 && answer.contains("\"done\":\"resumed\""), "{answer}");
    scene.wait("resume", &mut running, || Ok(!ask(&at, "GET", "/metrics", &[], "")?.1.contains(series)))?;
    scene.becomes_equal(&["orders"], &mut running)?;

    scene.complete(&["log-level", "debug", "--for", "10m", "--http", &at])?;
    scene.wait("level", &mut running, || Ok(scene.log()?.contains("the log level was changed")))?;
    let said = scene.ends_with(&["log-level", "loud", "--http", &at], 78)?;
    ensure!(said.contains("is not a log level"), "{said}");

    // What does not pass changes nothing.
    fs::write(&file, narrow.replace("flush_interval", "flush_intervall"))?;
    let url = format!("--http={at}");
    let others = ["--config", "good.toml", &url];
    fs::write(scene.folder().join("good.toml"), &narrow)?;
    let said = scene.ends_with(&[&["reload"][..], &others[..]].concat(), 78)?;
    ensure!(
        said.contains("did you mean \\\\\\\"flush_interval\\\\\\\"?")
            || said.contains("did you mean \\\"flush_interval\\\"?"),
        "{said}"
    );
    scene.sql(0, "INSERT INTO orders VALUES (70, 70)")?;
    scene.becomes_equal(&["orders"], &mut running)?;

    fs::write(&file, &whole)?;
    scene.complete(&["reload", "--http", &at])?;
    scene.becomes_equal(&["orders", "users"], &mut running)?;
    // By signal, back again.
    fs::write(&file, &narrow)?;
    let before = scene.log()?.matches("the configuration was read anew").count();
    let pid = running.pid().to_string();
    ensure!(Command::new("kill").args(["-HUP", &pid]).status()?.success(), "no signal");
    scene.wait("reload", &mut running, || {
        Ok(scene.log()?.matches("the configuration was read anew").count() > before)
    })?;
    scene.sql(0, "INSERT INTO orders VALUES (71, 71)")?;
    scene.becomes_equal(&["orders"], &mut running)?;
    running.terminate(LIMIT)?;
    says_what_it_is_about(&scene)?;
    let said = scene.ends_with(&["reload", "--http", &at], 69)?;
    ensure!(said.contains("no process answers at") && said.contains("start the process"), "{said}");
    scene.log_is_whole()
}
