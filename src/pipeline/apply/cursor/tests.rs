use super::*;
use crate::lake::control::{Pause, Paused, Wishes};
use crate::model::{Entry, EntryKind, FloorCause, OpCounts, Position, entry::FORMAT};

pub(in crate::pipeline::apply) fn shard() -> Shard {
    Shard::new("s1")
}

pub(in crate::pipeline::apply) fn origin(table: &str) -> Origin {
    Origin::new(&shard(), "shop", table)
}

pub(in crate::pipeline::apply) fn file(table: &str, seq: i64, bytes: u64) -> Step {
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

pub(in crate::pipeline::apply) fn schema(table: &str, seq: i64, added: &[&str]) -> Step {
    Step::Schema {
        origin: origin(table),
        target: Target::new(table),
        seq: Seq(seq),
        schema: Digest::of(b"v2"),
        added: added.iter().map(|c| ((*c).to_owned(), ColumnDefault::Literal("5".into()))).collect(),
        appends: false,
    }
}

pub(in crate::pipeline::apply) fn floor(table: &str, seq: i64) -> Step {
    Step::Floor(Floor {
        origin: origin(table),
        target: Target::new(table),
        seq: Seq(seq),
        cause: FloorCause::Truncate,
        committed_at: seq,
    })
}

pub(in crate::pipeline::apply) fn entry(number: u64, steps: Vec<Step>) -> Entry {
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
    cursor.take(&mut work, bytes, scope, &|_| true);
    work
}

fn only(table: &str, loaded: Option<i64>) -> Scope {
    Scope::Only { origin: origin(table), target: Some(Target::new(table)), loaded: loaded.map(Seq) }
}

/// First numbers of the files that were taken of a table.
fn files(work: &Work, table: &str) -> Vec<i64> {
    let table = work.tables.get(&Target::new(table));
    table.map(|t| t.files.iter().map(|f| f.seqs.0.0).collect()).unwrap_or_default()
}

fn rows(work: &Work) -> u64 {
    work.rows.values().sum()
}

fn all() -> Scope {
    all_but([].into())
}

fn all_but(others: BTreeSet<Origin>) -> Scope {
    Scope::AllBut { others, held: Arc::default() }
}

/// While tables of this pattern are paused.
fn paused(tables: &str) -> Scope {
    let pause = Pause::new(Paused::Tables { tables: tables.to_owned(), shard: None }, 0);
    let wishes = Wishes { pauses: vec![pause], ..Wishes::default() };
    Scope::AllBut { others: BTreeSet::new(), held: Arc::new(Holds::of(wishes)) }
}

#[test]
fn a_paused_table_stands_at_its_first_step_and_the_others_go_on() {
    let mut c = cursor(vec![
        entry(1, vec![file("b", 1, 1), schema("a", 2, &["c"]), file("a", 3, 1)]),
        entry(2, vec![begin("a", 4), file("a", 5, 1), file("b", 6, 1)]),
    ]);
    let work = take(&mut c, 100, &paused("shop.a"));
    assert_eq!((files(&work, "a"), files(&work, "b")), (vec![], vec![1, 6]));
    assert_eq!(work.paused, [(origin("a"), LogPosition { entry: 1, step: 1 })].into());
    assert!(work.begun.is_empty(), "one exception is enough: its own cursor meets the snapshot");
    assert_eq!(c.position(), LogPosition { entry: 3, step: 0 });
    // Nothing of it, nothing to hold: a silent table costs no exception.
    let work = take(&mut cursor(vec![entry(1, vec![file("b", 1, 1)])]), 100, &paused("shop.a"));
    assert!(work.paused.is_empty());
    // A snapshot that begins while it is paused holds it as any other does.
    let work = take(&mut cursor(vec![entry(1, vec![begin("a", 4), file("a", 5, 1)])]), 100, &paused("shop.*"));
    assert_eq!((work.paused.len(), work.begun.len()), (0, 1));
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
    let without = take(&mut cursor(entries()), 100, &all_but([origin("a")].into()));
    assert_eq!(without.tables.keys().map(Target::as_str).collect::<Vec<_>>(), ["b"]);
    let one = take(&mut cursor(entries()), 100, &only("a", None));
    assert_eq!(one.tables.keys().map(Target::as_str).collect::<Vec<_>>(), ["a"]);
}

pub(in crate::pipeline::apply) fn chunk(table: &str, seq: i64) -> Step {
    let Step::File(mut chunk) = file(table, seq, 1) else { unreachable!() };
    chunk.ops = OpCounts { s: 1, ..OpCounts::default() };
    Step::File(chunk)
}

pub(in crate::pipeline::apply) fn begin(table: &str, seq: i64) -> Step {
    Step::SnapshotBegin { origin: origin(table), seq: Seq(seq), whole: false }
}

pub(in crate::pipeline::apply) fn end(table: &str, seq: i64) -> Step {
    Step::SnapshotEnd { origin: origin(table), seq: Seq(seq), swap: false }
}

/// Of `a` with a snapshot that is begun anew, changes in between, and what others do.
fn snapshot_of_a() -> Vec<Entry> {
    vec![
        entry(1, vec![file("a", 1, 1), begin("a", 2), file("b", 3, 1), chunk("a", 2), file("a", 4, 1)]),
        entry(2, vec![begin("a", 5), chunk("a", 5), file("b", 6, 1), file("a", 7, 1), end("a", 5), file("a", 8, 1)]),
    ]
}

#[test]
fn an_origin_is_held_from_the_beginning_of_its_snapshot_while_others_go_on() {
    let mut c = cursor(snapshot_of_a());
    let mut work = Work::default();
    c.take(&mut work, 100, &all(), &|_| true);
    assert_eq!(work.begun, [(origin("a"), LogPosition { entry: 1, step: 1 })].into());
    assert_eq!(work.ended, [origin("a")].into());
    assert_eq!(files(&work, "a"), [1]);
    assert_eq!(files(&work, "b"), [3, 6]);
    assert_eq!(c.position(), LogPosition { entry: 3, step: 0 });
}

#[test]
fn chunks_of_the_complete_snapshot_are_loaded_alone() {
    let scope = |of| Scope::Chunks { origin: origin("a"), of, floor: None };
    let work = take(&mut cursor(snapshot_of_a()), 100, &scope(Some(Seq(5))));
    assert_eq!(files(&work, "a"), [5]);
    let work = take(&mut cursor(snapshot_of_a()), 100, &scope(None));
    assert_eq!(files(&work, "a"), [2, 5]);
    assert!(files(&work, "b").is_empty() && work.begun.is_empty());
}

#[test]
fn what_follows_a_loaded_snapshot_has_its_end_as_a_floor() {
    let work = take(&mut cursor(snapshot_of_a()), 100, &only("a", Some(5)));
    assert_eq!(files(&work, "a"), [1, 4, 7, 8]);
    let floor = &work.tables[&Target::new("a")].floors[&origin("a")];
    assert_eq!((floor.seq, floor.cause), (Seq(5), FloorCause::Snapshot));
}

#[test]
fn following_stops_where_a_snapshot_begins_that_is_not_loaded() {
    for (loaded, place, taken) in
        [(None, LogPosition { entry: 1, step: 1 }, vec![1]), (Some(2), LogPosition { entry: 2, step: 0 }, vec![1, 4])]
    {
        let mut c = cursor(snapshot_of_a());
        let work = take(&mut c, 100, &only("a", loaded));
        assert_eq!((work.held, c.position(), files(&work, "a")), (Some(place), place, taken));
    }
}

/// Rows that were read to repair them look like a chunk; they are no part of a snapshot that is loaded.
#[test]
fn repairs_behind_a_loaded_snapshot_are_followed() {
    let mut entries = snapshot_of_a();
    entries.push(entry(3, vec![chunk("a", 9), file("a", 10, 1)]));
    let work = take(&mut cursor(entries.clone()), 100, &only("a", Some(5)));
    assert_eq!(files(&work, "a"), [1, 4, 7, 8, 9, 10]);
    let behind = entries.split_off(2);
    let mut c = Cursor::new(shard(), "log".into(), LogPosition { entry: 3, step: 0 });
    behind.into_iter().for_each(|e| c.push(e));
    assert_eq!(files(&take(&mut c, 100, &only("a", None)), "a"), [9, 10]);
}

#[test]
fn the_work_of_a_shadow_is_its_targets_alone() {
    let steps = vec![file("a", 1, 1), schema("a", 2, &[]), file("b", 3, 1), schema("b", 4, &[])];
    let mut work = take(&mut cursor(vec![entry(1, steps)]), 100, &all());
    work.turn_to_shadow(&Target::new("a"));
    let shadow = Target::new("a").shadow();
    assert_eq!(work.tables.keys().collect::<Vec<_>>(), [&shadow]);
    assert_eq!(work.schemas.iter().map(|task| &task.target).collect::<Vec<_>>(), [&shadow]);
}

/// Takes tick after tick of at most three targets until nothing is left; answers where each ended, and the targets of each.
fn in_parts(entries: Vec<Entry>) -> Vec<(LogPosition, Vec<String>)> {
    let mut c = cursor(entries);
    let mut ticks = Vec::new();
    while c.has_more() {
        let mut work = Work::at_most(Some(3));
        c.take(&mut work, u64::MAX, &all(), &|_| true);
        ticks.push((c.position(), work.tables.keys().map(ToString::to_string).collect()));
        assert!(ticks.len() < 20, "{ticks:?}");
    }
    ticks
}

#[test]
fn a_tick_takes_no_more_targets_than_the_warehouse_does() {
    let place = |entry, step| LogPosition { entry, step };
    let names = |names: &str| names.split(' ').map(str::to_owned).collect::<Vec<_>>();
    // An entry that does not fit beside what is there waits; it is not torn.
    let two = || {
        vec![
            entry(1, vec![file("a", 1, 1), file("b", 2, 1)]),
            entry(2, vec![file("b", 3, 1), file("c", 4, 1), file("d", 5, 1)]),
        ]
    };
    assert_eq!(in_parts(two()), [(place(2, 0), names("a b")), (place(3, 0), names("b c d"))]);
    // One that no tick could hold is taken in parts, in order.
    let wide = vec![entry(1, "a b c d e a f".split(' ').zip(1..).map(|(table, seq)| file(table, seq, 1)).collect())];
    assert_eq!(
        in_parts(wide),
        [(place(1, 3), names("a b c")), (place(1, 6), names("a d e")), (place(2, 0), names("f"))]
    );
    // Without a bound all goes at once.
    let mut c = cursor(two());
    assert_eq!(take(&mut c, u64::MAX, &all()).tables.len(), 4);
}
