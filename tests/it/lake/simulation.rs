//! A seeded simulation of one log: writers that crash, sleep anywhere and lose answers, requests that arrive late, gc.
//!
//! The source is the rows 1..=M, whose number is also the position. Writers resume from the head, upload a file with
//! some rows and commit an entry that names it. Every request may stop before and after its effect, fail with or
//! without it, or take effect long after its sender died. Whatever happens:
//! - the files that the chain names, put together, are 1..=M, each once and in order, for a reader that followed all
//!   along;
//! - a reader that starts anew finds an unbroken chain from the floor on;
//! - every file that a kept entry names is there, with the rows it says.
//!
//! `TAILWATER_SEED=7` runs one seed, `TAILWATER_SEEDS=20000` so many in memory.

mod actors;
mod faulty;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tailwater::{
    lake::{
        Clock, LogReader, ReadFrom, Store,
        log::{GC_GRACE, read_head},
    },
    model::Shard,
};

use super::{memory::Memory, stores::Fixture};
use actors::{Applied, Source, check_files, follow, gc, write};
use faulty::{Faulty, World};

type Actor = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Most writers at a time, as in the model.
const WRITERS_MAX: usize = 4;

/// Most that remove old entries at a time.
const GCS_MAX: usize = 2;

/// Turns of the scheduler with faults; then one healthy writer finishes.
const TURNS: usize = 900;

struct Task {
    actor: Actor,
    /// Not run before this turn.
    asleep_until: usize,
    role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Writer,
    /// One at a time, started again after a crash.
    Follower,
    /// Two at a time: more than there ever should be.
    Gc,
}

struct Simulation {
    random: StdRng,
    world: Arc<World>,
    source: Source,
    tasks: Vec<Task>,
    writers: u32,
    applied: Arc<Applied>,
}

impl Simulation {
    fn new(seed: u64, inner: Arc<dyn Store>, runtime: tokio::runtime::Handle) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let world = World::new(inner, random.random(), runtime);
        // Every request of a real store takes milliseconds.
        let rows = random.random_range(4..if world.is_real() { 10 } else { 40 });
        let source = Source { rows, shard: Shard::new("s01") };
        Self { random, world, source, tasks: Vec::new(), writers: 0, applied: Arc::default() }
    }

    fn faulty(&self) -> Arc<Faulty> {
        Arc::new(Faulty::new(Arc::clone(&self.world)))
    }

    fn start(&mut self, actor: Actor, role: Role) {
        self.tasks.push(Task { actor, asleep_until: 0, role });
    }

    fn count(&self, role: Role) -> usize {
        self.tasks.iter().filter(|t| t.role == role).count()
    }

    fn start_follower(&mut self) {
        let (store, world) = (self.faulty(), Arc::clone(&self.world));
        let (source, applied) = (self.source.clone(), Arc::clone(&self.applied));
        self.start(Box::pin(follow(store, world, source, applied)), Role::Follower);
    }

    fn start_writer(&mut self) {
        self.writers += 1;
        let name = if self.random.random_bool(0.5) { "a" } else { "b" };
        let take_over = self.random.random_bool(0.6);
        let options = actors::options(name, self.writers, take_over);
        let seed = self.random.random();
        let sweeps = self.random.random_bool(0.5);
        let (store, world, source) = (self.faulty(), Arc::clone(&self.world), self.source.clone());
        self.start(Box::pin(write(store, world, source, options, seed, sweeps)), Role::Writer);
    }

    /// One turn: time passes, then every task that is awake may move one step.
    fn turn(&mut self, turn: usize) {
        let step = match self.random.random_range(0..100) {
            0 => GC_GRACE * 2,
            1..5 => Duration::from_secs(45),
            5..30 => Duration::from_secs(2),
            _ => Duration::from_millis(20),
        };
        self.world.advance(step);
        let writers = self.count(Role::Writer);
        if writers == 0 || (writers < WRITERS_MAX && self.random.random_bool(0.03)) {
            self.start_writer();
        }
        if self.count(Role::Follower) == 0 {
            self.start_follower();
        }
        if self.count(Role::Gc) < GCS_MAX && self.random.random_bool(0.02) {
            let (store, world) = (self.faulty(), Arc::clone(&self.world));
            let (source, seed) = (self.source.clone(), self.random.random());
            self.start(Box::pin(gc(store, world, source, seed)), Role::Gc);
        }
        if self.random.random_bool(0.1) {
            self.world.deliver_late();
        }
        let mut index = 0;
        while index < self.tasks.len() {
            let task = &mut self.tasks[index];
            let moves = turn >= task.asleep_until && self.random.random_bool(0.6);
            if moves && self.random.random_bool(0.004) {
                // A crash: requests under way may arrive later.
                drop(self.tasks.swap_remove(index));
                continue;
            }
            if moves && self.random.random_bool(0.01) {
                task.asleep_until = turn + self.random.random_range(1..200);
                continue;
            }
            if moves && poll(&mut task.actor) {
                drop(self.tasks.swap_remove(index));
                continue;
            }
            index += 1;
        }
    }

    /// Runs `future` alone and without faults until it ends.
    fn alone<T>(&self, mut future: Pin<Box<dyn Future<Output = T> + '_>>) -> T {
        let healthy = self.world.healthy();
        for _ in 0..2_000_000 {
            if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                drop(healthy);
                return done;
            }
            self.world.advance(Duration::from_millis(20));
            self.world.let_io_run();
        }
        panic!("the healthy end of the simulation does not come");
    }

    /// A reader that starts at the oldest entry now.
    fn check_chain(&self) {
        let (store, world) = (self.faulty(), Arc::clone(&self.world));
        self.alone(Box::pin(async move {
            let open = LogReader::open(store, world as Arc<dyn Clock>, self.source.shard.clone(), ReadFrom::Oldest);
            let mut reader = open.await.unwrap();
            let mut position = None;
            while let Some(read) = reader.next().await.unwrap() {
                let rows = check_files(&*self.world.inner, &read.entry).await;
                if let (Some(position), false) = (position, rows.is_empty()) {
                    assert_eq!(rows[0], position + 1, "entry {} does not continue", read.entry.number);
                }
                position = Some(read.entry.position.offset);
                assert_eq!(rows.last().copied().unwrap_or(read.entry.position.offset), read.entry.position.offset);
            }
        }));
    }

    fn run(mut self) {
        for turn in 0..TURNS {
            self.turn(turn);
            self.world.let_io_run();
            if turn % 150 == 149 && !self.world.is_real() {
                self.check_chain();
            }
        }
        // Everybody dies; one healthy writer finishes, and the follower must get everything, gc or not.
        self.tasks.clear();
        self.world.deliver_late();
        self.world.advance(GC_GRACE);
        // A writer may release the log before the source ends; the next one goes on.
        for nonce in u32::MAX / 2.. {
            let last = actors::options("a", nonce, true);
            let (store, world, source) = (self.faulty(), Arc::clone(&self.world), self.source.clone());
            self.alone(Box::pin(write(store, world, source, last, nonce.into(), true)));
            let head = self.alone(Box::pin(async { read_head(&*self.world.inner, &self.source.shard).await.unwrap() }));
            if head.is_some_and(|head| head.newest.entry.position.offset >= self.source.rows) {
                break;
            }
        }
        self.world.deliver_late();
        self.world.advance(GC_GRACE);
        self.check_chain();
        let (store, world) = (self.faulty(), Arc::clone(&self.world));
        let (source, applied) = (self.source.clone(), Arc::clone(&self.applied));
        self.applied.until.store(self.source.rows, std::sync::atomic::Ordering::SeqCst);
        self.alone(Box::pin(follow(store, world, source, applied)));
        let expected: Vec<u64> = (1..=self.source.rows).collect();
        assert_eq!(self.applied.rows(), expected, "what the follower applied");
    }
}

/// Lets an actor move until it waits. Returns whether it ended.
fn poll(actor: &mut Actor) -> bool {
    actor.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn simulate(seed: u64, inner: Arc<dyn Store>, runtime: &tokio::runtime::Runtime) {
    let _entered = runtime.enter();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Simulation::new(seed, inner, runtime.handle().clone()).run();
    }));
    if let Err(panic) = outcome {
        eprintln!("the simulation failed with TAILWATER_SEED={seed}");
        std::panic::resume_unwind(panic);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// The seeds to run: `TAILWATER_SEED`, or the first `TAILWATER_SEEDS` (by default `count`).
fn seeds(count: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("TAILWATER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TAILWATER_SEEDS").unwrap_or(count),
    }
}

#[test]
fn every_seed_in_memory() {
    let runtime = runtime();
    for seed in seeds(150) {
        simulate(seed, Arc::new(Memory::default()), &runtime);
    }
}

#[test]
fn some_seeds_in_a_folder() {
    let runtime = runtime();
    for seed in seeds(3).take(3) {
        let fixture = Fixture::directory();
        simulate(seed, Arc::clone(&fixture.store), &runtime);
    }
}

#[test]
fn some_seeds_in_s3() {
    let runtime = runtime();
    for seed in seeds(2).take(2) {
        let fixture = runtime.block_on(Fixture::s3());
        simulate(seed, Arc::clone(&fixture.store), &runtime);
    }
}
