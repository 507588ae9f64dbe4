//! What targets become: columns, defaults, types, keys, deletes, floors, and what is refused.

use tailwater::{
    model::{Column, ColumnDefault, ColumnType, Op, Seq, Target},
    warehouse::{Deletes, Fill, KeyMode, TableFiles, TablePlan, WarehouseError},
};

use super::{
    applier::{Applier, Change, SHARD},
    on_every_warehouse,
    world::{Files, LakeRow, TEXT, World, column, origin, plan, row, schema},
};

on_every_warehouse!(
    older_files_take_the_default_of_a_newer_column,
    a_column_that_exists_is_filled_per_origin,
    dropped_columns_stay,
    types_widen_and_never_narrow,
    tables_of_others_are_left_alone,
    altered_tables_are_refused,
    impossible_names_are_refused,
    a_table_belongs_to_one_group,
    keys_are_compared_by_bytes,
    the_last_row_of_an_origin_wins_in_any_order,
    soft_deletes_keep_tombstones_and_seqs,
    ignored_deletes_change_nothing,
    tables_without_a_key_are_appended_to,
    a_moved_row_shows_its_winner,
    of_deleted_rows_the_last_deleted_is_shown,
    an_unknown_column_is_a_definite_error,
    a_null_key_is_a_definite_error,
);

const T: &str = "shop.t";

fn id() -> Column {
    column("id", ColumnType::Int32, Some(0))
}

fn int(name: &str) -> Column {
    column(name, ColumnType::Int32, None)
}

fn per_origin(columns: &[Column]) -> TablePlan {
    plan(T, columns, KeyMode::PerOrigin, Deletes::Hard)
}

fn with_default(mut plan: TablePlan, name: &str, default: &str) -> TablePlan {
    for column in &mut plan.columns {
        if column.column.name == name {
            column.default = ColumnDefault::Literal(default.to_owned());
        }
    }
    plan
}

/// `columns` of all rows, in the order of the texts.
async fn all(world: &dyn World, columns: &str) -> Vec<String> {
    let sql = format!("SELECT {columns} FROM {}", world.table(T));
    let text = |row: Vec<Option<String>>| {
        row.into_iter().map(|c| c.unwrap_or_else(|| "NULL".to_owned())).collect::<Vec<_>>().join(" ")
    };
    let mut rows: Vec<String> = world.query(&sql).await.into_iter().map(text).collect();
    rows.sort();
    rows
}

async fn put(applier: &mut Applier, columns: &[Column], rows: &[LakeRow]) -> Result<(), WarehouseError> {
    let mut files = Files::default();
    let staged = vec![files.add(&schema(columns), rows)];
    applier.apply(&files, &[Change::files(T, staged)]).await.map(|_| ())
}

async fn floor(applier: &mut Applier, origin: &tailwater::model::Origin, seq: i64) {
    applier.apply(&Files::default(), &[Change::floor(T, origin, seq)]).await.unwrap();
}

fn refused(result: Result<impl std::fmt::Debug, WarehouseError>) -> String {
    match result {
        Err(WarehouseError::Table { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn older_files_take_the_default_of_a_newer_column(world: &dyn World) {
    let mut applier = Applier::open(world, "one").await;
    let (old, new) = (vec![id(), int("a")], vec![id(), int("a"), int("b")]);
    let state = applier.ensure(&per_origin(&old)).await.unwrap();
    assert!(state.created);
    let (s1, s2) = (origin(SHARD, "t"), origin("s2", "t"));
    put(&mut applier, &old, &[row(&s1, 1, Op::Insert, &["1", "10"])]).await.unwrap();
    let plan = with_default(per_origin(&new), "b", "7");
    let state = applier.ensure(&plan).await.unwrap();
    assert_eq!((state.created, state.added), (false, vec!["b".to_owned()]));
    let again = applier.ensure(&plan).await.unwrap();
    assert!(again.added.is_empty() && again.widened.is_empty());
    // One tick with files of both schemas, and one key in both.
    let mut files = Files::default();
    let older =
        files.add(&schema(&old), &[row(&s2, 1, Op::Insert, &["1", "20"]), row(&s2, 2, Op::Insert, &["2", "21"])]);
    let newer = files.add(
        &schema(&new),
        &[row(&s1, 2, Op::Insert, &["2", "11", "NULL"]), row(&s2, 3, Op::Update, &["2", "22", "8"])],
    );
    applier.apply(&files, &[Change::files(T, vec![newer, older])]).await.unwrap();
    assert_eq!(
        all(world, "_tw_origin, id, a, b").await,
        ["s1:shop.t 1 10 7", "s1:shop.t 2 11 NULL", "s2:shop.t 1 20 7", "s2:shop.t 2 22 8"]
    );
}

async fn a_column_that_exists_is_filled_per_origin(world: &dyn World) {
    for global in [false, true] {
        let mut applier = Applier::open(world, "one").await;
        let columns = vec![id(), int("a"), int("b")];
        let target = format!("fill.g{global}");
        let key_mode = if global { KeyMode::Global { updated_at: None } } else { KeyMode::PerOrigin };
        let plan = with_default(plan(&target, &columns, key_mode, Deletes::Soft), "b", "7");
        applier.ensure(&plan).await.unwrap();
        let (s1, s2) = (origin(SHARD, "t"), origin("s2", "t"));
        let mut files = Files::default();
        // With a global key s2's row of key 1 waits in the side table.
        let rows = [
            row(&s1, 9, Op::Insert, &["1", "0", "1"]),
            row(&s2, 3, Op::Insert, &["1", "0", "2"]),
            row(&s2, 4, Op::Insert, &["2", "0", "NULL"]),
            row(&s2, 8, Op::Insert, &["3", "0", "3"]),
        ];
        let staged = vec![files.add(&schema(&columns), &rows)];
        applier.apply(&files, &[Change::files(&target, staged)]).await.unwrap();
        let fill = |value| Fill { origin: s2.clone(), column: "b".to_owned(), value, below: Seq(5) };
        for value in [ColumnDefault::Literal("42".to_owned()), ColumnDefault::Unknown] {
            let fills = vec![fill(value)];
            let change = Change { target: target.clone(), fills, ..Change::default() };
            applier.apply(&files, &[change]).await.unwrap();
        }
        let read = async |table: &str| {
            let rows = world.query(&format!("SELECT id, b FROM {table} ORDER BY _tw_seq")).await;
            rows.into_iter().map(|r| format!("{} {}", r[0].clone().unwrap(), r[1].clone().unwrap())).collect::<Vec<_>>()
        };
        let target_rows = read(&world.table(&target)).await;
        if global {
            assert_eq!(target_rows, ["2 42", "3 3", "1 1"]);
            assert_eq!(read(&world.private("side_fill").await[0]).await, ["1 42"]);
        } else {
            assert_eq!(target_rows, ["1 42", "2 42", "3 3", "1 1"]);
        }
    }
}

async fn dropped_columns_stay(world: &dyn World) {
    let mut applier = Applier::open(world, "one").await;
    let (wide, narrow) = (vec![id(), int("a"), int("b")], vec![id(), int("b")]);
    applier.ensure(&per_origin(&wide)).await.unwrap();
    let o = origin(SHARD, "t");
    put(&mut applier, &wide, &[row(&o, 1, Op::Insert, &["1", "10", "11"])]).await.unwrap();
    applier.ensure(&per_origin(&narrow)).await.unwrap();
    put(&mut applier, &narrow, &[row(&o, 2, Op::Insert, &["2", "21"])]).await.unwrap();
    assert_eq!(all(world, "id, a, b").await, ["1 10 11", "2 NULL 21"]);
}

pub(crate) async fn types_widen_and_never_narrow(world: &dyn World) {
    let mut applier = Applier::open(world, "one").await;
    let of = |ty| vec![id(), column("n", ty, None), column("d", ColumnType::Decimal { precision: 10, scale: 2 }, None)];
    let (small, big) = (of(ColumnType::Int16), of(ColumnType::Int64));
    applier.ensure(&per_origin(&small)).await.unwrap();
    let o = origin(SHARD, "t");
    put(&mut applier, &small, &[row(&o, 1, Op::Insert, &["1", "-5", "-123"])]).await.unwrap();
    assert_eq!(applier.ensure(&per_origin(&big)).await.unwrap().widened, ["n"]);
    put(&mut applier, &big, &[row(&o, 2, Op::Insert, &["2", "9000000000", "1"])]).await.unwrap();
    // A shard that is behind still sends the small type, and a plan made for it changes nothing.
    assert!(applier.ensure(&per_origin(&small)).await.unwrap().widened.is_empty());
    put(&mut applier, &small, &[row(&o, 3, Op::Insert, &["3", "7", "1"])]).await.unwrap();
    assert_eq!(all(world, "id, n, d").await, ["1 -5 -1.23", "2 9000000000 0.01", "3 7 0.01"]);
    let reason = refused(applier.ensure(&per_origin(&of(TEXT))).await);
    assert!(reason.contains("rebuild"), "{reason}");
    refused(put(&mut applier, &of(TEXT), &[row(&o, 4, Op::Insert, &["4", "x", "1"])]).await);
}

async fn tables_of_others_are_left_alone(world: &dyn World) {
    let applier = Applier::open(world, "one").await;
    if world.table(T).contains('.') {
        world.query("CREATE SCHEMA shop").await;
    }
    world.query(&format!("CREATE TABLE {} (id INTEGER, precious TEXT)", world.table(T))).await;
    world.query(&format!("INSERT INTO {} VALUES (1, 'mine')", world.table(T))).await;
    let reason = refused(applier.ensure(&per_origin(&[id()])).await);
    assert!(reason.contains("not made by Tailwater"), "{reason}");
    assert_eq!(all(world, "id, precious").await, ["1 mine"]);
}

async fn altered_tables_are_refused(world: &dyn World) {
    let columns = vec![id(), int("a"), int("b")];
    let table = world.table(T);
    let steps = [
        (format!("ALTER TABLE {table} ADD COLUMN own TEXT"), format!("ALTER TABLE {table} DROP COLUMN own"), "own"),
        (
            format!("ALTER TABLE {table} RENAME COLUMN b TO c"),
            format!("ALTER TABLE {table} RENAME COLUMN c TO b"),
            "column c was added",
        ),
        (
            format!("ALTER TABLE {table} RENAME COLUMN _tw_seq TO seq"),
            format!("ALTER TABLE {table} RENAME COLUMN seq TO _tw_seq"),
            "column seq was added",
        ),
        (format!("ALTER TABLE {table} DROP COLUMN b"), format!("ALTER TABLE {table} ADD COLUMN b INTEGER"), "column b"),
        (format!("DROP TABLE {table}"), String::new(), "was dropped by somebody else"),
    ];
    let applier = Applier::open(world, "one").await;
    applier.ensure(&per_origin(&columns)).await.unwrap();
    for (harm, mend, expected) in steps {
        world.query(&harm).await;
        let reason = refused(applier.ensure(&per_origin(&columns)).await);
        assert!(reason.contains(expected), "{harm}: {reason}");
        if !mend.is_empty() {
            world.query(&mend).await;
            applier.ensure(&per_origin(&columns)).await.unwrap();
        }
    }
    // A changed key would need other rows: only a rebuild makes them.
    let mut applier = applier;
    let other = plan("shop.key", &columns, KeyMode::PerOrigin, Deletes::Hard);
    applier.ensure(&other).await.unwrap();
    let changed = [
        TablePlan { key: vec!["a".to_owned()], ..other.clone() },
        TablePlan { key_mode: KeyMode::Global { updated_at: None }, ..other.clone() },
        TablePlan { deletes: Deletes::Soft, ..other },
    ];
    for plan in changed {
        let reason = refused(applier.ensure(&plan).await);
        assert!(reason.contains("tailwater rebuild"), "{reason}");
    }
    applier.apply(&Files::default(), &[]).await.unwrap();
}

async fn impossible_names_are_refused(world: &dyn World) {
    let applier = Applier::open(world, "one").await;
    let long = "n".repeat(300);
    for names in [
        vec!["Id", "id"],
        vec!["id", "_tw_x"],
        vec!["id", "_TW_seq"],
        vec!["id", ""],
        vec!["id", "a\0b"],
        vec!["id", &long],
    ] {
        let mut columns: Vec<Column> = names.iter().map(|n| int(n)).collect();
        columns[0].key = Some(0);
        refused(applier.ensure(&per_origin(&columns)).await);
    }
    for target in ["", "a.b.c", &long] {
        refused(applier.ensure(&plan(target, &[id()], KeyMode::PerOrigin, Deletes::Hard)).await);
    }
    applier.ensure(&per_origin(&[id(), int("a")])).await.unwrap();
    let reason = refused(applier.ensure(&per_origin(&[id(), int("A")])).await);
    assert!(reason.contains("up to case"), "{reason}");
    // Two targets at one place; on products without schemas only.
    let same = applier.ensure(&plan("shop_t", &[id()], KeyMode::PerOrigin, Deletes::Hard)).await;
    if world.table(T) == world.table("shop_t") {
        assert!(refused(same).contains("Tailwater") || world.table(T).contains('_'));
    } else {
        same.unwrap();
    }
    // Everything else is only a name.
    let odd = vec![id(), int("select"), int("it's \"quoted\""), int("größe"), int("a b;--")];
    let mut applier = applier;
    applier.ensure(&plan("shop.order by", &odd, KeyMode::PerOrigin, Deletes::Hard)).await.unwrap();
    let mut files = Files::default();
    let staged = vec![files.add(&schema(&odd), &[row(&origin(SHARD, "t"), 1, Op::Insert, &["1", "2", "3", "4", "5"])])];
    applier.apply(&files, &[Change::files("shop.order by", staged)]).await.unwrap();
}

async fn a_table_belongs_to_one_group(world: &dyn World) {
    let applier = Applier::open(world, "one").await;
    applier.ensure(&per_origin(&[id()])).await.unwrap();
    let mut claim = super::applier::claim("two", 0);
    claim.group = "other".to_owned();
    let (fence, _) = applier.warehouse.open_group(&claim).await.unwrap();
    let reason = refused(applier.warehouse.ensure_table(&fence, &per_origin(&[id()])).await);
    assert!(reason.contains("group main"), "{reason}");
}

async fn keys_are_compared_by_bytes(world: &dyn World) {
    let mut applier = Applier::open(world, "one").await;
    let columns = vec![column("code", TEXT, Some(0)), column("n", ColumnType::Int16, Some(1)), int("a")];
    applier.ensure(&per_origin(&columns)).await.unwrap();
    let o = origin(SHARD, "t");
    let keys = ["a", "A", "a ", "a  ", "", " ", "\u{e4}", "a\u{308}", "\u{df}", "ss", "\u{1f600}"];
    let rows: Vec<LakeRow> =
        keys.iter().enumerate().map(|(i, k)| row(&o, i as i64, Op::Insert, &[k, "1", &i.to_string()])).collect();
    put(&mut applier, &columns, &rows).await.unwrap();
    assert_eq!(all(world, "code").await.len(), keys.len());
    // 'a' becomes 'A': a delete and an insert.
    let seq = 100;
    put(
        &mut applier,
        &columns,
        &[row(&o, seq, Op::Delete, &["a", "1", "0"]), row(&o, seq + 1, Op::Insert, &["A", "1", "50"])],
    )
    .await
    .unwrap();
    let rows = all(world, "code, a").await;
    assert!(rows.contains(&"A 50".to_owned()) && !rows.contains(&"a 0".to_owned()), "{rows:?}");
    assert_eq!(rows.len(), keys.len() - 1);
}

async fn the_last_row_of_an_origin_wins_in_any_order(world: &dyn World) {
    let mut applier = Applier::open(world, "one").await;
    let columns = vec![id(), int("a")];
    applier.ensure(&per_origin(&columns)).await.unwrap();
    let (s1, s2) = (origin(SHARD, "t"), origin("s2", "t"));
    let rows = [
        row(&s1, 5, Op::Update, &["1", "5"]),
        row(&s1, 3, Op::Insert, &["1", "3"]),
        row(&s2, 4, Op::Insert, &["1", "40"]),
        row(&s1, 7, Op::Delete, &["2", "7"]),
        row(&s1, 6, Op::Insert, &["2", "6"]),
        row(&s1, 8, Op::Snapshot, &["3", "8"]),
        row(&s1, 8, Op::Snapshot, &["3", "8"]),
    ];
    put(&mut applier, &columns, &rows).await.unwrap();
    let expected = ["s1:shop.t 1 5 5", "s1:shop.t 3 8 8", "s2:shop.t 1 40 4"];
    assert_eq!(all(world, "_tw_origin, id, a, _tw_seq").await, expected);
    // Late and older: nothing changes, deletes included.
    put(&mut applier, &columns, &[row(&s1, 4, Op::Delete, &["1", "4"]), row(&s2, 4, Op::Update, &["1", "41"])])
        .await
        .unwrap();
    assert_eq!(all(world, "_tw_origin, id, a, _tw_seq").await, expected);
    // A floor takes older rows of its origin, staged ones included, and no others.
    let mut files = Files::default();
    let rows = [row(&s1, 9, Op::Insert, &["9", "9"]), row(&s1, 11, Op::Insert, &["1", "11"])];
    let mut change = Change::files(T, vec![files.add(&schema(&columns), &rows)]);
    change.floors = vec![super::applier::floor(T, &s1, 10), super::applier::floor(T, &s1, 2)];
    applier.apply(&files, &[change]).await.unwrap();
    assert_eq!(all(world, "_tw_origin, id, a, _tw_seq").await, ["s1:shop.t 1 11 11", "s2:shop.t 1 40 4"]);
    floor(&mut applier, &s2, 5).await;
    assert_eq!(all(world, "_tw_origin, id").await, ["s1:shop.t 1"]);
}

pub(crate) async fn soft_deletes_keep_tombstones_and_seqs(world: &dyn World) {
    let mut applier = Applier::open(world, "one").await;
    let columns = vec![id(), int("a")];
    applier.ensure(&plan(T, &columns, KeyMode::PerOrigin, Deletes::Soft)).await.unwrap();
    let o = origin(SHARD, "t");
    let live = "CASE WHEN _tw_deleted THEN 'dead' ELSE 'live' END";
    let shown = format!("id, a, _tw_seq, {live}");
    put(&mut applier, &columns, &[row(&o, 1, Op::Insert, &["1", "1"]), row(&o, 2, Op::Insert, &["2", "2"])])
        .await
        .unwrap();
    put(&mut applier, &columns, &[row(&o, 3, Op::Delete, &["1", "1"])]).await.unwrap();
    assert_eq!(all(world, &shown).await, ["1 1 3 dead", "2 2 2 live"]);
    put(&mut applier, &columns, &[row(&o, 2, Op::Update, &["1", "9"])]).await.unwrap();
    let mut files = Files::default();
    let rows = [row(&o, 4, Op::Insert, &["4", "4"]), row(&o, 6, Op::Insert, &["2", "6"])];
    let mut change = Change::files(T, vec![files.add(&schema(&columns), &rows)]);
    change.floors = vec![super::applier::floor(T, &o, 5)];
    applier.apply(&files, &[change]).await.unwrap();
    assert_eq!(all(world, &shown).await, ["1 1 3 dead", "2 6 6 live", "4 4 4 dead"]);
    floor(&mut applier, &o, 7).await;
    put(&mut applier, &columns, &[row(&o, 8, Op::Insert, &["1", "8"])]).await.unwrap();
    assert_eq!(all(world, &shown).await, ["1 8 8 live", "2 6 6 dead", "4 4 4 dead"]);
}

async fn ignored_deletes_change_nothing(world: &dyn World) {
    let mut applier = Applier::open(world, "one").await;
    let columns = vec![id(), int("a")];
    applier.ensure(&plan(T, &columns, KeyMode::PerOrigin, Deletes::Ignore)).await.unwrap();
    let o = origin(SHARD, "t");
    let rows =
        [row(&o, 1, Op::Insert, &["1", "1"]), row(&o, 2, Op::Insert, &["2", "2"]), row(&o, 3, Op::Delete, &["2", "2"])];
    put(&mut applier, &columns, &rows).await.unwrap();
    floor(&mut applier, &o, 10).await;
    put(&mut applier, &columns, &[row(&o, 11, Op::Delete, &["1", "1"]), row(&o, 12, Op::Update, &["2", "12"])])
        .await
        .unwrap();
    assert_eq!(all(world, "id, a, _tw_seq").await, ["1 1 1", "2 12 12"]);
}

async fn tables_without_a_key_are_appended_to(world: &dyn World) {
    let columns = vec![int("a")];
    let mut applier = Applier::open(world, "one").await;
    let o = origin(SHARD, "t");
    for (deletes, expected) in [
        (Deletes::Hard, vec!["2 u 3", "3 d 4"]),
        (Deletes::Ignore, vec!["1 i 1", "1 i 2", "2 u 3"]),
        (Deletes::Soft, vec!["1 i 1", "1 i 2", "2 u 3", "3 d 4"]),
    ] {
        let target = format!("shop.{deletes:?}");
        applier.ensure(&plan(&target, &columns, KeyMode::PerOrigin, deletes)).await.unwrap();
        let mut files = Files::default();
        let first =
            vec![files.add(&schema(&columns), &[row(&o, 1, Op::Insert, &["1"]), row(&o, 2, Op::Insert, &["1"])])];
        applier.apply(&files, &[Change::files(&target, first)]).await.unwrap();
        let second =
            vec![files.add(&schema(&columns), &[row(&o, 3, Op::Update, &["2"]), row(&o, 4, Op::Delete, &["3"])])];
        let mut change = Change::files(&target, second);
        change.floors = vec![super::applier::floor(&target, &o, 3)];
        applier.apply(&files, &[change]).await.unwrap();
        let sql = format!("SELECT a, _tw_op, _tw_seq FROM {} ORDER BY _tw_seq", world.table(&target));
        let rows: Vec<String> = world
            .query(&sql)
            .await
            .into_iter()
            .map(|r| r.into_iter().flatten().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(rows, expected, "{deletes:?}");
        if deletes == Deletes::Soft {
            let sql = format!("SELECT _tw_seq FROM {} WHERE _tw_deleted ORDER BY 1", world.table(&target));
            assert_eq!(
                world.query(&sql).await.concat(),
                [Some("1".to_owned()), Some("2".to_owned()), Some("4".to_owned())]
            );
        }
    }
}

pub(crate) async fn a_moved_row_shows_its_winner(world: &dyn World) {
    let mut applier = Applier::open(world, "one").await;
    let columns = vec![id(), int("a"), column("changed", ColumnType::TimestampTz, None)];
    let key_mode = KeyMode::Global { updated_at: Some("changed".to_owned()) };
    applier.ensure(&plan(T, &columns, key_mode, Deletes::Hard)).await.unwrap();
    let (s1, s2) = (origin(SHARD, "t"), origin("s2", "t"));
    let side = world.private("side_").await.remove(0);
    let waiting = format!("SELECT _tw_origin FROM {side}");
    put(&mut applier, &columns, &[row(&s1, 1, Op::Insert, &["1", "10", "5000000"])]).await.unwrap();
    // It arrives on s2 before it leaves s1, with an older stamp: it waits.
    put(&mut applier, &columns, &[row(&s2, 1, Op::Insert, &["1", "20", "4000000"])]).await.unwrap();
    assert_eq!(all(world, "_tw_origin, a").await, ["s1:shop.t 10"]);
    assert_eq!(world.query(&waiting).await.concat(), [Some("s2:shop.t".to_owned())]);
    // What waits is replaced by newer rows of its own origin only.
    put(&mut applier, &columns, &[row(&s2, 1, Op::Update, &["1", "19", "9000000"])]).await.unwrap();
    put(&mut applier, &columns, &[row(&s2, 0, Op::Delete, &["1", "18", "9000000"])]).await.unwrap();
    assert_eq!(all(world, "_tw_origin, a").await, ["s1:shop.t 10"]);
    put(&mut applier, &columns, &[row(&s1, 2, Op::Delete, &["1", "10", "5000000"])]).await.unwrap();
    assert_eq!(all(world, "_tw_origin, a").await, ["s2:shop.t 20"]);
    assert!(world.query(&waiting).await.is_empty());
    // Without a stamp the commit time counts; the same stamp is decided by the origin's name.
    put(&mut applier, &columns, &[row(&s1, 3, Op::Insert, &["1", "30", "NULL"])]).await.unwrap();
    assert_eq!(all(world, "_tw_origin, a").await, ["s2:shop.t 20"]);
    put(&mut applier, &columns, &[row(&s1, 4, Op::Update, &["1", "40", "4000000"])]).await.unwrap();
    assert_eq!(all(world, "_tw_origin, a").await, ["s2:shop.t 20"]);
    // A truncate of s2 promotes what waits, in the tick's own floor.
    floor(&mut applier, &s2, 9).await;
    assert_eq!(all(world, "_tw_origin, a").await, ["s1:shop.t 40"]);
    assert!(world.query(&waiting).await.is_empty());
}

async fn of_deleted_rows_the_last_deleted_is_shown(world: &dyn World) {
    let mut applier = Applier::open(world, "one").await;
    let columns = vec![id(), int("a"), column("changed", ColumnType::Timestamp, None)];
    let key_mode = KeyMode::Global { updated_at: Some("changed".to_owned()) };
    applier.ensure(&plan(T, &columns, key_mode, Deletes::Soft)).await.unwrap();
    let (s1, s2) = (origin(SHARD, "t"), origin("s2", "t"));
    let shown = "_tw_origin, a, CASE WHEN _tw_deleted THEN 'dead' ELSE 'live' END";
    // Deleted first with the later stamp, deleted last with the earlier one.
    let gone = [row(&s1, 1, Op::Delete, &["1", "10", "9000000"]), row(&s2, 2, Op::Delete, &["1", "20", "1000000"])];
    put(&mut applier, &columns, &gone).await.unwrap();
    assert_eq!(all(world, shown).await, ["s2:shop.t 20 dead"]);
    // Any live row beats any deleted one.
    put(&mut applier, &columns, &[row(&s1, 3, Op::Insert, &["1", "30", "-9000000"])]).await.unwrap();
    assert_eq!(all(world, shown).await, ["s1:shop.t 30 live"]);
    floor(&mut applier, &s1, 4).await;
    assert_eq!(all(world, shown).await, ["s1:shop.t 30 dead"]);
}

async fn an_unknown_column_is_a_definite_error(world: &dyn World) {
    let mut applier = Applier::open(world, "one").await;
    applier.ensure(&per_origin(&[id()])).await.unwrap();
    let reason =
        refused(put(&mut applier, &[id(), int("z")], &[row(&origin(SHARD, "t"), 1, Op::Insert, &["1", "2"])]).await);
    assert!(reason.contains("column z"), "{reason}");
    refused(put(&mut applier, &[int("z")], &[row(&origin(SHARD, "t"), 1, Op::Insert, &["1"])]).await);
    let mut files = Files::default();
    let staged = vec![files.add(&schema(&[id()]), &[row(&origin(SHARD, "t"), 1, Op::Insert, &["1"])])];
    let tick = applier.tick();
    let tables = [TableFiles { target: Target::new("never"), files: staged, floors: Vec::new() }];
    let unknown = applier.warehouse.stage(&tick, &tables, &files).await;
    assert!(matches!(unknown, Err(WarehouseError::Fatal { .. })), "{unknown:?}");
}

async fn a_null_key_is_a_definite_error(world: &dyn World) {
    let mut applier = Applier::open(world, "one").await;
    let columns = vec![id(), int("a")];
    applier.ensure(&per_origin(&columns)).await.unwrap();
    let reason = refused(put(&mut applier, &columns, &[row(&origin(SHARD, "t"), 1, Op::Insert, &["NULL", "1"])]).await);
    assert!(reason.contains("NULL"), "{reason}");
    put(&mut applier, &columns, &[row(&origin(SHARD, "t"), 1, Op::Insert, &["1", "NULL"])]).await.unwrap();
}
