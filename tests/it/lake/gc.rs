//! Removing old entries, on every store.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tailwater::{
    lake::{
        Clock as _, Draft, LogReader, LogWriter, ObjectPath, OpenOptions, Partition, ReadFrom, WriterId,
        consumers::{Consumed, Consumer},
        gc::{Gc, Holder, Outlook, Removed, Round, Wanted},
        log::{GC_GRACE, raise_floor, read_floor},
        paths,
    },
    model::{Digest, FileStep, OpCounts, Origin, Seq, Shard, Step, Target},
};

use super::stores::{Fixture, TestClock, on_every_store};

/// A day, after which entries of these tests are old.
const RETENTION: Duration = Duration::from_secs(86_400);

fn shard() -> Shard {
    Shard::new("s01")
}

/// A log, and who works at it.
struct Scene {
    f: Fixture,
    clock: Arc<TestClock>,
    files: u32,
}

impl Scene {
    fn new(f: Fixture) -> Self {
        Self { f, clock: TestClock::new(), files: 0 }
    }

    async fn writer(&self, nonce: u32) -> LogWriter {
        let options = OpenOptions {
            writer: WriterId { name: "a".into(), nonce },
            take_over: true,
            config: Digest::of(b"config"),
            watch: Duration::ZERO,
        };
        LogWriter::open(Arc::clone(&self.f.store), Arc::clone(&self.clock) as _, shard(), options).await.unwrap()
    }

    /// Uploads a file of one row.
    async fn file(&mut self, log: &LogWriter) -> FileStep {
        self.files += 1;
        let (target, seq) = (Target::new("orders"), log.next_seq());
        let day = Partition::day(i64::from(self.files) * 86_400_000_000);
        let path = paths::data(&target, &day, &log.data_name(seq, self.files));
        self.f.store.create(&path, Bytes::from("rows")).await.unwrap();
        FileStep {
            origin: Origin::new(&shard(), "shop", "orders"),
            target,
            path: path.to_string(),
            rows: 1,
            bytes: 4,
            ops: OpCounts { i: 1, ..OpCounts::default() },
            schema: Digest::of(b"schema"),
            seqs: (seq, seq),
            committed_at: (0, 0),
            net: false,
            partition: None,
        }
    }

    /// Appends an entry with a file of one row, and a transaction's file that is undecided.
    async fn append(&mut self, log: &mut LogWriter, open: Option<&FileStep>) -> FileStep {
        let file = self.file(log).await;
        self.steps(log, vec![Step::File(file.clone())], open).await;
        file
    }

    async fn steps(&mut self, log: &mut LogWriter, steps: Vec<Step>, open: Option<&FileStep>) {
        let open_xa = open.map(|file| ("xid".to_owned(), vec![file.clone()])).into_iter().collect();
        let next_seq = Seq(log.next_seq().0 + 1);
        let position = log.position().clone();
        log.append(Draft { next_seq, position, committed_at: Some((0, 0)), open_xa, steps }).await.unwrap();
    }

    fn gc(&self) -> Gc {
        Gc::new(Arc::clone(&self.f.store), Arc::clone(&self.clock) as _, shard())
    }

    async fn consumer(&self, group: &str, log: &LogWriter, applied: u64) -> Consumer {
        let consumed = Consumed { log_id: log.log_id().to_owned(), applied, held_by: None };
        let consumer = Consumer::new("test", group, BTreeMap::from([(shard(), consumed)]), self.clock.unix_micros());
        consumer.save(&*self.f.store).await.unwrap();
        consumer
    }

    async fn look(&self) -> Outlook {
        let consumers = Consumer::load_all(&*self.f.store).await.unwrap();
        let since = Some(self.clock.unix_micros() - RETENTION.as_micros() as i64);
        let groups = BTreeSet::from(["main".to_owned()]);
        self.gc().look(&Wanted { since, consumers: &consumers, groups: &groups }).await.unwrap().unwrap()
    }

    /// A whole turn.
    async fn turn(&self) -> Removed {
        let (gc, outlook) = (self.gc(), self.look().await);
        let (mut removed, mut more) = (Removed::default(), true);
        while more {
            let (piece, left) = gc.remove(&outlook).await.unwrap();
            removed += piece;
            more = left;
        }
        let (swept, ended) = gc.sweep(&outlook, &mut Round::default(), 100).await.unwrap();
        assert!(ended);
        removed += swept;
        gc.raise(&outlook).await.unwrap();
        removed
    }

    /// What makes a raised floor old.
    fn wait(&self) {
        self.clock.advance(self.gc().wait());
    }

    async fn floor(&self) -> u64 {
        read_floor(&*self.f.store, &shard()).await.unwrap()
    }

    async fn is_there(&self, path: &str) -> bool {
        self.f.store.size(&ObjectPath::parse(path).unwrap()).await.unwrap().is_some()
    }

    async fn entries(&self) -> Vec<u64> {
        let page = self.f.store.list(&paths::entry_prefix(&shard()), None).await.unwrap();
        page.objects.iter().filter_map(|object| paths::entry_number(&shard(), &object.path)).collect()
    }

    /// Reads everything that is kept, with all files that it names.
    async fn check(&self) -> u64 {
        let (store, clock) = (Arc::clone(&self.f.store), Arc::clone(&self.clock));
        let mut reader = LogReader::open(store, clock as _, shard(), ReadFrom::Oldest).await.unwrap();
        let mut read = 0;
        while let Some(entry) = reader.next().await.unwrap() {
            let steps = entry.entry.steps.iter().filter_map(|s| if let Step::File(f) = s { Some(f) } else { None });
            for file in steps.chain(entry.entry.open_xa.values().flatten()) {
                assert!(self.is_there(&file.path).await, "{} of entry {} is gone", file.path, entry.entry.number);
            }
            read += 1;
        }
        read
    }
}

async fn old_entries_and_their_files_go_in_two_turns(f: Fixture) {
    let mut scene = Scene::new(f);
    let mut log = scene.writer(1).await;
    let first = scene.append(&mut log, None).await;
    scene.append(&mut log, None).await;
    let mut log = scene.writer(2).await; // entry 4 carries the catalog
    let kept = scene.append(&mut log, None).await;
    scene.consumer("main", &log, 5).await;
    assert_eq!(scene.turn().await, Removed::default(), "nothing is old");
    assert_eq!(scene.floor().await, 1);

    scene.clock.advance(RETENTION + Duration::from_secs(1));
    assert_eq!(scene.look().await.next, 4, "the head's catalog stays");
    assert_eq!(scene.gc().estimate(4).await.unwrap().files, 2);
    assert_eq!((scene.turn().await, scene.floor().await), (Removed::default(), 4));
    assert_eq!(scene.entries().await.len(), 5, "who read the floor before may still read");
    scene.clock.advance(GC_GRACE);
    assert_eq!(scene.turn().await, Removed::default(), "clocks may be apart");
    scene.wait();
    let removed = scene.turn().await;
    assert_eq!((removed.entries, removed.files), (3, 2));
    assert_eq!(scene.entries().await, [4, 5]);
    assert!(!scene.is_there(&first.path).await && scene.is_there(&kept.path).await);
    assert_eq!(scene.check().await, 2);
    assert_eq!(scene.turn().await, Removed::default());
    // The writer goes on, and the next one finds the head.
    scene.append(&mut log, None).await;
    assert_eq!(scene.writer(3).await.number(), 7);
    if scene.f.server.is_none() && scene.f.store.describe() != "memory" {
        let days = std::fs::read_dir(scene.f.folder().join("data/orders")).unwrap().count();
        assert_eq!(days, 2, "folders of days that are gone stay");
    }
}

async fn what_somebody_needs_stays(f: Fixture) {
    let mut scene = Scene::new(f);
    let mut log = scene.writer(1).await;
    for nonce in 2..5 {
        scene.append(&mut log, None).await;
        log = scene.writer(nonce).await; // entries 3, 5 and 7
    }
    scene.clock.advance(RETENTION * 2);
    assert!(matches!(scene.look().await.holds[0].by, Holder::NoConsumer));
    scene.consumer("reports", &log, 7).await;
    assert!(matches!(scene.look().await.holds[0].by, Holder::Unregistered(_)));
    scene.consumer("main", &log, 7).await;
    assert_eq!(scene.look().await.next, 7);
    let slow = scene.consumer("reports", &log, 6).await;
    let outlook = scene.look().await;
    assert_eq!((outlook.next, outlook.blocked()), (5, 1), "entry 6 is the newest that is applied; the catalog is in 5");
    scene.turn().await;
    scene.wait();
    scene.turn().await;
    assert_eq!(scene.entries().await, [5, 6, 7]);
    slow.forget(&*scene.f.store).await.unwrap();
    assert_eq!(scene.look().await.next, 7);

    // A snapshot that is under way keeps all since its beginning, however far the consumer is.
    let (origin, seq) = (Origin::new(&shard(), "shop", "orders"), log.next_seq());
    let schema = Step::Schema {
        origin: origin.clone(),
        target: Target::new("orders"),
        seq,
        schema: Digest::of(b"schema"),
        added: BTreeMap::new(),
        appends: false,
    };
    scene.steps(&mut log, vec![schema, Step::SnapshotBegin { origin: origin.clone(), seq, whole: false }], None).await;
    scene.append(&mut log, None).await;
    let mut log = scene.writer(9).await;
    scene.append(&mut log, None).await;
    scene.consumer("main", &log, 11).await;
    scene.clock.advance(RETENTION * 2);
    let outlook = scene.look().await;
    assert_eq!((outlook.next, &outlook.holds[0].by), (8, &Holder::Snapshot(origin.clone())));
    assert!(scene.gc().without_snapshot(&outlook).await.unwrap().origins.contains(&origin));
    scene.steps(&mut log, vec![Step::SnapshotEnd { origin: origin.clone(), seq, swap: false }], None).await;
    let outlook = scene.look().await;
    assert_eq!(outlook.next, 10, "the claim that the consumer has applied");
    assert!(scene.gc().without_snapshot(&outlook).await.unwrap().origins.contains(&origin));
    // Raised no further than the beginning, it can be rebuilt.
    raise_floor(&*scene.f.store, &shard(), 8, 0).await.unwrap();
    let consumers = Consumer::load_all(&*scene.f.store).await.unwrap();
    let wanted = Wanted { since: None, consumers: &consumers, groups: &BTreeSet::new() };
    let outlook = scene.gc().look(&wanted).await.unwrap().unwrap();
    assert!(scene.gc().without_snapshot(&outlook).await.unwrap().origins.is_empty());
}

async fn files_of_undecided_transactions_stay(f: Fixture) {
    let mut scene = Scene::new(f);
    let mut log = scene.writer(1).await;
    let open = scene.file(&log).await;
    scene.append(&mut log, Some(&open)).await;
    let mut log = scene.writer(2).await;
    scene.append(&mut log, Some(&open)).await;
    scene.consumer("main", &log, 4).await;
    scene.clock.advance(RETENTION * 2);
    scene.turn().await;
    scene.wait();
    assert_eq!(scene.turn().await.files, 1);
    assert!(scene.is_there(&open.path).await);
    assert_eq!(scene.check().await, 2);
    // Decided: its rows are in other files, and the last entry that names this one goes.
    scene.append(&mut log, None).await;
    let mut log = scene.writer(3).await;
    scene.append(&mut log, None).await;
    scene.consumer("main", &log, 7).await;
    scene.clock.advance(RETENTION * 2);
    scene.turn().await;
    scene.wait();
    assert_eq!(scene.turn().await.files, 3);
    assert!(!scene.is_there(&open.path).await);
    scene.check().await;
}

async fn files_that_nobody_named_go_when_their_writer_is_long_fenced(f: Fixture) {
    let mut scene = Scene::new(f);
    let mut log = scene.writer(1).await;
    scene.append(&mut log, None).await;
    let lost = scene.file(&log).await;
    let mut log = scene.writer(2).await;
    scene.append(&mut log, None).await;
    let young = scene.file(&log).await;
    scene.consumer("main", &log, 4).await;
    scene.clock.advance(RETENTION * 2);
    assert_eq!(scene.turn().await.files, 0);
    scene.wait();
    // The floor is the second writer's claim: what the first one left is garbage, what the second did may be named yet.
    assert_eq!(scene.turn().await.files, 2);
    assert!(!scene.is_there(&lost.path).await && scene.is_there(&young.path).await);
    // Another object of the lake is never a data file.
    scene.f.store.put(&paths::request("x"), Bytes::from("{}")).await.unwrap();
    scene.steps(&mut log, vec![Step::File(young)], None).await;
    assert_eq!(scene.turn().await.files, 0);
    assert!(scene.is_there(paths::request("x").as_str()).await);
    scene.check().await;
}

async fn a_crash_in_between_leaves_a_list_of_what_is_to_be_done(f: Fixture) {
    let mut scene = Scene::new(f);
    let mut log = scene.writer(1).await;
    for _ in 0..5 {
        scene.append(&mut log, None).await;
    }
    let log = scene.writer(2).await; // entry 7
    scene.consumer("main", &log, 7).await;
    scene.clock.advance(RETENTION * 2);
    scene.turn().await;
    scene.wait();
    // What a killed one had done: entries 1 and 2 and the file of entry 3, which is still there.
    for number in 1..3 {
        scene.f.store.delete(&paths::entry(&shard(), number)).await.unwrap();
    }
    let third = scene.f.store.get(&paths::entry(&shard(), 3)).await.unwrap().unwrap();
    let third: serde_json::Value = serde_json::from_slice(&third).unwrap();
    let path = third["steps"][0]["path"].as_str().unwrap();
    scene.f.store.delete(&ObjectPath::parse(path).unwrap()).await.unwrap();
    // Two at once.
    let (a, b) = tokio::join!(scene.turn(), scene.turn());
    assert!(a.entries + b.entries >= 4, "{a:?} {b:?}");
    assert_eq!(scene.entries().await, [7]);
    let data = scene.f.store.list(paths::DATA, None).await.unwrap().objects;
    let left: Vec<_> = data.iter().map(|object| &object.path).collect();
    assert!(left.is_empty(), "what has no list any more is swept: {left:?}");
}

async fn a_floor_that_arrives_late_lowers_nothing(f: Fixture) {
    let scene = Scene::new(f);
    for first in [50, 90] {
        raise_floor(&*scene.f.store, &shard(), first, 1).await.unwrap();
    }
    assert!(raise_floor(&*scene.f.store, &shard(), 70, 2).await.is_err());
    // One that slept between its look and its request.
    let late = Bytes::from("{\"first\":60,\"raised_at\":3}");
    scene.f.store.create(&paths::floor(&shard(), 60), late).await.unwrap();
    assert_eq!(scene.floor().await, 90);
    // Raising it to where it is leaves the time.
    raise_floor(&*scene.f.store, &shard(), 90, 5).await.unwrap();
    assert_eq!(tailwater::lake::log::newest_floor(&*scene.f.store, &shard()).await.unwrap().unwrap().raised_at, 1);
}

on_every_store!(
    old_entries_and_their_files_go_in_two_turns,
    what_somebody_needs_stays,
    files_of_undecided_transactions_stay,
    files_that_nobody_named_go_when_their_writer_is_long_fenced,
    a_crash_in_between_leaves_a_list_of_what_is_to_be_done,
    a_floor_that_arrives_late_lowers_nothing,
);
