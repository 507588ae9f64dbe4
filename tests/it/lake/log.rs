//! The commit log on every store.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use tailwater::{
    lake::{
        Created, Draft, LogError, LogReader, LogWriter, OpenOptions, Partition, ReadFrom, Store, WriterId,
        log::{CATALOG_EVERY, raise_floor, read_floor},
        paths,
    },
    model::{Digest, EntryKind, FileStep, OpCounts, Origin, Position, Seq, Shard, Step, Target},
};
use tailwater_servers::S3Fault;

use super::stores::{Fixture, TestClock, on_every_store};

fn shard() -> Shard {
    Shard::new("s01")
}

fn options(name: &str, nonce: u32) -> OpenOptions {
    let writer = WriterId { name: name.into(), nonce };
    OpenOptions { writer, take_over: false, config: Digest::of(b"config"), watch: Duration::from_secs(90) }
}

async fn open(f: &Fixture, clock: &Arc<TestClock>, options: OpenOptions) -> Result<LogWriter, LogError> {
    LogWriter::open(Arc::clone(&f.store), Arc::clone(clock) as _, shard(), options).await
}

async fn reader(f: &Fixture, clock: &Arc<TestClock>, from: ReadFrom) -> Result<LogReader, LogError> {
    LogReader::open(Arc::clone(&f.store), Arc::clone(clock) as _, shard(), from).await
}

fn position(offset: u64) -> Position {
    Position { gtid_set: None, file: Some("binlog.000001".into()), offset, server_uuid: Some("u".into()) }
}

/// A draft that only moves the position.
fn idle(writer: &LogWriter, offset: u64) -> Draft {
    Draft {
        next_seq: writer.next_seq(),
        position: position(offset),
        committed_at: None,
        open_xa: writer.open_xa().clone(),
        steps: Vec::new(),
    }
}

/// Uploads a file of `rows` rows and makes the draft that names it.
async fn changes(store: &dyn Store, writer: &LogWriter, rows: u64) -> Draft {
    let (target, first) = (Target::new("orders"), writer.next_seq());
    let path = paths::data(&target, &Partition::day(0), &writer.data_name(first, 0));
    assert_eq!(store.create(&path, Bytes::from("rows")).await.unwrap(), Created::New);
    let next_seq = Seq(first.0 + rows as i64);
    let file = FileStep {
        origin: Origin::new(&shard(), "shop", "orders"),
        target,
        path: path.to_string(),
        rows,
        bytes: 4,
        ops: OpCounts { i: rows, ..OpCounts::default() },
        schema: Digest::of(b"schema"),
        seqs: (first, Seq(next_seq.0 - 1)),
        committed_at: (0, 0),
        net: false,
        partition: None,
    };
    let steps = vec![Step::File(file)];
    let open_xa = BTreeMap::new();
    Draft { next_seq, position: position(writer.position().offset + rows), committed_at: Some((0, 0)), open_xa, steps }
}

async fn kinds(f: &Fixture, clock: &Arc<TestClock>) -> Vec<EntryKind> {
    let mut reader = reader(f, clock, ReadFrom::Oldest).await.unwrap();
    let mut kinds = Vec::new();
    while let Some(read) = reader.next().await.unwrap() {
        kinds.push(read.entry.kind);
    }
    kinds
}

async fn a_log_is_resumed_where_it_ended(f: Fixture) {
    let clock = TestClock::new();
    let mut first = open(&f, &clock, options("a", 1)).await.unwrap();
    assert_eq!((first.number(), first.position()), (1, &Position::default()));
    assert_eq!(first.next_seq(), Seq::origin_of_log(1_795_219_200));
    let begin = first.next_seq();
    let mut draft = changes(&*f.store, &first, 3).await;
    let Step::File(file) = draft.steps[0].clone() else { unreachable!() };
    let origin = file.origin.clone();
    let schema = Step::Schema {
        origin: origin.clone(),
        target: file.target.clone(),
        seq: begin,
        schema: file.schema.clone(),
        added: BTreeMap::new(),
        appends: false,
    };
    draft.steps.insert(0, schema);
    draft.open_xa.insert("xid".into(), vec![file]);
    first.append(draft.clone()).await.unwrap();
    first.append(idle(&first, 9)).await.unwrap();
    let log_id = first.log_id().to_owned();
    first.release().await.unwrap();

    let second = open(&f, &clock, options("b", 2)).await.unwrap();
    assert_eq!(second.number(), 5);
    assert_eq!(second.next_seq(), Seq(begin.0 + 3));
    assert_eq!(second.position(), &position(9));
    assert_eq!(second.log_id(), log_id);
    assert_eq!(second.open_xa(), &draft.open_xa);
    assert_eq!(second.catalog().origins[&origin].schema, Some(Digest::of(b"schema")));
    use EntryKind::{Changes, Claim, Position as Idle, Release};
    assert_eq!(kinds(&f, &clock).await, [Claim, Changes, Idle, Release, Claim]);
}

async fn an_older_writer_is_fenced(f: Fixture) {
    let clock = TestClock::new();
    let mut old = open(&f, &clock, options("a", 1)).await.unwrap();
    old.append(idle(&old, 1)).await.unwrap();
    let taking = OpenOptions { take_over: true, ..options("b", 2) };
    let mut new = open(&f, &clock, taking).await.unwrap();
    let error = old.append(idle(&old, 2)).await.unwrap_err();
    assert!(matches!(&error, LogError::Fenced { number: 3, by, .. } if by == "b/00000002"), "{error:?}");
    assert!(error.to_string().contains("entry 3 of shard s01 belongs to writer b/00000002"), "{error}");
    // It stays fenced, and the other is not disturbed.
    assert!(matches!(old.append(idle(&old, 2)).await, Err(LogError::Undecided { .. })));
    new.append(idle(&new, 5)).await.unwrap();
    assert_eq!(new.number(), 4);
}

async fn a_writer_at_work_is_respected(f: Fixture) {
    let clock = TestClock::new();
    let mut live = open(&f, &clock, options("a", 1)).await.unwrap();
    let waiting = tokio::spawn(LogWriter::open(
        Arc::clone(&f.store),
        Arc::clone(&clock) as _,
        shard(),
        OpenOptions { watch: Duration::from_secs(1 << 40), ..options("b", 2) },
    ));
    while !waiting.is_finished() {
        match live.append(idle(&live, 1)).await {
            Ok(_) => {}
            Err(e) => panic!("the live writer was disturbed: {e}"),
        }
        tokio::task::yield_now().await;
    }
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(&error, LogError::Busy { by, .. } if by == "a/00000001"), "{error:?}");
    assert!(error.to_string().contains("--take-over"), "{error}");
}

async fn a_crashed_writer_is_waited_for_unless_it_is_our_own(f: Fixture) {
    let clock = TestClock::new();
    use tailwater::lake::Clock as _;
    drop(open(&f, &clock, options("a", 1)).await.unwrap());
    let before = clock.monotonic();
    drop(open(&f, &clock, options("a", 2)).await.unwrap());
    assert_eq!(clock.monotonic(), before, "the successor of the same name does not wait");
    clock.advance(Duration::from_secs(30));
    drop(open(&f, &clock, options("b", 3)).await.unwrap());
    assert_eq!(clock.monotonic() - before, Duration::from_secs(90));
    clock.advance(Duration::from_secs(300));
    let before = clock.monotonic();
    open(&f, &clock, options("c", 4)).await.unwrap().release().await.unwrap();
    open(&f, &clock, options("d", 5)).await.unwrap();
    assert_eq!(clock.monotonic(), before, "an old head and a release are not waited for");
}

async fn what_a_crash_left_is_swept(f: Fixture) {
    let clock = TestClock::new();
    let mut first = open(&f, &clock, options("a", 1)).await.unwrap();
    let committed = changes(&*f.store, &first, 3).await;
    first.append(committed).await.unwrap();
    changes(&*f.store, &first, 2).await; // uploaded, never committed
    let taking = OpenOptions { take_over: true, ..options("b", 2) };
    let other = open(&f, &clock, taking).await.unwrap();
    changes(&*f.store, &other, 1).await; // another's, left alone
    assert_eq!(f.store.list(paths::DATA, None).await.unwrap().objects.len(), 3);
    assert_eq!(other.orphan_sweep().run().await.unwrap().files, 0, "never another's");

    let taking = OpenOptions { take_over: true, ..options("a", 3) };
    let mut again = open(&f, &clock, taking).await.unwrap();
    let sweep = again.orphan_sweep();
    // A later process of the same name may even have committed when the sweep gets to run.
    let draft = changes(&*f.store, &again, 4).await;
    again.append(draft).await.unwrap();
    let mut last = open(&f, &clock, options("a", 4)).await.unwrap();
    let draft = changes(&*f.store, &last, 4).await;
    last.append(draft).await.unwrap();
    let swept = sweep.run().await.unwrap();
    assert_eq!((swept.files, swept.bytes), (1, 4));

    let mut named = 0;
    let mut reader = reader(&f, &clock, ReadFrom::Oldest).await.unwrap();
    while let Some(read) = reader.next().await.unwrap() {
        for step in &read.entry.steps {
            let Step::File(file) = step else { continue };
            let path = tailwater::lake::ObjectPath::parse(&file.path).unwrap();
            assert!(f.store.get(&path).await.unwrap().is_some(), "{path}");
            named += 1;
        }
    }
    assert_eq!(named, 3);
    assert_eq!(f.store.list(paths::DATA, None).await.unwrap().objects.len(), 4);
}

async fn the_head_is_found_whatever_the_hint_says(f: Fixture) {
    let clock = TestClock::new();
    let mut writer = open(&f, &clock, options("a", 1)).await.unwrap();
    for offset in 0..40 {
        writer.append(idle(&writer, offset)).await.unwrap();
    }
    let hint = paths::head(&shard());
    let mut newest = 41;
    for stale in ["{\"number\":1}", "{\"number\":23}", "not json", "{\"number\":41}"] {
        f.store.put(&hint, Bytes::from(stale)).await.unwrap();
        newest += 1;
        assert_eq!(open(&f, &clock, options("a", 1)).await.unwrap().number(), newest, "{stale}");
    }
    f.store.delete(&hint).await.unwrap();
    assert_eq!(open(&f, &clock, options("a", 1)).await.unwrap().number(), newest + 1);
    // A hint in front of the head means that entries were lost: going on would number others the same.
    f.store.put(&hint, Bytes::from("{\"number\":99}")).await.unwrap();
    let error = open(&f, &clock, options("a", 1)).await.unwrap_err();
    assert!(error.to_string().contains("entries were lost"), "{error}");
}

async fn what_gc_removed_is_neither_read_nor_written_again(f: Fixture) {
    let clock = TestClock::new();
    let mut sleeper = open(&f, &clock, options("a", 1)).await.unwrap();
    let log_id = sleeper.log_id().to_owned();
    sleeper.append(idle(&sleeper, 1)).await.unwrap();
    let taking = OpenOptions { take_over: true, ..options("b", 2) };
    let mut other = open(&f, &clock, taking).await.unwrap();
    for offset in 0..2 {
        other.append(idle(&other, offset)).await.unwrap();
    }
    // A claim carries the catalog, so the floor may rise to it.
    let mut other = open(&f, &clock, options("b", 3)).await.unwrap();
    for offset in 2..4 {
        other.append(idle(&other, offset)).await.unwrap();
    }
    let mut following = reader(&f, &clock, ReadFrom::Oldest).await.unwrap();
    following.next().await.unwrap().unwrap();
    raise_floor(&*f.store, &shard(), 6, 0).await.unwrap();
    assert_eq!(read_floor(&*f.store, &shard()).await.unwrap(), 6);
    assert!(raise_floor(&*f.store, &shard(), 4, 0).await.is_err(), "the floor never sinks");
    clock.advance(tailwater::lake::log::GC_GRACE);
    for number in 1..6 {
        f.store.delete(&paths::entry(&shard(), number)).await.unwrap();
    }

    // Entry 3 is absent again, but not for a writer that looks at the floor after its pause.
    let error = sleeper.append(idle(&sleeper, 2)).await.unwrap_err();
    assert!(matches!(error, LogError::Fenced { number: 3, .. }), "{error:?}");
    assert_eq!(f.store.get(&paths::entry(&shard(), 3)).await.unwrap(), None);
    let collected = |e: LogError| matches!(e, LogError::Collected { floor: 6, .. });
    assert!(collected(following.next().await.unwrap_err()));
    let after = |number| ReadFrom::After { number, log_id: log_id.clone() };
    assert!(collected(reader(&f, &clock, after(4)).await.unwrap_err()));
    // Entry 5 was read before it was removed, so 6 can follow without its digest.
    assert_eq!(reader(&f, &clock, after(5)).await.unwrap().next().await.unwrap().unwrap().entry.number, 6);
    assert_eq!(kinds(&f, &clock).await.len(), 3);
    let third = OpenOptions { take_over: true, ..options("c", 3) };
    assert_eq!(open(&f, &clock, third).await.unwrap().number(), 9);
}

async fn a_foreign_or_damaged_log_is_refused(f: Fixture) {
    let clock = TestClock::new();
    let mut writer = open(&f, &clock, options("a", 1)).await.unwrap();
    for offset in 0..3 {
        writer.append(idle(&writer, offset)).await.unwrap();
    }
    let other = ReadFrom::After { number: 2, log_id: "another".into() };
    assert!(matches!(reader(&f, &clock, other).await, Err(LogError::OtherLog { .. })));
    let beyond = ReadFrom::After { number: 9, log_id: writer.log_id().into() };
    assert!(matches!(reader(&f, &clock, beyond).await, Err(LogError::OtherLog { .. })));

    let path = paths::entry(&shard(), 3);
    let original = String::from_utf8(f.store.get(&path).await.unwrap().unwrap().to_vec()).unwrap();
    let digest = Digest::of(f.store.get(&paths::entry(&shard(), 2)).await.unwrap().unwrap().as_ref());
    let zero = Digest::of(b"");
    let damages = [
        (original.replace("\"format\":1", "\"format\":2"), "log format 2"),
        (original.replace("\"features\":[]", "\"features\":[\"time travel\"]"), "feature \"time travel\""),
        (original.replace("\"number\":3", "\"number\":4"), "it says that it is entry 4"),
        (original.replace("\"shard\":\"s01\"", "\"shard\":\"s02\""), "it belongs to shard s02"),
        (original.replace(digest.as_str(), zero.as_str()), "does not continue entry 2"),
        (original.replace(writer.log_id(), "ffff"), "log id ffff"),
        (original.replace("\"first_seq\":", "\"first_seq\":-"), "begins at seq"),
        (original[..original.len() / 2].to_owned(), "it is not an entry"),
        (String::new(), "it is not an entry"),
    ];
    for (content, message) in damages {
        assert_ne!(content, original);
        f.store.put(&path, Bytes::from(content)).await.unwrap();
        let mut reader = reader(&f, &clock, ReadFrom::Oldest).await.unwrap();
        reader.next().await.unwrap().unwrap();
        reader.next().await.unwrap().unwrap();
        let error = reader.next().await.unwrap_err();
        assert!(error.to_string().contains(message), "{message}: {error}");
        // Asking again gives the same answer, not the entry behind.
        assert!(reader.next().await.is_err());
    }
    f.store.put(&path, Bytes::from(original)).await.unwrap();
    assert_eq!(kinds(&f, &clock).await.len(), 4);
}

async fn impossible_drafts_are_refused(f: Fixture) {
    let clock = TestClock::new();
    let mut writer = open(&f, &clock, options("a", 1)).await.unwrap();
    let good = changes(&*f.store, &writer, 2).await;
    let back = Draft { next_seq: Seq(writer.next_seq().0 - 1), ..idle(&writer, 1) };
    // A file numbered at or after the entry's end would look like an orphan to the next writer.
    let unnumbered = Draft { next_seq: writer.next_seq(), ..good.clone() };
    let mut foreign = good.clone();
    let mut outside = good.clone();
    if let (Step::File(a), Step::File(b)) = (&mut foreign.steps[0], &mut outside.steps[0]) {
        a.path = a.path.replace("s01-", "s02-");
        b.path = "../../etc/passwd".into();
    }
    for draft in [back, unnumbered, foreign, outside] {
        assert!(matches!(writer.append(draft).await, Err(LogError::Invalid { .. })));
    }
    assert_eq!(writer.append(good).await.unwrap().number, 2);
}

async fn the_catalog_is_repeated(f: Fixture) {
    let clock = TestClock::new();
    let mut writer = open(&f, &clock, options("a", 1)).await.unwrap();
    for offset in 0..CATALOG_EVERY + 5 {
        writer.append(idle(&writer, offset)).await.unwrap();
    }
    let mut reader = reader(&f, &clock, ReadFrom::Oldest).await.unwrap();
    let mut with_catalog = Vec::new();
    while let Some(read) = reader.next().await.unwrap() {
        with_catalog.extend(read.entry.catalog.map(|_| read.entry.number));
    }
    assert_eq!(with_catalog, [1, 1 + CATALOG_EVERY]);
}

on_every_store!(
    a_log_is_resumed_where_it_ended,
    an_older_writer_is_fenced,
    a_writer_at_work_is_respected,
    a_crashed_writer_is_waited_for_unless_it_is_our_own,
    what_a_crash_left_is_swept,
    the_head_is_found_whatever_the_hint_says,
    what_gc_removed_is_neither_read_nor_written_again,
    a_foreign_or_damaged_log_is_refused,
    impossible_drafts_are_refused,
);

#[tokio::test]
async fn the_catalog_is_repeated_often_enough_for_gc() {
    the_catalog_is_repeated(Fixture::memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_was_lost_is_recognised() {
    let f = Fixture::s3().await;
    let clock = TestClock::new();
    let server = f.server.as_ref().unwrap();
    let mut writer = open(&f, &clock, options("a", 1)).await.unwrap();
    server.inject(S3Fault::lose_answer().on("PUT", "/log/"));
    let appended = writer.append(idle(&writer, 1)).await.unwrap();
    assert_eq!((appended.number, server.pending_faults()), (2, 0));
    writer.append(idle(&writer, 2)).await.unwrap();
    use EntryKind::{Claim, Position as Idle};
    assert_eq!(kinds(&f, &clock).await, [Claim, Idle, Idle]);
}
