//! Continuous load on the shop of several shards.
//!
//! Sessions write random transactions at a bounded rate: inserts, updates and deletes of one row or
//! many, changed keys, REPLACE, ON DUPLICATE KEY UPDATE, rollbacks. The statements follow from a
//! seed; how the sessions interleave does not. Deadlocks and duplicate keys happen between sessions
//! as in any shop; the transaction is then rolled back and counted.

mod moves;
mod schema;
mod statements;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

pub use moves::{Move, move_parcel};
pub use schema::{DATABASE, tables};
use statements::{Shared, Transaction};

/// Rows lost to these errors are rolled back and forgotten: lock wait, deadlock, duplicate key.
const PARDONED: [u16; 3] = [1205, 1213, 1062];

/// Time between attempts of a session to connect again.
const RECONNECT: Duration = Duration::from_millis(500);

/// A shard as the load sees it.
#[derive(Debug, Clone)]
pub struct Shard {
    /// Its name in the pipeline.
    pub name: String,
    /// URL of a user who may do everything.
    pub url: String,
}

/// How much is written.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Seed of the statements.
    pub seed: u64,
    /// Sessions of each shard.
    pub sessions: u64,
    /// Transactions a second of each session, at most.
    pub rate: f64,
    /// Time between moves of a parcel from one shard to another; `None` for no moves.
    pub moves: Option<Duration>,
    /// Time between TRUNCATEs of the `events` of each shard; `None` for none.
    pub truncates: Option<Duration>,
    /// A session whose server goes away connects again and goes on, instead of ending the load.
    pub outlives_restarts: bool,
}

/// What the load did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Transactions committed.
    pub transactions: u64,
    /// Statements in them.
    pub statements: u64,
    /// Rows they changed, as MySQL counts them.
    pub rows: u64,
    /// Transactions rolled back on purpose or because of other sessions.
    pub rolled_back: u64,
    /// Parcels moved.
    pub moves: u64,
    /// Tables emptied.
    pub truncates: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.transactions += other.transactions;
        self.statements += other.statements;
        self.rows += other.rows;
        self.rolled_back += other.rolled_back;
        self.moves += other.moves;
        self.truncates += other.truncates;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} transactions with {} statements changed {} rows; {} rolled back, {} rows moved, {} truncates",
            self.transactions, self.statements, self.rows, self.rolled_back, self.moves, self.truncates
        )
    }
}

/// Load that runs until it is stopped.
#[derive(Debug)]
pub struct Load {
    shards: Vec<(Shard, Arc<Shared>)>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<Result<Counts>>,
    ended: Counts,
}

impl Load {
    /// Creates the tables on every shard, fills them with their first rows and starts the sessions.
    ///
    /// # Errors
    /// When a shard cannot be reached or refuses the tables.
    pub async fn start(shards: &[Shard], options: LoadOptions) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let count = shards.len() as u64;
        let mut load = Self { shards: Vec::new(), stop, tasks: JoinSet::new(), ended: Counts::default() };
        for (shard, place) in shards.iter().zip(0..) {
            let shared = Arc::new(Shared::new(place, count));
            let mut conn = connect(&shard.url).await?;
            for statement in schema::CREATE.split(';').filter(|text| !text.trim().is_empty()) {
                conn.query_drop(statement).await.with_context(|| format!("creating the shop on {}", shard.name))?;
            }
            let random = &mut StdRng::seed_from_u64(seed_of(options.seed, place, 0));
            let mut first = Counts::default();
            for transaction in statements::first_rows(&shared, random) {
                run(&mut conn, transaction, &mut first).await?;
            }
            conn.disconnect().await?;
            load.shards.push((shard.clone(), shared));
        }
        for (shard, shared) in &load.shards {
            for number in 1..=options.sessions {
                let random = StdRng::seed_from_u64(seed_of(options.seed, shared.place, number));
                let session = Session { url: shard.url.clone(), shared: Arc::clone(shared), random, options };
                load.tasks.spawn(session.run(connect(&shard.url).await?, stopped.clone()));
            }
            if let Some(period) = options.truncates {
                load.tasks.spawn(truncates(connect(&shard.url).await?, period, stopped.clone()));
            }
        }
        if let Some(period) = options.moves.filter(|_| shards.len() > 1) {
            let mut conns = Vec::new();
            for shard in shards {
                conns.push(connect(&shard.url).await?);
            }
            let random = StdRng::seed_from_u64(seed_of(options.seed, count, 0));
            load.tasks.spawn(moves::keep_moving(conns, random, period, stopped));
        }
        Ok(load)
    }

    /// Adds columns with defaults to `orders` on every shard, one after the other; the sessions go on.
    ///
    /// # Errors
    /// The server's error.
    pub async fn alter(&self) -> Result<()> {
        for (shard, shared) in &self.shards {
            let mut conn = connect(&shard.url).await?;
            conn.query_drop(schema::ALTER).await.with_context(|| format!("altering orders on {}", shard.name))?;
            shared.altered.store(true, Ordering::Relaxed);
            conn.disconnect().await?;
        }
        Ok(())
    }

    /// Looks whether every session still runs.
    ///
    /// # Errors
    /// The first error of a session.
    pub fn check(&mut self) -> Result<()> {
        while let Some(ended) = self.tasks.try_join_next() {
            self.ended.add(&ended??);
        }
        Ok(())
    }

    /// Ends the sessions after the transactions they are in.
    ///
    /// # Errors
    /// The first error of a session.
    pub async fn stop(mut self) -> Result<Counts> {
        // An error means that every session has ended already.
        let _ = self.stop.send(true);
        while let Some(ended) = self.tasks.join_next().await {
            self.ended.add(&ended??);
        }
        Ok(self.ended)
    }
}

/// Seeds of sessions lie far apart.
fn seed_of(seed: u64, place: u64, session: u64) -> u64 {
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(place << 16).wrapping_add(session)
}

/// A session whose values do not depend on the machine's time zone.
pub(crate) async fn connect(url: &str) -> Result<Conn> {
    let mut conn = Conn::new(Opts::from_url(url)?).await.context("cannot connect to MySQL")?;
    conn.query_drop("SET time_zone = '+00:00'").await?;
    Ok(conn)
}

/// One session of the load.
struct Session {
    url: String,
    shared: Arc<Shared>,
    random: StdRng,
    options: LoadOptions,
}

impl Session {
    async fn run(mut self, mut conn: Conn, mut stopped: watch::Receiver<bool>) -> Result<Counts> {
        let mut counts = Counts::default();
        let mut ticks = interval(Duration::from_secs_f64(1.0 / self.options.rate));
        // After a stall the session does not make up for what it missed: the rate is an upper bound.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*stopped.borrow() {
            tokio::select! {
                _ = stopped.changed() => break,
                _ = ticks.tick() => {}
            }
            let transaction = statements::transaction(&self.shared, &mut self.random);
            match run(&mut conn, transaction, &mut counts).await {
                Err(_) if self.options.outlives_restarts => {
                    // Whether a COMMIT without an answer was done is for the comparison, which reads the source.
                    let Some(again) = self.reconnect(&mut stopped).await else { return Ok(counts) };
                    conn = again;
                }
                outcome => outcome?,
            }
        }
        conn.disconnect().await?;
        Ok(counts)
    }

    /// A new connection as soon as there is one; `None` when the load was stopped meanwhile.
    async fn reconnect(&self, stopped: &mut watch::Receiver<bool>) -> Option<Conn> {
        while !*stopped.borrow() {
            tokio::select! {
                _ = stopped.changed() => return None,
                () = sleep(RECONNECT) => {}
            }
            if let Ok(conn) = connect(&self.url).await {
                return Some(conn);
            }
        }
        None
    }
}

async fn run(conn: &mut Conn, transaction: Transaction, counts: &mut Counts) -> Result<()> {
    let mut rows = 0;
    let mut done = 0;
    conn.query_drop("BEGIN").await?;
    for statement in &transaction.statements {
        match conn.query_drop(statement).await {
            Ok(()) => {
                rows += conn.affected_rows();
                done += 1;
            }
            Err(mysql_async::Error::Server(error)) if PARDONED.contains(&error.code) => break,
            Err(error) => return Err(error).with_context(|| format!("statement of the load: {statement}")),
        }
    }
    let whole = done == transaction.statements.len();
    if whole && transaction.commit {
        conn.query_drop("COMMIT").await?;
        counts.transactions += 1;
        counts.statements += done as u64;
        counts.rows += rows;
    } else {
        conn.query_drop("ROLLBACK").await?;
        counts.rolled_back += 1;
    }
    Ok(())
}

async fn truncates(mut conn: Conn, period: Duration, mut stopped: watch::Receiver<bool>) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut ticks = interval(period);
    ticks.tick().await;
    while !*stopped.borrow() {
        tokio::select! {
            _ = stopped.changed() => break,
            _ = ticks.tick() => {}
        }
        conn.query_drop(schema::TRUNCATE).await?;
        counts.truncates += 1;
    }
    conn.disconnect().await?;
    Ok(counts)
}

/// Draws a seed, or takes the one in the variable `name`.
///
/// # Errors
/// When the variable is not a number.
pub fn seed(name: &str) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is not a number")),
        Err(_) => Ok(rand::rng().random_range(0..1_000_000_000)),
    }
}
