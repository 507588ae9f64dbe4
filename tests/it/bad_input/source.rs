//! Sources that cannot be reached or read.

use std::{
    fs,
    os::unix::fs::FileExt,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use tailwater_servers::{Mysql, MysqlOptions};

use super::place::{LIMIT, Place, execute, fit_server, login, url};

#[test]
fn a_wrong_password_ends_at_once() -> Result<()> {
    let place = Place::new(&[login(fit_server(), "tw", "hunter2")], "denied.*")?;
    for verb in ["run", "extract"] {
        place.refuses(77, &[verb], &["error 1045", "check user and password of the source"])?;
    }
    assert_eq!(place.entries("s1"), 0);
    Ok(())
}

#[test]
fn an_unreachable_source_is_retried_for_as_long_as_it_is_worthwhile() -> Result<()> {
    let place = Place::new(&["mysql://tw:hunter2@127.0.0.1:1".to_owned()], "gone.*")?;
    place.refuses(
        69,
        &["run", "--once"],
        &["cannot connect to MySQL at 127.0.0.1:1", "check host, port and firewall"],
    )?;
    assert_eq!(place.entries("s1"), 0);

    // Without --once the source may come back at any time.
    let tries = || -> Result<usize> { Ok(place.said()?.matches("resuming from the log").count()) };
    let before = tries()?;
    let mut running = place.start(&["extract"])?;
    let deadline = Instant::now() + LIMIT;
    while tries()? < before + 3 {
        ensure!(running.ended()?.is_none() && Instant::now() < deadline, "it gave up:\n{}", place.said()?);
        thread::sleep(Duration::from_millis(20));
    }
    running.terminate(LIMIT)
}

#[test]
fn missing_grants_are_named() -> Result<()> {
    let server = fit_server();
    server.sql("CREATE USER poor@'%' IDENTIFIED BY 'hunter2'; GRANT SELECT ON *.* TO poor@'%'")?;
    let place = Place::new(&[login(server, "poor", "hunter2")], "poor.*")?;
    let grant = "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'poor'@'%'";
    place.refuses(77, &["run", "--once"], &["lacks REPLICATION SLAVE, REPLICATION CLIENT", grant])?;
    assert_eq!(place.entries("s1"), 0);

    server.sql(&format!(
        "{grant}; CREATE DATABASE poor; CREATE TABLE poor.t (id INT PRIMARY KEY); INSERT INTO poor.t VALUES (1)"
    ))?;
    place.ends_with(0, &["run", "--once"])?;
    assert_eq!(place.number("SELECT count(*) FROM poor_t")?, 1);
    Ok(())
}

#[test]
fn unfit_settings_are_told_at_once_and_mended_by_their_statements() -> Result<()> {
    let options = MysqlOptions::default()
        .minimal_metadata()
        .arg("--binlog-row-image=MINIMAL")
        // Newer servers have rows only.
        .arg("--loose-binlog-format=STATEMENT");
    let server = Mysql::start(options)?;
    let mut settings = vec!["binlog_row_image", "binlog_row_metadata"];
    if !server.query("SHOW GLOBAL VARIABLES LIKE 'binlog_format'")?.is_empty() {
        settings.push("binlog_format");
    }
    let place = Place::new(&[url(&server)], "shop.*")?;
    let wrong: Vec<String> = settings.iter().map(|setting| format!("{setting} is ")).collect();
    let value = |setting: &str| if setting == "binlog_format" { "ROW" } else { "FULL" };
    let mends: Vec<String> = settings.iter().map(|s| format!("SET PERSIST {s}={}", value(s))).collect();
    let parts: Vec<&str> = wrong.iter().chain(&mends).map(String::as_str).collect();
    place.refuses(78, &["run", "--once"], &parts)?;
    place.refuses(78, &["extract"], &parts)?;
    assert_eq!(place.entries("s1"), 0);

    server.sql(&mends.join("; "))?;
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY); INSERT INTO shop.t VALUES (1)")?;
    place.ends_with(0, &["run", "--once"])?;
    assert_eq!(place.number("SELECT count(*) FROM shop_t")?, 1);
    Ok(())
}

/// Files and offsets mean nothing on another server: the shard stops there, and one command reads it anew.
#[test]
fn positions_without_gtids_are_refused_elsewhere() -> Result<()> {
    let servers = [0, 1].map(|_| Mysql::start(MysqlOptions::default().without_gtid()));
    let [one, other] = servers;
    let (one, other) = (one?, other?);
    for (server, v) in [(&one, 1), (&other, 2)] {
        server.sql(&format!(
            "CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY); INSERT INTO shop.t VALUES ({v})"
        ))?;
    }
    let place = Place::new(&[url(&one)], "shop.*")?;
    place.ends_with(0, &["run", "--once"])?;
    assert!(place.said()?.contains("gtid_mode is OFF"), "{}", place.said()?);
    place.configure(&[url(&other)], "shop.*", "./lake", "warehouse.db")?;
    let file = place.path("tailwater.toml");
    fs::write(&file, fs::read_to_string(&file)?.replace("\"earliest\"", "\"snapshot\""))?;
    place.refuses(66, &["run", "--once"], &["belongs to the server", "tailwater reanchor"])?;
    place.ends_with(0, &["reanchor", "--shard", "s1"])?;
    place.ends_with(0, &["run", "--once"])?;
    assert_eq!(place.number("SELECT group_concat(id) = '2' FROM shop_t")?, 1);
    Ok(())
}

#[test]
fn purged_transactions_end_the_shard_until_it_is_reanchored() -> Result<()> {
    let server = Mysql::start(MysqlOptions::default())?;
    server.sql(
        "CREATE DATABASE shop; USE shop; CREATE TABLE t (id INT PRIMARY KEY); CREATE TABLE gone (id INT PRIMARY KEY)",
    )?;
    server.sql("INSERT INTO shop.t VALUES (1); INSERT INTO shop.gone VALUES (7)")?;
    let place = Place::new(&[url(&server)], "shop.*")?;
    place.ends_with(0, &["run", "--once"])?;
    let reanchor = ["reanchor", "--shard", "s1"];
    place.refuses(78, &reanchor, &["start = \"earliest\"", "only start = \"snapshot\""])?;
    let file = place.path("tailwater.toml");
    fs::write(&file, fs::read_to_string(&file)?.replace("\"earliest\"", "\"snapshot\""))?;
    place.refuses(64, &reanchor, &["still has everything", "--anyway"])?;

    server.sql("INSERT INTO shop.t VALUES (2); FLUSH BINARY LOGS; INSERT INTO shop.t VALUES (3)")?;
    let newest = server.binlog_files()?.pop().context("no binlog")?;
    server.sql(&format!("PURGE BINARY LOGS TO '{newest}'"))?;
    place.refuses(66, &["run", "--once"], &["purged binlogs that were not read yet", "tailwater reanchor"])?;
    assert_eq!(place.number("SELECT count(*) FROM shop_t")?, 1);
    let said = place.ends_with(1, &["check"])?;
    ensure!(said.contains("PROBLEM the source purged binlogs") && said.contains("tailwater reanchor"), "{said}");

    // Nobody reads these; what they come to is in the tables.
    server.sql("DELETE FROM shop.t WHERE id = 1; DROP TABLE shop.gone")?;
    let entries = place.entries("s1");
    let said = place.ends_with(0, &reanchor)?;
    ensure!(said.contains("gives up") && said.contains("reads 2 tables anew"), "{said}");
    place.refuses(64, &reanchor, &["begins anew with its next session already"])?;
    let said = place.ends_with(0, &["plan"])?;
    ensure!(said.contains("at a new place in the binlog") && said.contains("read, then follow"), "{said}");
    // A claim, the entry without a place, a release: the log goes on.
    assert_eq!(place.entries("s1"), entries + 3);
    place.ends_with(0, &["run", "--once"])?;
    assert_eq!(place.number("SELECT group_concat(id, '') + 0 FROM (SELECT id FROM shop_t ORDER BY id)")?, 23);
    assert_eq!(place.number("SELECT count(*) FROM shop_gone")?, 0);
    server.sql("INSERT INTO shop.t VALUES (4)")?;
    place.ends_with(0, &["run", "--once"])?;
    place.ends_with(0, &["verify"])?;
    place.refuses(64, &reanchor, &["still has everything"]).map(drop)
}

#[test]
fn a_log_that_is_gone_is_begun_anew_as_the_runbook_says() -> Result<()> {
    let server = Mysql::start(MysqlOptions::default())?;
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY); INSERT INTO shop.t VALUES (1), (2)")?;
    let place = Place::new(&[url(&server)], "shop.*")?;
    let file = place.path("tailwater.toml");
    fs::write(&file, fs::read_to_string(&file)?.replace("\"earliest\"", "\"snapshot\""))?;
    place.ends_with(0, &["run", "--once"])?;
    server.sql("DELETE FROM shop.t WHERE id = 1; INSERT INTO shop.t VALUES (3)")?;
    fs::remove_dir_all(place.path("lake/default/log/s1"))?;
    // A log's numbers begin with the second that it begins in: this one's are to be greater than those of the one that is gone.
    let second = || SystemTime::now().duration_since(UNIX_EPOCH).map(|now| now.as_secs());
    let before = second()?;
    while second()? == before {
        thread::sleep(Duration::from_millis(10));
    }
    place.refuses(64, &["reanchor", "--shard", "s1"], &["has no log yet"])?;
    place.refuses(65, &["run", "--once"], &["is another one than before"])?;
    for forget in ["watermark WHERE shard = 's1'", "exception WHERE origin LIKE 's1:%'"] {
        execute(&place.path("warehouse.db"), &format!("DELETE FROM _tailwater_{forget}"))?;
    }
    place.ends_with(0, &["run", "--once"])?;
    assert_eq!(place.number("SELECT group_concat(id, '') + 0 FROM (SELECT id FROM shop_t ORDER BY id)")?, 23);
    Ok(())
}

#[test]
fn a_corrupt_event_stops_the_shard_until_the_log_is_whole_again() -> Result<()> {
    let server = Mysql::start(MysqlOptions::default())?;
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, v VARCHAR(40)); INSERT INTO shop.t VALUES (1, 'a')")?;
    let place = Place::new(&[url(&server)], "shop.*")?;
    place.ends_with(0, &["run", "--once"])?;
    server.sql("INSERT INTO shop.t VALUES (2, 'before'); INSERT INTO shop.t VALUES (3, 'needle in the log')")?;
    let (name, _) = server.binlog_position()?;
    let path = server.datadir().join(name);
    let at = fs::read(&path)?.windows(6).position(|w| w == b"needle").context("the row is not in the binlog")? as u64;
    let file = fs::OpenOptions::new().write(true).open(&path)?;
    file.write_all_at(b"N", at)?;

    let error = place.refuses(65, &["run", "--once"], &["checksum of the event"])?;
    ensure!(!error.contains("eedle"), "{error}");
    assert_eq!(place.number("SELECT count(*) FROM shop_t WHERE id = 3")?, 0);

    file.write_all_at(b"n", at)?;
    place.ends_with(0, &["run", "--once"])?;
    assert_eq!(place.number("SELECT count(*) FROM shop_t WHERE v IN ('a', 'before', 'needle in the log')")?, 3);
    Ok(())
}
