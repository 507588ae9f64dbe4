//! Who acts in a simulation: writers, the follower, gc.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tailwater::{
    lake::{
        Clock, Draft, LogError, LogReader, LogWriter, ObjectPath, OpenOptions, Partition, ReadFrom, Store, WriterId,
        consumers::{Consumed, Consumer, ConsumerError},
        gc::{Gc, GcError, Round, Wanted},
        log::{OrphanSweep, read_floor},
        paths,
    },
    model::{Digest, Entry, FileStep, OpCounts, Origin, Position, Seq, Shard, Step, Target},
};

use super::faulty::{Faulty, World};

/// The follower's group.
const GROUP: &str = "main";

#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) rows: u64,
    pub(super) shard: Shard,
}

pub(super) fn options(name: &str, nonce: u32, take_over: bool) -> OpenOptions {
    let writer = WriterId { name: name.into(), nonce };
    OpenOptions { writer, take_over, config: Digest::of(b"config"), watch: Duration::from_secs(5) }
}

/// A writer: resumes, uploads and commits until the source ends or something stops it.
pub(super) async fn write(
    store: Arc<Faulty>,
    world: Arc<World>,
    source: Source,
    options: OpenOptions,
    seed: u64,
    sweeps: bool,
) {
    let mut random = StdRng::seed_from_u64(seed);
    let clock = Arc::clone(&world) as Arc<dyn Clock>;
    let opened = LogWriter::open(Arc::clone(&store) as _, clock, source.shard.clone(), options).await;
    let mut writer = match opened {
        Ok(writer) => writer,
        Err(LogError::Store(_) | LogError::Busy { .. } | LogError::Undecided { .. } | LogError::Fenced { .. }) => {
            return;
        }
        Err(e) => panic!("a writer could not open the log: {e}"),
    };
    let mut sweeper = sweeps.then(|| writer.orphan_sweep());
    let mut part = 0;
    while writer.position().offset < source.rows {
        part += 1;
        let Some(draft) = upload(&store, &writer, &source, &mut random, part).await else { return };
        let draft = if random.random_bool(0.2) { idle(&writer) } else { draft };
        match writer.append(draft).await {
            Ok(_) => {}
            Err(LogError::Fenced { .. } | LogError::Undecided { .. } | LogError::Store(_)) => return,
            Err(e) => panic!("a writer could not append: {e}"),
        }
        if random.random_bool(0.2)
            && let Some(sweeper) = sweeper.take()
        {
            sweep(sweeper).await;
        }
        if random.random_bool(0.05) {
            let _ = writer.release().await;
            return;
        }
        world.sleep(Duration::from_millis(random.random_range(0..3000))).await;
    }
}

/// Sweeps until it succeeds or fails.
pub(super) async fn sweep(sweeper: OrphanSweep) {
    let _ = sweeper.run().await;
}

fn idle(writer: &LogWriter) -> Draft {
    Draft {
        next_seq: writer.next_seq(),
        position: writer.position().clone(),
        committed_at: None,
        open_xa: BTreeMap::new(),
        steps: Vec::new(),
    }
}

/// Uploads the next one to three rows. Batches of two processes differ, as they do in life.
async fn upload(store: &Faulty, writer: &LogWriter, source: &Source, random: &mut StdRng, part: u32) -> Option<Draft> {
    let from = writer.position().offset + 1;
    let to = (from + random.random_range(0..3)).min(source.rows);
    let rows = to - from + 1;
    let target = Target::new("t");
    let name = writer.data_name(writer.next_seq(), part);
    let path = paths::data(&target, &Partition::day(0), &name);
    let text = (from..=to).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    let bytes = text.len() as u64;
    store.create(&path, Bytes::from(text)).await.ok()?;
    let next_seq = Seq(writer.next_seq().0 + rows as i64);
    let file = FileStep {
        origin: Origin::new(&source.shard, "db", "t"),
        target,
        path: path.to_string(),
        rows,
        bytes,
        ops: OpCounts { i: rows, ..OpCounts::default() },
        schema: Digest::of(b"schema"),
        seqs: (writer.next_seq(), Seq(next_seq.0 - 1)),
        committed_at: (0, 0),
        net: false,
        partition: None,
    };
    let position = Position { offset: to, ..Position::default() };
    Some(Draft {
        next_seq,
        position,
        committed_at: Some((0, 0)),
        open_xa: BTreeMap::new(),
        steps: vec![Step::File(file)],
    })
}

/// What the follower took in. Like a warehouse, it survives the follower.
#[derive(Debug, Default)]
pub(super) struct Applied {
    state: Mutex<(u64, String, Vec<u64>)>,
    /// The follower ends when it has this row; 0 means never.
    pub(super) until: AtomicU64,
}

impl Applied {
    pub(super) fn rows(&self) -> Vec<u64> {
        self.state.lock().unwrap().2.clone()
    }

    /// Tells the lake how far the follower is.
    async fn register(&self, store: &dyn Store, world: &World, source: &Source) -> Result<(), ConsumerError> {
        let (applied, log_id) = {
            let state = self.state.lock().unwrap();
            (state.0, state.1.clone())
        };
        let consumed = (source.shard.clone(), Consumed { log_id, applied, held_by: None });
        let shards = [consumed].into_iter().filter(|_| applied > 0).collect();
        Consumer::new("memory", GROUP, shards, world.unix_micros()).save(store).await
    }

    fn take_in(&self, entry: &Entry, rows: &[u64]) {
        let mut state = self.state.lock().unwrap();
        assert_eq!(entry.number, state.0 + 1, "the follower skipped an entry");
        (state.0, state.1) = (entry.number, entry.log_id.clone());
        state.2.extend(rows);
    }

    fn from(&self) -> ReadFrom {
        let state = self.state.lock().unwrap();
        if state.0 == 0 { ReadFrom::Oldest } else { ReadFrom::After { number: state.0, log_id: state.1.clone() } }
    }

    fn is_complete(&self) -> bool {
        let until = self.until.load(Ordering::SeqCst);
        until > 0 && self.state.lock().unwrap().2.last().is_some_and(|last| *last >= until)
    }
}

/// A reader that follows, as apply does. Reopens after every failure.
pub(super) async fn follow(store: Arc<Faulty>, world: Arc<World>, source: Source, applied: Arc<Applied>) {
    loop {
        if applied.register(&*store, &world, &source).await.is_err() {
            world.sleep(Duration::from_secs(1)).await;
            continue;
        }
        let clock = Arc::clone(&world) as Arc<dyn Clock>;
        match LogReader::open(Arc::clone(&store) as _, clock, source.shard.clone(), applied.from()).await {
            Ok(mut reader) => loop {
                match reader.next().await {
                    Ok(Some(read)) => {
                        let rows = check_files(&*world.inner, &read.entry).await;
                        applied.take_in(&read.entry, &rows);
                        // Now and then, and behind what was applied. Without it more is kept.
                        if read.entry.number.is_multiple_of(3) {
                            let _ = applied.register(&*store, &world, &source).await;
                        }
                    }
                    Ok(None) if applied.is_complete() => return,
                    Ok(None) => world.sleep(Duration::from_secs(1)).await,
                    Err(LogError::Store(_)) => break,
                    Err(e) => panic!("the follower stopped: {e}"),
                }
            },
            Err(LogError::Store(_)) => {}
            Err(e) => panic!("the follower could not open the log: {e}"),
        }
        world.sleep(Duration::from_secs(1)).await;
    }
}

/// The rows of the files that an entry names; fails when a file is not what the entry says.
pub(super) async fn check_files(store: &dyn Store, entry: &Entry) -> Vec<u64> {
    let mut rows = Vec::new();
    for step in &entry.steps {
        let Step::File(file) = step else { continue };
        let path = ObjectPath::parse(&file.path).unwrap();
        let content = store.get(&path).await.unwrap();
        let content = content.unwrap_or_else(|| panic!("{path}, named by entry {}, is gone", entry.number));
        let found: Vec<u64> = std::str::from_utf8(&content).unwrap().split(' ').map(|n| n.parse().unwrap()).collect();
        assert_eq!((found.len() as u64, content.len() as u64), (file.rows, file.bytes), "{path} changed");
        rows.extend(found);
    }
    rows
}

/// Removes what the follower has applied and what is old, as an extractor does; then ends, and another one goes on.
pub(super) async fn gc(store: Arc<Faulty>, world: Arc<World>, source: Source, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let clock = Arc::clone(&world) as Arc<dyn Clock>;
    let gc = Gc::new(Arc::clone(&store) as _, clock, source.shard.clone());
    let groups = BTreeSet::from([GROUP.to_owned()]);
    let mut round = Round::default();
    for _ in 0..random.random_range(1..6) {
        let Ok(consumers) = Consumer::load_all(&*store).await else { return };
        let retention = Duration::from_secs(random.random_range(0..120));
        let since = Some(world.unix_micros() - retention.as_micros() as i64);
        let wanted = Wanted { since, consumers: &consumers, groups: &groups };
        let before = read_floor(&*world.inner, &source.shard).await.unwrap();
        let outlook = match gc.look(&wanted).await {
            Ok(Some(outlook)) => outlook,
            Ok(None) => return,
            Err(error) => {
                return assert!(may_fail(&error, &world, &source, before).await, "gc could not look: {error}");
            }
        };
        let mut more = true;
        while more {
            more = match gc.remove(&outlook).await {
                Ok((_, more)) => more,
                Err(error) => return assert!(may_fail(&error, &world, &source, before).await, "gc stopped: {error}"),
            };
        }
        if gc.sweep(&outlook, &mut round, 3).await.is_err() || gc.raise(&outlook).await.is_err() {
            return;
        }
        world.sleep(gc.wait().mul_f64(random.random_range(0.0..1.2))).await;
    }
}

/// Whether an error of gc is one that it is to meet: the store's, or that another gc was faster while this one slept.
async fn may_fail(error: &GcError, world: &World, source: &Source, before: u64) -> bool {
    match error {
        GcError::Store(_) | GcError::Log(LogError::Store(_)) | GcError::Consumers(ConsumerError::Store(_)) => true,
        GcError::Log(_) => read_floor(&*world.inner, &source.shard).await.unwrap() > before,
        GcError::Consumers(_) => false,
    }
}
