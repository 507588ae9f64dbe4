//! The entry format is a promise: its text and its JSON Schema are pinned, and what was ever written stays readable.
//!
//! `TAILWATER_BLESS=1 cargo test --test it lake::format` writes the files anew after a deliberate change; a file of an
//! older version is never changed, a new one is added beside it.

use std::{collections::BTreeMap, fs, path::PathBuf};

use tailwater::{
    lake::{DataName, Partition, WriterMark, paths},
    model::{
        Catalog, ColumnBounds, ColumnDefault, Digest, Entry, EntryKind, FileStep, Floor, FloorCause, OpCounts, Origin,
        Parked, Position, Seq, Shard, Step, Target,
    },
};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compares with a checked-in file, or writes it when asked to.
fn pinned(name: &str, text: &str) {
    if std::env::var_os("TAILWATER_BLESS").is_some() {
        fs::create_dir_all(file(name).parent().unwrap()).unwrap();
        fs::write(file(name), text).unwrap();
    }
    let expected = fs::read_to_string(file(name)).unwrap();
    assert!(text == expected, "{name} differs from what this build writes:\n{text}");
}

fn origin() -> Origin {
    Origin::new(&Shard::new("s01"), "shop.07", "orders_03")
}

fn file_step(first_seq: i64) -> FileStep {
    let (shard, target) = (Shard::new("s01"), Target::new("orders"));
    let mark = WriterMark { claim: 41, tag: "0123abcd".into(), nonce: "89abcdef".into() };
    let name = DataName::new(&shard, Seq(first_seq), 0, mark);
    FileStep {
        origin: origin(),
        path: paths::data(&target, &Partition::day(1_795_219_200_000_000), &name).to_string(),
        target,
        rows: 10,
        bytes: 4096,
        ops: OpCounts { i: 4, u: 3, d: 2, s: 1 },
        schema: Digest::of(b"schema"),
        seqs: (Seq(first_seq), Seq(first_seq + 20)),
        committed_at: (1_795_219_200_000_000, 1_795_219_201_000_000),
        net: true,
        partition: Some(ColumnBounds {
            column: "updated_at".into(),
            min: "2026-11-20T00:00:00".into(),
            max: "2026-11-21T00:00:00".into(),
        }),
    }
}

/// An entry in which everything occurs.
fn sample() -> Entry {
    let (target, base) = (Target::new("orders"), 1_927_602_426_649_804_800);
    let seq = |n| Seq(base + n);
    let steps = vec![
        Step::Schema {
            origin: origin(),
            target: target.clone(),
            seq: seq(0),
            schema: Digest::of(b"schema"),
            added: BTreeMap::from([
                ("state".to_owned(), ColumnDefault::Literal("new".into())),
                ("note".to_owned(), ColumnDefault::Null),
                ("total".to_owned(), ColumnDefault::Unknown),
            ]),
            appends: false,
        },
        Step::File(file_step(base + 1)),
        Step::Floor(Floor {
            origin: origin(),
            target: target.clone(),
            seq: seq(30),
            cause: FloorCause::Truncate,
            committed_at: 1_795_219_201_000_000,
        }),
        Step::SnapshotBegin { origin: origin(), seq: seq(31), whole: false },
        Step::SnapshotEnd { origin: origin(), seq: seq(31), swap: false },
        Step::NeedsSnapshot {
            origin: origin(),
            target: target.clone(),
            seq: seq(32),
            reason: "MODIFY changed values of old rows".into(),
        },
        Step::Parked(Parked { origin: origin(), target, seq: seq(33), reason: "no row metadata".into() }),
    ];
    let mut catalog = Catalog::default();
    for step in &steps {
        catalog.apply(step);
    }
    Entry {
        format: 1,
        features: Vec::new(),
        log_id: "00112233aabbccdd".into(),
        writer: "extractor-1/89abcdef".into(),
        previous: Some(Digest::of(b"previous")),
        config: Digest::of(b"config"),
        shard: Shard::new("s01"),
        number: 42,
        kind: EntryKind::Changes,
        first_seq: seq(0),
        next_seq: seq(40),
        position: Position {
            gtid_set: Some("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-77".into()),
            file: Some("binlog.000003".into()),
            offset: 5_000_000_000,
            server_uuid: Some("3e11fa47-71ca-11e1-9e33-c80aa9429562".into()),
        },
        committed_at: Some((1_795_219_200_000_000, 1_795_219_201_000_000)),
        written_at: 1_795_219_202_000_000,
        open_xa: BTreeMap::from([("X'6767',X'',1".to_owned(), vec![file_step(base + 2)])]),
        steps,
        catalog: Some(catalog),
        catalog_at: 42,
    }
}

#[test]
fn the_text_of_an_entry_is_pinned() {
    let text = serde_json::to_string_pretty(&sample()).unwrap();
    pinned("tests/data/lake/entry.v1.json", &(text + "\n"));
}

#[test]
fn entries_that_were_ever_written_can_be_read() {
    let mut count = 0;
    for golden in fs::read_dir(file("tests/data/lake")).unwrap() {
        let path = golden.unwrap().path();
        let entry: Entry = serde_json::from_str(&fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(entry.log_id, "00112233aabbccdd");
        count += 1;
    }
    assert!(count > 0);
    let read: Entry = serde_json::from_slice(&fs::read(file("tests/data/lake/entry.v1.json")).unwrap()).unwrap();
    assert_eq!(read, sample());
}

#[test]
fn the_json_schema_is_the_formats() {
    pinned("schemas/entry.v1.json", &format!("{:#}\n", tailwater::model::entry::schema()));
}

/// A table that got its rows by RENAME has no schema before its first event, and its stale rows are told all the same.
#[test]
fn a_table_without_a_schema_can_need_a_snapshot() {
    let (target, reason) = (Target::new("shop.orders"), "RENAME TABLE put rows under its name".to_owned());
    let mut catalog = Catalog::default();
    assert!(catalog.apply(&Step::NeedsSnapshot { origin: origin(), target: target.clone(), seq: Seq(1), reason }));
    let known = &catalog.origins[&origin()];
    assert_eq!((known.needs_snapshot.is_some(), &known.target, &known.schema), (true, &target, &None));
    let floor = Floor { origin: origin(), target, seq: Seq(2), cause: FloorCause::Truncate, committed_at: 0 };
    assert!(catalog.apply(&Step::Floor(floor)));
    assert!(catalog.origins[&origin()].needs_snapshot.is_none());
}
