//! The oracle itself: it must find what is there to be found.

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use std::time::Duration;

use tailwater_servers::{Mysql, MysqlOptions};

use super::*;
use crate::workload::{Load, LoadOptions, tables};

/// Copies the shards in the plainest way: every column as text.
async fn copy(shards: &[Shard], conn: &mut SqliteConnection) -> Result<()> {
    for table in tables(false) {
        let mut created = false;
        for shard in shards {
            let (layout, rows) = source::read(shard, &table).await?;
            let name = format!("shop_{}", table.name);
            if !created {
                let columns: Vec<String> =
                    layout.columns.iter().map(|c| format!("\"{}\" {}", c.name, affinity(c.kind))).collect();
                let sql = format!("CREATE TABLE {name} (_tw_origin TEXT, _tw_seq INTEGER, {})", columns.join(", "));
                conn.execute(AssertSqlSafe(sql)).await?;
                created = true;
            }
            conn.execute("BEGIN").await?;
            for (values, seq) in rows.iter().zip(1_i64..) {
                let marks = vec!["?"; values.len() + 2].join(", ");
                let mut insert = sqlx::query(AssertSqlSafe(format!("INSERT INTO {name} VALUES ({marks})")))
                    .bind(format!("{}:shop.{}", shard.name, table.name))
                    .bind(seq);
                for value in values {
                    insert = insert.bind(value);
                }
                insert.execute(&mut *conn).await?;
            }
            conn.execute("COMMIT").await?;
        }
    }
    Ok(())
}

fn affinity(kind: value::Kind) -> &'static str {
    if kind == value::Kind::Float { "REAL" } else { "TEXT" }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_runs_and_every_kind_of_difference_is_found() -> Result<()> {
    let servers = [Mysql::start(MysqlOptions::default())?, Mysql::start(MysqlOptions::default())?];
    let shards: Vec<Shard> =
        servers.iter().zip(1..).map(|(server, n)| Shard { name: format!("s{n}"), url: server.root_url() }).collect();
    let seed = crate::workload::seed("TAILWATER_SEED")?;
    eprintln!("TAILWATER_SEED={seed}");
    let period = Some(Duration::from_millis(50));
    let options =
        LoadOptions { seed, sessions: 3, rate: 200.0, moves: period, truncates: period, outlives_restarts: false };
    let mut load = Load::start(&shards, options).await?;
    let mut writes = tokio::time::interval(Duration::from_millis(20));
    for round in 0..100 {
        writes.tick().await;
        load.check()?;
        if round == 50 {
            load.alter().await?;
        }
    }
    let counts = load.stop().await?;
    eprintln!("{counts}");
    assert!(counts.transactions > 100 && counts.moves > 0 && counts.truncates > 0, "{counts}");
    assert!(counts.rolled_back * 4 < counts.transactions, "{counts}");

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("copy.db");
    let mut conn = SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await?;
    copy(&shards, &mut conn).await?;
    let warehouse = Warehouse::Sqlite(path);
    let report = compare(&shards, &warehouse, &tables(false)).await?;
    assert!(report.is_equal(), "{report}");
    let report = compare(&shards, &warehouse, &tables(true)).await?;
    assert!(report.is_equal(), "parcels have keys that are unique over all shards:\n{report}");

    for (table, damage, found) in [
        ("orders", "DELETE FROM shop_orders WHERE rowid = 3", [1, 0, 0, 0]),
        (
            "customers",
            "INSERT INTO shop_customers (_tw_origin, _tw_seq, id) VALUES ('s1:shop.customers', 9, '0')",
            [0, 1, 0, 0],
        ),
        ("parcels", "UPDATE shop_parcels SET grams = grams + 1 WHERE rowid IN (2, 5)", [0, 0, 2, 0]),
        ("stock", "INSERT INTO shop_stock SELECT * FROM shop_stock LIMIT 2", [0, 0, 0, 2]),
        ("items", "UPDATE shop_items SET _tw_origin = 's9:shop.items' WHERE rowid = 1", [1, 1, 0, 0]),
    ] {
        conn.execute(damage).await?;
        let report = compare(&shards, &warehouse, &tables(false)).await?;
        let seen = report.tables.iter().find(|t| t.name.ends_with(table)).context("no report")?;
        assert_eq!([seen.missing, seen.extra, seen.differing, seen.duplicates], found, "{damage}\n{report}");
        assert!(!report.is_equal());
    }
    Ok(())
}
