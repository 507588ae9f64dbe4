//! `tailwater init`, on real servers: what it writes passes `tailwater check`.

use tailwater_servers::{MariaDb, Mysql, MysqlOptions, PASSWORD};

use super::{folder, run, write};

const TABLES: &str = "
    CREATE DATABASE shop_00; CREATE DATABASE shop_01; CREATE DATABASE crm;
    CREATE TABLE shop_00.orders_0 (id BIGINT PRIMARY KEY, item VARCHAR(40), updated_at TIMESTAMP(6) NULL ON UPDATE CURRENT_TIMESTAMP(6));
    CREATE TABLE shop_00.orders_1 LIKE shop_00.orders_0; CREATE TABLE shop_01.orders_2 LIKE shop_00.orders_0;
    CREATE TABLE shop_00.users (name VARCHAR(20) NOT NULL, n INT, modified_at DATETIME NULL, UNIQUE KEY (name));
    CREATE TABLE shop_01.users LIKE shop_00.users;
    CREATE TABLE crm.audit (a INT, note LONGTEXT);";

/// Writes a configuration and returns it.
fn configured(name: &str, url: &str, check_code: i32) -> String {
    let dir = folder();
    let source = format!("{name}={url}");
    let arguments = ["init", "--source", &source, "--warehouse", "sqlite:w.db", "--pipeline", "shop"];
    let ran = run(dir.path(), &[], &arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.is_empty() && ran.err.contains("wrote tailwater.toml"), "{}", ran.err);
    let text = std::fs::read_to_string(dir.path().join("tailwater.toml")).unwrap();
    assert!(!text.contains(PASSWORD) && !ran.err.contains(PASSWORD), "{text}{}", ran.err);
    assert!(
        ran.err.contains("set TAILWATER_A_PASSWORD") && text.contains("password_env = \"TAILWATER_A_PASSWORD\""),
        "{}",
        ran.err
    );

    // It refuses to write over it.
    let again = run(dir.path(), &[], &arguments);
    assert_eq!(again.code, Some(64), "{}", again.err);
    assert!(again.err.contains("tailwater.toml exists already"), "{}", again.err);
    assert_eq!(std::fs::read_to_string(dir.path().join("tailwater.toml")).unwrap(), text);

    let ran = run(dir.path(), &[("TAILWATER_A_PASSWORD", PASSWORD)], &["check"]);
    assert_eq!(ran.code, Some(check_code), "{}{}", ran.out, ran.err);
    text
}

fn tells_what_the_server_has(text: &str) {
    for part in [
        "pipeline = \"shop\"\n",
        "match = \"shop_[0-9][0-9].orders_[0-9]\"\n",
        "target = \"shop.orders\"\n",
        "match = \"shop_[0-9][0-9].users\"\n",
        "match = \"crm.*\"\n",
        "# shop_00.orders_0, shop_00.orders_1, shop_01.orders_2\n",
        "# key: id; changed: updated_at (ON UPDATE CURRENT_TIMESTAMP)\n",
        "# key: name; changed: modified_at (by its name)\n",
        "crm.audit: about 0 rows",
        "key none: it cannot be merged, its changes are appended",
        "#flush_interval = \"1m\"\n",
        "#batch_memory = \"256 MiB\"\n",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn the_configuration_of_a_live_mysql_passes_check() {
    let server = Mysql::start(MysqlOptions::default()).unwrap();
    server.sql(TABLES).unwrap();
    let text = configured("a", &server.url(), 0);
    tells_what_the_server_has(&text);
    assert!(text.contains("warning: tables without a primary key"), "{text}");
}

#[test]
fn the_configuration_of_a_live_mariadb_passes_check() {
    let server = MariaDb::start(&["--binlog-row-metadata=FULL"]).unwrap();
    server.sql(TABLES).unwrap();
    tells_what_the_server_has(&configured("a", &server.url(), 0));
}

#[test]
fn what_is_wrong_with_the_server_stands_in_the_file() {
    let server =
        Mysql::start(MysqlOptions::default().minimal_metadata().arg("--binlog-expire-logs-seconds=3600")).unwrap();
    let text = configured("a", &server.url(), 1);
    assert!(
        text.contains("# PROBLEM: binlog_row_metadata is MINIMAL") && text.contains("#   mend: SET PERSIST"),
        "{text}"
    );
    assert!(text.contains("# warning: binlogs are kept for 1 h only"), "{text}");
}

#[test]
fn without_a_server_it_is_a_template() {
    let dir = folder();
    let ran = run(dir.path(), &[], &["init", "--output", "-"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.out.contains("#[[source]]\n") && ran.out.contains("[lake]\n") && ran.out.contains("url = \"./lake\"\n"),
        "{}",
        ran.out
    );
    write(dir.path(), "tailwater.toml", &ran.out);
    let ran = run(dir.path(), &[], &["check", "--offline"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let ran = run(
        dir.path(),
        &[],
        &["init", "--source", "mysql://u:hunter2@127.0.0.1:1", "--output", "new.toml", "--log-format", "text"],
    );
    assert_eq!(ran.code, Some(69), "{}", ran.err);
    assert!(
        !dir.path().join("new.toml").exists() && ran.err.contains("hint: check host, port and firewall"),
        "{}",
        ran.err
    );
}
