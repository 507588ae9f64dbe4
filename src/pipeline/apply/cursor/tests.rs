use super::*;
use crate::model::{Entry, EntryKind, FloorCause, OpCounts, Position, entry::FORMAT};

fn shard() -> Shard {
    Shard::new("s1")
}

fn origin(table: &str) -> Origin {
    Origin::new(&shard(), "shop", table)
}

fn file(table: &str, seq: i64, bytes: u64) -> Step {
    Step::File(FileStep {
        origin: origin(table),
        target: Target::new(table),
        path: format!("data/{table}/{seq}.parquet"),
        rows: 1,
        bytes,
        ops: OpCounts::default(),
        schema: Digest::of(b"v1"),
        seqs: (Seq(seq), Seq(seq)),
        committed_at: (seq, seq),
        net: true,
        partition: None,
    })
}

fn schema(table: &str, seq: i64, added: &[&str]) -> Step {
    Step::Schema {
        origin: origin(table),
        target: Target::new(table),
        seq: Seq(seq),
        schema: Digest::of(b"v2"),
        added: added.iter().map(|c| ((*c).to_owned(), ColumnDefault::Literal("5".into()))).collect(),
    }
}

fn floor(table: &str, seq: i64) -> Step {
    Step::Floor(Floor {
        origin: origin(table),
        target: Target::new(table),
        seq: Seq(seq),
        cause: FloorCause::Truncate,
        committed_at: seq,
    })
}

fn entry(number: u64, steps: Vec<Step>) -> Entry {
    Entry {
        format: FORMAT,
        features: vec![],
        log_id: "log".into(),
        writer: "w".into(),
        previous: None,
        config: Digest::of(b""),
        shard: shard(),
        number,
        kind: EntryKind::Changes,
        first_seq: Seq(0),
        next_seq: Seq(0),
        position: Position { gtid_set: None, file: None, offset: 0, server_uuid: None },
        committed_at: Some((number as i64, number as i64 * 10)),
        written_at: 0,
        open_xa: BTreeMap::new(),
        steps,
        catalog: None,
        catalog_at: 0,
    }
}

fn cursor(entries: Vec<Entry>) -> Cursor {
    let mut cursor = Cursor::new(shard(), "log".into(), LogPosition { entry: 1, step: 0 });
    entries.into_iter().for_each(|e| cursor.push(e));
    cursor
}

fn take(cursor: &mut Cursor, bytes: u64, scope: &Scope) -> Work {
    let mut work = Work::default();
    assert_eq!(cursor.take(&mut work, bytes, scope, &|_| true), Ok(()));
    work
}

fn rows(work: &Work) -> u64 {
    work.rows.values().sum()
}

fn all() -> Scope {
    Scope::AllBut(BTreeSet::new())
}

#[test]
fn a_tick_takes_whole_entries_until_its_bytes_are_full() {
    let mut c = cursor(vec![entry(1, vec![file("a", 1, 60), file("b", 2, 60)]), entry(2, vec![file("a", 3, 1)])]);
    let work = take(&mut c, 100, &all());
    assert_eq!((work.bytes, rows(&work)), (120, 2), "an entry is never split for its size");
    assert_eq!(c.position(), LogPosition { entry: 2, step: 0 });
    assert_eq!(rows(&take(&mut c, 100, &all())), 1);
    assert_eq!(c.position(), LogPosition { entry: 3, step: 0 });
}

#[test]
fn rows_of_the_old_schema_are_merged_before_its_new_columns_are_filled() {
    let mut c = cursor(vec![entry(1, vec![file("a", 1, 1), schema("a", 2, &["c"]), file("a", 3, 1)])]);
    let first = take(&mut c, 100, &all());
    assert_eq!((rows(&first), first.schemas.len()), (1, 0));
    assert_eq!(c.position(), LogPosition { entry: 1, step: 1 });
    let second = take(&mut c, 100, &all());
    assert_eq!((rows(&second), second.schemas.len()), (1, 1));
    assert_eq!(c.position(), LogPosition { entry: 2, step: 0 });
}

#[test]
fn other_tables_and_plain_schemas_do_not_end_a_tick() {
    let mut c = cursor(vec![
        entry(1, vec![file("b", 1, 1), schema("a", 2, &["c"])]),
        entry(2, vec![file("a", 3, 1), schema("a", 4, &[]), file("a", 5, 1)]),
    ]);
    let work = take(&mut c, 100, &all());
    assert_eq!((rows(&work), work.schemas.len()), (3, 2));
}

#[test]
fn only_the_highest_floor_of_an_origin_counts() {
    let mut c = cursor(vec![entry(1, vec![floor("a", 9), file("a", 10, 1), floor("a", 12), floor("a", 3)])]);
    let work = take(&mut c, 100, &all());
    assert_eq!(work.tables[&Target::new("a")].floors[&origin("a")].seq, Seq(12));
}

#[test]
fn an_origin_with_an_exception_is_left_to_its_own_cursor() {
    let entries = || vec![entry(1, vec![file("a", 1, 1), file("b", 2, 1)])];
    let without = take(&mut cursor(entries()), 100, &Scope::AllBut([origin("a")].into()));
    assert_eq!(without.tables.keys().map(Target::as_str).collect::<Vec<_>>(), ["b"]);
    let only = take(&mut cursor(entries()), 100, &Scope::Only(origin("a")));
    assert_eq!(only.tables.keys().map(Target::as_str).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_snapshot_step_stops_this_version_before_it_takes_anything_behind() {
    let mut c = cursor(vec![entry(
        1,
        vec![file("a", 1, 1), Step::SnapshotBegin { origin: origin("a"), seq: Seq(2) }, file("a", 3, 1)],
    )]);
    let mut work = Work::default();
    assert!(c.take(&mut work, 100, &all(), &|_| true).is_err());
    assert_eq!(rows(&work), 1);
    assert_eq!(c.position(), LogPosition { entry: 1, step: 1 });
}
