//! Columns that become wider, in the ways that Redshift has.

use tailwater::{
    model::{Column, ColumnDefault, ColumnType, Op},
    warehouse::{Deletes, KeyMode, TablePlan, WarehouseError, redshift::RedshiftOptions},
};

use super::world::RedshiftWorld;
use crate::warehouse::{
    applier::{Applier, Change, SHARD},
    world::{Files, World, column, origin, plan, row, schema},
};

const T: &str = "shop.t";

fn text(bytes: u32) -> ColumnType {
    ColumnType::Text { bytes_max: Some(bytes) }
}

fn columns(note: ColumnType, n: ColumnType) -> Vec<Column> {
    vec![column("id", ColumnType::Int64, Some(0)), column("note", note, None), column("n", n, None)]
}

fn planned(columns: &[Column], key_mode: KeyMode) -> TablePlan {
    plan(T, columns, key_mode, Deletes::Hard)
}

async fn put(applier: &mut Applier, columns: &[Column], seq: i64, values: &[&str]) {
    let mut files = Files::default();
    let staged = vec![files.add(&schema(columns), &[row(&origin(SHARD, "t"), seq, Op::Insert, values)])];
    applier.apply(&files, &[Change::files(T, staged)]).await.unwrap();
}

async fn rows(world: &RedshiftWorld) -> Vec<Vec<Option<String>>> {
    world.query(&format!("SELECT id, note, n FROM {} ORDER BY id", world.table(T))).await
}

fn cells(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|v| Some((*v).to_owned())).collect()
}

/// Texts grow outside of any transaction, numbers are replaced inside of one, in the target and in the side table; and what was
/// done once is done when it is asked for again.
#[tokio::test]
async fn columns_grow_in_target_and_side_table() {
    for key_mode in [KeyMode::PerOrigin, KeyMode::Global { updated_at: None }] {
        let world = RedshiftWorld::new();
        let mut applier = Applier::open(&world, "one").await;
        let (small, large) = (columns(text(4), ColumnType::Int16), columns(text(40), ColumnType::Int64));
        applier.ensure(&planned(&small, key_mode.clone())).await.unwrap();
        put(&mut applier, &small, 1, &["1", "four", "7"]).await;
        let state = applier.ensure(&planned(&large, key_mode.clone())).await.unwrap();
        assert_eq!(state.widened, ["note", "n"]);
        put(&mut applier, &large, 2, &["2", "more than four", "9000000000"]).await;
        // A shard that is behind still sends the small types.
        put(&mut applier, &small, 3, &["3", "late", "8"]).await;
        let expected =
            [["1", "four", "7"], ["2", "more than four", "9000000000"], ["3", "late", "8"]].map(|r| cells(&r));
        assert_eq!(rows(&world).await, expected);
        // A crash between the growth and its registration: the size is there already.
        let forgotten = world.query("SELECT definition FROM _tailwater.target").await[0][0].clone().unwrap();
        let forgotten = forgotten.replace("\"bytes_max\":40", "\"bytes_max\":4").replace('\'', "''");
        world.query(&format!("UPDATE _tailwater.target SET definition = '{forgotten}'")).await;
        let state = applier.ensure(&planned(&large, key_mode)).await.unwrap();
        assert_eq!(state.widened, ["note"]);
    }
}

/// A text with a default cannot be altered: it is replaced, and keeps values and default.
#[tokio::test]
async fn a_text_with_a_default_grows_too() {
    let world = RedshiftWorld::new();
    let mut applier = Applier::open(&world, "one").await;
    let with_default = |note| {
        let mut plan = planned(&columns(note, ColumnType::Int16), KeyMode::PerOrigin);
        plan.columns[1].default = ColumnDefault::Literal("it's \\".to_owned());
        plan
    };
    applier.ensure(&with_default(text(8))).await.unwrap();
    put(&mut applier, &columns(text(8), ColumnType::Int16), 1, &["1", "old", "1"]).await;
    assert_eq!(applier.ensure(&with_default(text(80))).await.unwrap().widened, ["note"]);
    let short = [columns(text(8), ColumnType::Int16)[0].clone(), column("n", ColumnType::Int16, None)];
    put(&mut applier, &short, 2, &["2", "2"]).await;
    assert_eq!(rows(&world).await, [cells(&["1", "old", "1"]), cells(&["2", "it's \\", "2"])]);
}

/// A view that reads the column is never dropped: the table waits for its owner.
#[tokio::test]
async fn a_view_is_never_dropped() {
    let world = RedshiftWorld::new();
    let mut applier = Applier::open(&world, "one").await;
    let (small, large) = (columns(text(4), ColumnType::Int16), columns(text(4), ColumnType::Int32));
    applier.ensure(&planned(&small, KeyMode::PerOrigin)).await.unwrap();
    put(&mut applier, &small, 1, &["1", "a", "7"]).await;
    world.query(&format!("CREATE VIEW shop.reads AS SELECT id, n FROM {}", world.table(T))).await;
    match applier.ensure(&planned(&large, KeyMode::PerOrigin)).await {
        Err(WarehouseError::Table { reason, .. }) => assert!(reason.contains("a view reads"), "{reason}"),
        other => panic!("{other:?}"),
    }
    // Nothing was done by half, and the view reads on.
    assert_eq!(world.query("SELECT n FROM shop.reads").await, [cells(&["7"])]);
    put(&mut applier, &small, 2, &["2", "b", "8"]).await;
    world.query("DROP VIEW shop.reads").await;
    applier.ensure(&planned(&large, KeyMode::PerOrigin)).await.unwrap();
    put(&mut applier, &large, 3, &["3", "c", "100000"]).await;
    assert_eq!(rows(&world).await.len(), 3);
}

fn keyed(ty: ColumnType) -> Vec<Column> {
    vec![column("id", ty, Some(0)), column("n", ColumnType::Int16, None)]
}

/// Key columns cannot be altered, so they are made wide: a growing key changes nothing, in whatever types rows come and
/// whether they come by COPY or as INSERT.
#[tokio::test]
async fn integer_keys_are_made_for_what_they_become() {
    for (key_mode, insert_rows_max) in [(KeyMode::PerOrigin, 0), (KeyMode::Global { updated_at: None }, 200)] {
        let world = RedshiftWorld::new();
        let options = RedshiftOptions { insert_rows_max, ..world.options() };
        let mut applier = Applier::over(Box::new(world.uploading(options)), "one").await;
        let plan = |ty| planned(&keyed(ty), key_mode.clone());
        applier.ensure(&plan(ColumnType::Int32)).await.unwrap();
        put(&mut applier, &keyed(ColumnType::Int32), 1, &["2147483647", "1"]).await;
        assert!(applier.ensure(&plan(ColumnType::Int64)).await.unwrap().widened.is_empty());
        put(&mut applier, &keyed(ColumnType::Int64), 2, &["9000000000", "2"]).await;
        // Shards that are before and behind the change, in one tick; and the same key in both types.
        let mut files = Files::default();
        let late = [row(&origin(SHARD, "t"), 3, Op::Update, &["2147483647", "3"])];
        let new = [row(&origin(SHARD, "t"), 4, Op::Delete, &["9000000000", "2"])];
        let mixed = vec![
            files.add(&schema(&keyed(ColumnType::Int32)), &late),
            files.add(&schema(&keyed(ColumnType::Int64)), &new),
        ];
        applier.apply(&files, &[Change::files(T, mixed)]).await.unwrap();
        put(&mut applier, &keyed(ColumnType::Int16), 5, &["7", "4"]).await;
        let rows = world.query(&format!("SELECT id, n FROM {} ORDER BY id", world.table(T))).await;
        assert_eq!(rows, [cells(&["7", "4"]), cells(&["2147483647", "3"])]);
    }
}

/// What still cannot become wider is told with its mend: texts beyond the longest key, and tables of before.
#[tokio::test]
async fn keys_that_cannot_grow_park_the_table() {
    let world = RedshiftWorld::new();
    let applier = Applier::open(&world, "one").await;
    let keyed = |ty| planned(&[column("id", ty, Some(0))], KeyMode::PerOrigin);
    let refused = async |plan: &TablePlan| match applier.ensure(plan).await {
        Err(WarehouseError::Table { reason, .. }) => {
            assert!(reason.contains("rename shop.t away") && reason.contains("tailwater rebuild"), "{reason}");
        }
        other => panic!("{other:?}"),
    };
    for size in [40, 400, 1_024] {
        assert!(applier.ensure(&keyed(text(size))).await.unwrap().widened.is_empty());
    }
    refused(&keyed(text(4_000))).await;
    // As an earlier version registered an INT key.
    world.query(&format!("DROP TABLE {}", world.table(T))).await;
    world.query("DELETE FROM _tailwater.target").await;
    applier.ensure(&keyed(ColumnType::Int32)).await.unwrap();
    let narrow = world.query("SELECT definition FROM _tailwater.target").await[0][0].clone().unwrap();
    assert!(narrow.contains("\"int64\""), "{narrow}");
    let narrow = narrow.replace("\"int64\"", "\"int32\"");
    world.query(&format!("UPDATE _tailwater.target SET definition = '{narrow}'")).await;
    applier.ensure(&keyed(ColumnType::Int32)).await.unwrap();
    refused(&keyed(ColumnType::Int64)).await;
}

/// A definition that does not fit one VARCHAR is kept in pieces.
#[tokio::test]
async fn a_table_of_many_columns_is_remembered() {
    let world = RedshiftWorld::new();
    let applier = Applier::open(&world, "one").await;
    let mut many = vec![column("id", ColumnType::Int64, Some(0))];
    many.extend((0..900).map(|n| column(&format!("a_column_with_a_rather_long_name_{n}"), ColumnType::Int32, None)));
    applier.ensure(&planned(&many, KeyMode::PerOrigin)).await.unwrap();
    let again = applier.ensure(&planned(&many, KeyMode::PerOrigin)).await.unwrap();
    assert!(!again.created && again.added.is_empty());
    let pieces = world.query("SELECT count(*) FROM _tailwater.target").await;
    assert_ne!(pieces[0][0].as_deref(), Some("1"));
}
