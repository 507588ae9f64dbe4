//! One table: cut into chunks, several of them read at a time.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet, time::sleep};
use tracing::Instrument as _;

use super::{
    News, Parts,
    chunk::{self, ChunkFailure, ChunkRows},
    progress::Progress,
    readers::{Reader, Readers},
};
use crate::{
    backoff::Backoff,
    batch::{Budget, Sealed},
    decode::{Declared, Plan, Policies},
    errors::chain,
    metrics::{ErrorKind, Metrics, ShardMetrics, SnapshotMetrics, Stage},
    model::{Origin, Seq, Target},
    pipeline::extract::{
        decoder::{Limits, count_sealed},
        files::FileMaker,
    },
    source::mysql::{
        connect::Address,
        snapshot::{Bound, Fate, Range, Session, Shape, SnapshotError},
        start,
    },
};

/// Rows of a chunk are chosen for this much of the table's data: a statement of a second or so, and a few files.
const CHUNK_BYTES: u64 = 32 << 20;

/// Fewest rows of a chunk, unless configured lower.
const CHUNK_ROWS_MIN: u64 = 1000;

/// Chunks at a time for each reader: one that is read, and one whose last files are being made and stored.
const CHUNKS_PER_READER: usize = 2;

/// How long to wait before a table that is gone is looked for again: the binlog will say what happened to it.
const GONE_AGAIN: Duration = Duration::from_secs(5);

/// Everything that reading one table needs.
#[derive(Clone, Debug)]
pub(in crate::pipeline::extract) struct Job {
    /// The table's place in the decode thread.
    pub(in crate::pipeline::extract) table: usize,
    pub(in crate::pipeline::extract) origin: Origin,
    pub(in crate::pipeline::extract) target: Target,
    /// Number of every row.
    pub(in crate::pipeline::extract) seq: Seq,
    pub(in crate::pipeline::extract) shape: Arc<Shape>,
    pub(in crate::pipeline::extract) plan: Arc<Plan>,
    pub(in crate::pipeline::extract) policies: Policies,
    /// How it is read.
    pub(in crate::pipeline::extract) way: Way,
    pub(in crate::pipeline::extract) readers: Arc<Readers>,
    pub(in crate::pipeline::extract) address: Address,
    pub(in crate::pipeline::extract) files: FileMaker,
    pub(in crate::pipeline::extract) parts: Parts,
    pub(in crate::pipeline::extract) budget: Budget,
    pub(in crate::pipeline::extract) limits: Limits,
    pub(in crate::pipeline::extract) patience: Option<Duration>,
    pub(in crate::pipeline::extract) metrics: Arc<ShardMetrics>,
    pub(in crate::pipeline::extract) process: Arc<Metrics>,
}

/// How a table is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline::extract) enum Way {
    /// In chunks, several at a time, while its changes are followed: they mend what chunks saw at different moments.
    Followed,
    /// In chunks, and nobody follows what comes later.
    Chunks,
    /// As it was at one moment: over one connection, in one read view.
    View,
    /// As [`View`](Self::View), while its changes are followed: which of them the view has is known.
    History,
}

/// How reading a table ended before its end.
#[derive(Debug)]
pub(in crate::pipeline::extract) enum Stopped {
    /// There is nothing to be read.
    Complete,
    /// Its definition is another one.
    Changed,
    /// For the operator.
    Refused(String),
    /// The session must end: the lake fails, or a defect.
    Failed(crate::pipeline::extract::ExtractError),
}

impl Job {
    pub(in crate::pipeline::extract) fn count_sealed(&self, sealed: &Sealed) {
        count_sealed(&self.metrics, &self.process, &self.target, self.plan.schema(), sealed);
    }

    /// Reads what `progress` lacks and tells `news`. Ends by itself when all is read; may be dropped at any time.
    /// `view` is a session that is in the one view, where it was opened already.
    pub(in crate::pipeline::extract) async fn run(
        self,
        view: Option<Reader>,
        mut progress: Progress,
        news: mpsc::Sender<News>,
    ) {
        let figures = self.process.snapshot_begins(&self.origin, progress.rows, self.shape.rows);
        // Who has a view keeps its reader from the others already.
        let turn = if view.is_some() { None } else { self.readers.turn().await };
        figures.reading();
        match self.way {
            Way::View | Way::History => self.read_view(view, &mut progress, &figures, &news).await,
            Way::Followed | Way::Chunks => self.read_table(&mut progress, &figures, &news).await,
        }
        self.readers.rest(turn).await;
    }

    /// Reads until all is read or something ends it.
    async fn read_table(&self, progress: &mut Progress, figures: &SnapshotMetrics, news: &mpsc::Sender<News>) {
        let mut backoff = Backoff::new(self.patience);
        let mut gone = false;
        loop {
            let before = progress.rows;
            let failed = match self.read_all(progress, figures, news).await {
                Ok(()) => match self.complete(news).await {
                    Ok(()) => return,
                    Err(e) => ChunkFailure::Source(e),
                },
                Err(failed) => failed,
            };
            if progress.rows > before {
                backoff.reset();
                gone = false;
            }
            match self.recover(failed, &mut backoff, &mut gone, news).await {
                Ok(()) => {}
                Err(stopped) => return self.stopped(stopped, news).await,
            }
        }
    }

    /// All chunks are in the lake.
    pub(in crate::pipeline::extract) async fn complete(&self, news: &mpsc::Sender<News>) -> Result<(), SnapshotError> {
        let until = self.end().await?;
        // Where nobody hears it, the session has ended.
        let _ = news.send(News::Complete { table: self.table, seq: self.seq, until }).await;
        Ok(())
    }

    /// Waits until another attempt is worthwhile, or says why there is none.
    pub(in crate::pipeline::extract) async fn recover(
        &self,
        failed: ChunkFailure,
        backoff: &mut Backoff,
        gone: &mut bool,
        news: &mpsc::Sender<News>,
    ) -> Result<(), Stopped> {
        let error = match failed {
            ChunkFailure::Source(error) => error,
            ChunkFailure::Value(_) if self.is_changed().await => return Err(Stopped::Changed),
            ChunkFailure::Value(error) => return Err(Stopped::Refused(error.to_string())),
            ChunkFailure::Extract(error) => return Err(Stopped::Failed(error)),
        };
        match error.fate() {
            Fate::Changed => Err(Stopped::Changed),
            Fate::Refused => Err(Stopped::Refused(format!("it cannot be read: {}", chain(&error)))),
            // If it was dropped, the stream says so. Where it never does, there is nothing to be read.
            Fate::Gone if std::mem::replace(gone, true) && self.complete(news).await.is_ok() => Err(Stopped::Complete),
            Fate::Gone => {
                sleep(GONE_AGAIN).await;
                Ok(())
            }
            Fate::Again => {
                let Some(pause) = backoff.next() else { return Err(Stopped::Failed(error.into())) };
                let (origin, error) = (&self.origin, chain(&error));
                self.process.error(Stage::Source, ErrorKind::Transient);
                self.process.retry(Stage::Source, ErrorKind::Transient);
                tracing::warn!(%origin, error, ?pause, "reading a table was interrupted; going on");
                sleep(pause).await;
                Ok(())
            }
        }
    }

    async fn stopped(&self, stopped: Stopped, news: &mpsc::Sender<News>) {
        let (table, seq) = (self.table, self.seq);
        let said = match stopped {
            Stopped::Complete => return,
            Stopped::Changed => News::Changed { table, seq },
            Stopped::Refused(reason) => News::Refused { table, seq, reason },
            Stopped::Failed(error) => News::Failed(Box::new(error)),
        };
        let _ = news.send(said).await;
    }

    /// Whether the catalog has another schema for the table than the one that is read.
    pub(in crate::pipeline::extract) async fn is_changed(&self) -> bool {
        let Ok(mut conn) = self.address.connect().await else { return true };
        let map = &self.shape.map;
        match Shape::read(&mut conn, &map.database, &map.table, map.flavor).await {
            Ok(Some(shape)) => compile(&shape, &self.policies).map_or(true, |plan| plan.schema() != self.plan.schema()),
            _ => true,
        }
    }

    /// Behind which place of the stream everything is that the chunks saw.
    async fn end(&self) -> Result<start::Visible, SnapshotError> {
        if self.way != Way::Followed {
            return Ok(start::Visible::Everything);
        }
        // One of those that read, where one rests: thousands of small tables need not be as many connections.
        let mut session = self.readers.session().await?;
        let place = session.visible().await?;
        self.readers.keep(session).await;
        Ok(place)
    }

    async fn read_all(
        &self,
        progress: &mut Progress,
        figures: &SnapshotMetrics,
        news: &mpsc::Sender<News>,
    ) -> Result<(), ChunkFailure> {
        let mut tasks = JoinSet::new();
        let mut stride = None;
        let mut planned = VecDeque::from(progress.open());
        while let Some(mut range) = planned.front().cloned().or_else(|| progress.rest()) {
            let room = tasks.len() < self.readers.connections() * CHUNKS_PER_READER;
            let mut reader = tokio::select! {
                biased;
                reader = self.readers.take(), if room => reader?,
                Some(done) = tasks.join_next() => {
                    self.settle(done, progress, news).await?;
                    figures.read(progress.rows);
                    continue;
                }
            };
            if planned.pop_front().is_none() {
                range.up_to = self.next_boundary(&mut reader.session, &range, &mut stride).await?;
                progress.plan(range.up_to.clone());
            }
            let job = self.clone();
            let work = async move { (range.clone(), job.read_chunk(reader, &range).await) };
            tasks.spawn(work.in_current_span());
        }
        while let Some(done) = tasks.join_next().await {
            self.settle(done, progress, news).await?;
            figures.read(progress.rows);
        }
        Ok(())
    }

    /// Reads a chunk and waits until its files are durable. The reader reads on for others meanwhile.
    async fn read_chunk(&self, mut reader: Reader, range: &Range) -> Result<ChunkRows, ChunkFailure> {
        let read = chunk::read(self, &mut reader.session, range).await?;
        self.readers.count(read.rows()).await;
        self.readers.give_back(reader).await;
        read.finish().await
    }

    /// Where the next piece of the rest ends; `None` when the rest is small enough to be one.
    ///
    /// A key that is one integer without large holes is cut by arithmetic. Any other is walked by the server, which costs it a
    /// look at every key.
    pub(in crate::pipeline::extract) async fn next_boundary(
        &self,
        session: &mut Session,
        rest: &Range,
        stride: &mut Option<Stride>,
    ) -> Result<Option<Bound>, SnapshotError> {
        let rows = self.chunk_rows();
        let stride = match stride {
            Some(stride) => stride,
            none => none.insert(match self.shape.has_integer_key() {
                true => Stride::of(session.extremes(&self.shape).await?, self.shape.rows, rows),
                false => Stride::Walk,
            }),
        };
        match stride {
            Stride::Walk => session.boundary(&self.shape, rest, rows).await,
            Stride::Step { least, greatest, step } => {
                let above = rest.above.as_ref().and_then(Bound::as_integer).unwrap_or(*least - 1);
                let up_to = above + *step;
                Ok(if up_to < *greatest { Bound::integer(up_to) } else { None })
            }
        }
    }

    /// Takes in a chunk that has ended.
    async fn settle(
        &self,
        done: Result<(Range, Result<ChunkRows, ChunkFailure>), tokio::task::JoinError>,
        progress: &mut Progress,
        news: &mpsc::Sender<News>,
    ) -> Result<(), ChunkFailure> {
        let (range, read) = done.map_err(|e| {
            ChunkFailure::Extract(crate::pipeline::extract::ExtractError::Panicked {
                what: format!("reading a chunk of {}", self.origin),
                cause: e.to_string(),
            })
        })?;
        let chunk = read?;
        progress.finish(range.up_to.as_ref(), chunk.rows);
        let (table, seq) = (self.table, self.seq);
        let said = News::Chunk { table, seq, files: chunk.files, progress: Box::new(progress.clone()) };
        // A session that has ended drops this task.
        let _ = news.send(said).await;
        Ok(())
    }

    /// Rows of a chunk.
    pub(in crate::pipeline::extract) fn chunk_rows(&self) -> u64 {
        let most = self.readers.chunk_rows_max();
        let by_bytes = CHUNK_BYTES.checked_div(self.shape.row_bytes).unwrap_or(most);
        by_bytes.max(CHUNK_ROWS_MIN).min(most)
    }
}

/// How a table is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline::extract) enum Stride {
    /// By its keys.
    Walk,
    /// Every `step` numbers, between the least and the greatest key that there was when it began. Greater ones came later and
    /// are in the stream.
    Step { least: i128, greatest: i128, step: i128 },
}

impl Stride {
    /// Holes may double the numbers of a piece: it never has more rows than numbers.
    const HOLES_MAX: i128 = 2;

    /// For keys between `extremes`, of which about `estimated` exist.
    fn of(extremes: Option<(i128, i128)>, estimated: u64, rows: u64) -> Self {
        let Some((least, greatest)) = extremes else { return Self::Walk };
        let (numbers, rows) = (greatest - least + 1, i128::from(rows));
        // The estimate can be half of the truth.
        let dense = numbers <= i128::from(estimated).saturating_mul(2 * Self::HOLES_MAX).max(rows);
        let holes = (numbers / i128::from(estimated.max(1))).clamp(1, Self::HOLES_MAX);
        if dense { Self::Step { least, greatest, step: rows * holes } } else { Self::Walk }
    }
}

/// The plan of a shape.
pub(in crate::pipeline) fn compile(shape: &Shape, policies: &Policies) -> Result<Plan, crate::decode::PlanError> {
    let declared =
        Declared { booleans: shape.booleans.iter().cloned().collect(), unique_key: shape.unique_key.clone() };
    Plan::compile(&shape.map, &declared, policies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_integers_are_cut_by_arithmetic_and_others_walked() {
        let step = |least, greatest, step| Stride::Step { least, greatest, step };
        assert_eq!(Stride::of(Some((1, 1_000_000)), 990_000, 1000), step(1, 1_000_000, 1000));
        assert_eq!(Stride::of(Some((1, 1_000_000)), 500_000, 1000), step(1, 1_000_000, 2000));
        assert_eq!(Stride::of(Some((1, 1_000_000)), 1000, 1000), Stride::Walk);
        assert_eq!(Stride::of(Some((-5, 5)), 0, 1000), step(-5, 5, 2000));
        assert_eq!(
            Stride::of(Some((i128::from(i64::MIN), i128::from(u64::MAX))), u64::MAX, 1000),
            step(i128::from(i64::MIN), i128::from(u64::MAX), 1000)
        );
        assert_eq!(Stride::of(None, 0, 1000), Stride::Walk);
    }
}
