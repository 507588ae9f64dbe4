//! Connections that read rows, and what keeps them from being a burden to the source.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use super::SnapshotOptions;
use crate::source::mysql::{
    connect::Address,
    snapshot::{Session, SnapshotError},
};

/// How often a source's load is looked at, and how long to pause when it is too high.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The readers of one shard.
#[derive(Debug)]
pub(in crate::pipeline::extract) struct Readers {
    address: Address,
    options: SnapshotOptions,
    places: Arc<Semaphore>,
    /// Tables that are read at the same time: as many as connections, so that the first ones are complete soon.
    tables: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
    load: Mutex<Load>,
}

/// When the source was looked at, and when the rows read so far were due.
#[derive(Debug)]
struct Load {
    looked: Option<Instant>,
    due: Instant,
}

/// A session that is one of the shard's few.
#[derive(Debug)]
pub(in crate::pipeline::extract) struct Reader {
    pub(in crate::pipeline::extract) session: Session,
    _place: Option<OwnedSemaphorePermit>,
}

impl Readers {
    pub(in crate::pipeline::extract) fn new(address: Address, options: SnapshotOptions) -> Self {
        let places = Arc::new(Semaphore::new(options.connections.max(1)));
        let tables = Arc::new(Semaphore::new(options.connections.max(1)));
        let load = Mutex::new(Load { looked: None, due: Instant::now() });
        Self { address, options, places, tables, idle: Mutex::new(Vec::new()), load }
    }

    /// How many there are at most.
    pub(in crate::pipeline::extract) fn connections(&self) -> usize {
        self.options.connections.max(1)
    }

    /// Rows of one chunk at most.
    pub(in crate::pipeline::extract) fn chunk_rows_max(&self) -> u64 {
        self.options.chunk_rows_max
    }

    /// Waits until a table's turn has come; it lasts as long as the answer.
    pub(in crate::pipeline::extract) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.tables).acquire_owned().await.ok()
    }

    /// A table's turn ends. With the last one the connections are closed.
    pub(in crate::pipeline::extract) async fn rest(&self, turn: Option<OwnedSemaphorePermit>) {
        drop(turn);
        if self.tables.available_permits() >= self.connections() {
            self.idle.lock().await.clear();
        }
    }

    /// Waits for a place among the readers and for the source to be quiet enough, then connects if need be. Cancel safe.
    pub(in crate::pipeline::extract) async fn take(&self) -> Result<Reader, SnapshotError> {
        // The semaphore is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let mut session = self.session().await?;
        self.calm(&mut session).await?;
        Ok(Reader { session, _place: place })
    }

    /// A reader for a table that is read in one view, if there is a place now; the source's load is looked at later.
    pub(in crate::pipeline::extract) async fn take_now(&self) -> Result<Option<Reader>, SnapshotError> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return Ok(None) };
        Ok(Some(Reader { session: self.session().await?, _place: Some(place) }))
    }

    /// A session for a question that takes no rows and so no place among the readers: one that rests, else a new one.
    pub(in crate::pipeline::extract) async fn session(&self) -> Result<Session, SnapshotError> {
        let idle = self.idle.lock().await.pop();
        match idle {
            Some(session) => Ok(session),
            None => Session::open(&self.address).await,
        }
    }

    /// Keeps a session until somebody needs it, unless enough are kept.
    pub(in crate::pipeline::extract) async fn keep(&self, session: Session) {
        let mut idle = self.idle.lock().await;
        if idle.len() < self.options.connections.max(1) {
            idle.push(session);
        }
    }

    /// Gives a reader back that is fit for more.
    pub(in crate::pipeline::extract) async fn give_back(&self, reader: Reader) {
        self.keep(reader.session).await;
    }

    /// Waits until the rows read so far are within the rate, and the source is not busier than allowed.
    pub(in crate::pipeline::extract) async fn calm(&self, session: &mut Session) -> Result<(), SnapshotError> {
        let mut load = self.load.lock().await;
        sleep(load.due.saturating_duration_since(Instant::now())).await;
        let mut paused = false;
        while load.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            let Some(why) = self.burden(session).await? else {
                load.looked = Some(Instant::now());
                break;
            };
            if !std::mem::replace(&mut paused, true) {
                tracing::info!(why, "snapshots pause to spare the source");
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Why the source should be left alone now.
    async fn burden(&self, session: &mut Session) -> Result<Option<String>, SnapshotError> {
        if let Some(max) = self.options.threads_running_max {
            let running = session.threads_running().await?;
            if running > max {
                return Ok(Some(format!("{running} threads work on it, more than threads_running_max = {max}")));
            }
        }
        if let Some(max) = self.options.replica_lag_max
            && let Some(lag) = session.replica_lag().await?
            && Duration::from_secs(lag) > max
        {
            return Ok(Some(format!("it is {lag} s behind its own source, more than replica_lag_max = {max:?}")));
        }
        Ok(None)
    }

    /// Counts rows that were read towards the rate.
    pub(in crate::pipeline::extract) async fn count(&self, rows: u64) {
        let Some(rate) = self.options.rows_per_second.filter(|rate| *rate > 0) else { return };
        let mut load = self.load.lock().await;
        load.due = load.due.max(Instant::now()) + Duration::from_secs_f64(rows as f64 / rate as f64);
    }
}
