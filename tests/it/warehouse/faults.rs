//! Connections that break and files that others use: nothing is applied twice, nothing by half.

use sqlx::ConnectOptions;
use tailwater::{
    model::Op,
    warehouse::{Outcome, Warehouse, WarehouseError, postgres::Postgres, sqlite::Durability, sqlite::Sqlite},
};
use tailwater_servers::Proxy;

use super::{
    applier::{Applier, Change, GROUP, SHARD, claim},
    contract::{notes, orders, shown},
    world::{Files, PostgresWorld, SqliteWorld, World, origin, row, schema},
};

const T: &str = "shop.orders";

/// Cuts the connection after more and more bytes of the server's answers, until a merge comes through whole: somewhere
/// in between lies a commit whose answer is lost.
#[tokio::test]
async fn a_lost_answer_to_commit_is_decided_by_the_watermark() {
    let world = PostgresWorld::new();
    let proxy = Proxy::start(world.address()).unwrap();
    let through = proxy.url(&world.url);
    let mut files = Files::default();
    let mut seen = (0, 0);
    for turn in 0..1_000 {
        let mut applier = Applier::over(Box::new(Postgres::new(&through, "public").unwrap()), "one").await;
        applier.ensure(&orders(T)).await.unwrap();
        let text = format!("turn {turn}");
        let staged = notes(&mut files, 1_000 * (turn + 1), &[&text]);
        let before = shown(&world, T).await;
        let merge = applier.stage(&files, &[Change::files(T, staged)]).await.unwrap();
        proxy.cut_after(40 * turn as u64);
        match applier.warehouse.merge(&merge).await {
            Ok(_) if !proxy.is_armed() => panic!("the merge came through a cut connection"),
            Ok(_) => {
                assert!(seen.0 > 0 && seen.1 > 0, "never both outcomes: {seen:?}");
                return;
            }
            Err(WarehouseError::Transient { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
        // The same value connects again and finds out.
        let state = applier.warehouse.group_state(GROUP).await.unwrap().unwrap();
        match state.outcome(&merge.moves) {
            Outcome::Applied => {
                seen.0 += 1;
                assert_eq!(shown(&world, T).await, [text]);
                // A caller that repeats blindly is refused.
                applier.ensure(&orders(T)).await.unwrap();
                let mut again = applier.stage(&files, &[]).await.unwrap();
                again.moves.clone_from(&merge.moves);
                let again = applier.warehouse.merge(&again).await;
                assert!(matches!(again, Err(WarehouseError::Moved { .. })), "{again:?}");
            }
            Outcome::NotApplied => {
                seen.1 += 1;
                assert_eq!(shown(&world, T).await, before);
                // The staged rows went with the connection.
                let again = applier.warehouse.merge(&merge).await;
                assert!(matches!(again, Err(WarehouseError::Transient { .. })), "{again:?}");
            }
            Outcome::Unexpected => panic!("{state:?}"),
        }
    }
    panic!("the merge never came through");
}

#[tokio::test]
async fn a_killed_backend_is_transient_and_leaves_nothing() {
    let world = PostgresWorld::new();
    let mut files = Files::default();
    let mut applier = Applier::open(&world, "one").await;
    applier.ensure(&orders(T)).await.unwrap();
    let staged = notes(&mut files, 1, &["a"]);
    let changes = [Change::files(T, staged)];
    let merge = applier.stage(&files, &changes).await.unwrap();
    world
        .query("SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE application_name = 'tailwater' AND datname = current_database()")
        .await;
    let killed = applier.warehouse.merge(&merge).await;
    assert!(matches!(killed, Err(WarehouseError::Transient { .. })), "{killed:?}");
    assert!(shown(&world, T).await.is_empty());
    applier.apply(&files, &changes).await.unwrap();
    assert_eq!(shown(&world, T).await, ["a"]);
}

#[tokio::test]
async fn a_role_without_rights_is_told_what_to_grant() {
    let world = PostgresWorld::new();
    world.query("CREATE ROLE weak LOGIN PASSWORD 'weak-secret'").await;
    world.query("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    let database = world.query("SELECT current_database()::text").await[0][0].clone().unwrap();
    world.query(&format!("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC")).await;
    let url = format!("postgres://weak:weak-secret@{}/{database}", world.address());
    let weak = Postgres::new(&url, "public").unwrap();
    let mends: Vec<String> = weak.check().await.into_iter().map(|f| f.mend).collect();
    assert_eq!(
        mends,
        [
            format!("GRANT TEMPORARY ON DATABASE \"{database}\" TO \"weak\""),
            "CREATE SCHEMA \"_tailwater\" AUTHORIZATION \"weak\"".to_owned(),
            "GRANT USAGE, CREATE ON SCHEMA \"public\" TO \"weak\"".to_owned(),
        ]
    );
    let refused = weak.open_group(&claim("weak", 0)).await;
    assert!(matches!(refused, Err(WarehouseError::Config { .. })), "{refused:?}");
    for mend in mends {
        world.query(&mend).await;
    }
    assert_eq!(weak.check().await, []);
    let mut applier = Applier::over(Box::new(weak), "weak").await;
    applier.ensure(&orders("orders")).await.unwrap();
    let mut files = Files::default();
    let staged = notes(&mut files, 1, &["a"]);
    applier.apply(&files, &[Change::files("orders", staged)]).await.unwrap();
    // A wrong password and a missing database are the operator's to mend, and the password is not repeated.
    for url in [
        format!("postgres://weak:other-secret@{}/{database}", world.address()),
        format!("postgres://weak:weak-secret@{}/nowhere", world.address()),
    ] {
        let wrong = Postgres::new(&url, "public").unwrap();
        let error = wrong.open_group(&claim("weak", 0)).await.unwrap_err();
        assert!(matches!(error, WarehouseError::Config { .. }), "{error:?}");
        let text = format!("{error:?} {wrong:?} {:?}", wrong.check().await);
        assert!(!text.contains("-secret"), "{text}");
    }
}

#[tokio::test]
async fn an_unreachable_server_is_transient() {
    let world = PostgresWorld::new();
    let proxy = Proxy::start(world.address()).unwrap();
    proxy.set_down(true);
    let warehouse = Postgres::new(&proxy.url(&world.url), "public").unwrap();
    let down = warehouse.group_state(GROUP).await;
    assert!(matches!(down, Err(WarehouseError::Transient { .. })), "{down:?}");
    assert_eq!(warehouse.check().await.len(), 1);
    proxy.set_down(false);
    assert_eq!(warehouse.group_state(GROUP).await.unwrap(), None);
}

/// Ticks must not grow the catalog: staging is made once.
#[tokio::test]
async fn ticks_leave_no_trace_in_the_catalog() {
    let world = PostgresWorld::new();
    let mut files = Files::default();
    let mut applier = Applier::open(&world, "one").await;
    applier.ensure(&orders(T)).await.unwrap();
    let written = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::text FROM pg_stat_sys_tables \
                   WHERE relname IN ('pg_class', 'pg_attribute', 'pg_type', 'pg_depend', 'pg_index', 'pg_statistic')";
    let mut counts = Vec::new();
    for tick in 0..40 {
        let staged = notes(&mut files, 10 * tick + 1, &["a", "b"]);
        applier.apply(&files, &[Change::files(T, staged)]).await.unwrap();
        if tick == 2 || tick == 39 {
            // Statistics of an open session come late: closing it sends them.
            let number = applier.number;
            drop(applier.warehouse);
            let before = world.query(written).await;
            applier = Applier::over(world.connect(), "one").await;
            applier.number = number;
            applier.ensure(&orders(T)).await.unwrap();
            counts.push(before[0][0].clone().unwrap().parse::<i64>().unwrap());
        }
    }
    // Between the two lie one new session's temporary tables, well below one row of the catalog per tick and table.
    let grown = counts[1] - counts[0];
    assert!(grown < 200, "{grown} catalog rows written in 37 ticks");
}

#[tokio::test]
async fn another_process_may_use_the_sqlite_file() {
    let world = SqliteWorld::new();
    let mut files = Files::default();
    let mut applier = Applier::open(&world, "one").await;
    applier.ensure(&orders(T)).await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.path());
    let mut foreign = options.connect().await.unwrap();
    // A reader in the middle of its transaction does not hinder the merge and keeps its view.
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM shop_orders").execute(&mut foreign).await.unwrap();
    let staged = notes(&mut files, 1, &["a"]);
    applier.apply(&files, &[Change::files(T, staged)]).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM shop_orders").fetch_one(&mut foreign).await.unwrap();
    assert_eq!(seen, 0);
    sqlx::raw_sql("COMMIT").execute(&mut foreign).await.unwrap();
    // A writer is waited for; staging does not even wait.
    sqlx::raw_sql("BEGIN IMMEDIATE; CREATE TABLE of_others (x)").execute(&mut foreign).await.unwrap();
    let staged = notes(&mut files, 10, &["b"]);
    let merge = applier.stage(&files, &[Change::files(T, staged)]).await.unwrap();
    let mut merging = Box::pin(applier.merge(&merge));
    assert!(futures::poll!(merging.as_mut()).is_pending());
    sqlx::raw_sql("COMMIT").execute(&mut foreign).await.unwrap();
    merging.await.unwrap();
    assert_eq!(shown(&world, T).await, ["b"]);
}

#[tokio::test]
async fn sqlite_files_that_cannot_be_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Sqlite::new(folder.path().join("no/such/folder.db"), Durability::Full);
    assert_eq!(missing.check().await.len(), 1);
    let refused = missing.open_group(&claim("one", 0)).await;
    assert!(matches!(refused, Err(WarehouseError::Config { .. })), "{refused:?}");
    let path = folder.path().join("text.db");
    std::fs::write(&path, "this is no database, but it is long enough to look like one. ".repeat(40)).unwrap();
    let text = Sqlite::new(&path, Durability::Full);
    assert_eq!(text.check().await.len(), 1);
    let refused = text.open_group(&claim("one", 0)).await;
    assert!(matches!(refused, Err(WarehouseError::Fatal { .. })), "{refused:?}");
}

/// Full durability takes the same way as the tests' own.
#[tokio::test]
async fn a_durable_sqlite_file_works() {
    let world = SqliteWorld::new();
    let warehouse = Box::new(Sqlite::new(world.path(), Durability::Full));
    let mut applier = Applier::over(warehouse, "one").await;
    applier.ensure(&orders(T)).await.unwrap();
    let mut files = Files::default();
    let plan = orders(T);
    let columns: Vec<_> = plan.columns.iter().map(|c| c.column.clone()).collect();
    let rows = [row(&origin(SHARD, "t"), 1, Op::Insert, &["1", "a"])];
    let staged = vec![files.add(&schema(&columns), &rows)];
    applier.apply(&files, &[Change::files(T, staged)]).await.unwrap();
    assert_eq!(shown(&world, T).await, ["a"]);
}
