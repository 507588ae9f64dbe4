//! A round over a table: what is new in it, chunk by chunk.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    PollState, RoundNews, RoundStep,
    seen::{self, Seen},
    state::{From, Under, Window},
    window::Look,
};
use crate::{
    backoff::Backoff,
    lake::Clock,
    metrics::PollMetrics,
    model::{Op, Seq},
    pipeline::extract::snapshot::{
        News,
        chunk::{ChunkFailure, Writing},
        readers::Reader,
        table::{Job, Stopped},
    },
    source::mysql::snapshot::{Bound, Edge, Session, SnapshotError, Stamp},
};

/// Numbers that a round takes for its chunks. What is left behind them is read by the next round, at once.
pub(in crate::pipeline::extract) const NUMBERS: i64 = 1 << 12;

/// A round over one table.
#[derive(Debug)]
pub(in crate::pipeline::extract) struct Round {
    /// What it reads and how; its number is the first of [`NUMBERS`].
    pub(in crate::pipeline::extract) job: Job,
    /// How far it looks back, microseconds.
    pub(in crate::pipeline::extract) overlap: i64,
    pub(in crate::pipeline::extract) clock: std::sync::Arc<dyn Clock>,
    pub(in crate::pipeline::extract) figures: PollMetrics,
}

/// What a statement brought.
struct Brought {
    read: u64,
    files: Vec<crate::model::FileStep>,
    last: Option<Bound>,
}

impl Round {
    /// Reads what is new and tells `news`; may be dropped at any time.
    pub(in crate::pipeline::extract) async fn run(self, mut state: PollState, news: mpsc::Sender<News>) {
        let turn = self.job.readers.turn().await;
        let mut backoff = Backoff::new(self.job.patience);
        let (mut gone, mut number) = (false, 0);
        let said = loop {
            let before = number;
            let failed = match self.read(&mut state, &mut number, &news).await {
                Ok(done) => break done,
                Err(failed) => failed,
            };
            if number > before {
                backoff.reset();
            }
            self.tell(&news, RoundStep::Failed).await;
            match self.job.recover(failed, &mut backoff, &mut gone, &news).await {
                Ok(()) => {}
                Err(Stopped::Complete | Stopped::Changed) => break RoundStep::Changed,
                Err(Stopped::Refused(reason)) => break RoundStep::Refused(reason),
                Err(Stopped::Failed(error)) => {
                    let _ = news.send(News::Failed(Box::new(error))).await;
                    return;
                }
            }
        };
        self.job.readers.rest(turn).await;
        self.tell(&news, said).await;
    }

    async fn tell(&self, news: &mpsc::Sender<News>, what: RoundStep) {
        let (table, seq) = (self.job.table, self.job.seq);
        // A session that has ended drops this task.
        let _ = news.send(News::Round(RoundNews { table, seq, what })).await;
    }

    /// Reads chunks from where the state stands to the end. `number` counts them; they are never more than [`NUMBERS`].
    async fn read(
        &self,
        state: &mut PollState,
        number: &mut i64,
        news: &mpsc::Sender<News>,
    ) -> Result<RoundStep, ChunkFailure> {
        let mut reader = self.job.readers.take().await?;
        let stamp = match self.stamp(&mut reader.session, &state.window).await? {
            Ok(stamp) => stamp,
            Err(reason) => return Ok(RoundStep::Refused(reason)),
        };
        if state.round.is_none() {
            let under = self.begin(&mut reader.session, stamp.as_ref(), &mut state.window).await?;
            state.round = Some(under);
        }
        // Without an index every statement reads the whole table: one is enough.
        let limit = (stamp.as_ref().is_none_or(|s| s.index.is_some())).then(|| self.job.chunk_rows());
        loop {
            if *number >= NUMBERS {
                return Ok(RoundStep::Done { state: Bytes::from(state.json()), began: None });
            }
            let Some(under) = &mut state.round else { break };
            let seq = Seq(self.job.seq.0 + *number);
            *number += 1;
            self.job.readers.calm(&mut reader.session).await?;
            let chunk = self.chunk(&mut reader, stamp.as_ref(), under, &mut state.seen, limit, seq).await?;
            self.job.readers.count(chunk.read).await;
            let written = chunk.files.iter().map(|f| f.rows).sum();
            self.figures.rows(written, chunk.read.saturating_sub(written));
            under.cursor = chunk.last.or(under.cursor.take());
            let whole = limit.is_none_or(|limit| chunk.read < limit);
            if !chunk.files.is_empty() {
                let (files, read, state) = (chunk.files, chunk.read, Bytes::from(state.json()));
                self.tell(news, RoundStep::Rows { files, read, state }).await;
            }
            if whole {
                break;
            }
        }
        self.job.readers.give_back(reader).await;
        Ok(self.complete(state))
    }

    /// The column that orders the window, `None` for the key; or why it cannot any more.
    async fn stamp(
        &self,
        session: &mut Session,
        window: &Window,
    ) -> Result<Result<Option<Stamp>, String>, SnapshotError> {
        match window {
            Window::UpdatedAt { column, .. } => Ok(session.stamp(&self.job.shape, column).await?.map(Some)),
            Window::Whole | Window::Key(_) => Ok(Ok(None)),
        }
    }

    /// Where the round looks from.
    async fn begin(
        &self,
        session: &mut Session,
        stamp: Option<&Stamp>,
        window: &mut Window,
    ) -> Result<Under, SnapshotError> {
        let shape = &self.job.shape;
        let clock = session.clock().await?;
        let ours = self.clock.unix_micros();
        let (look, from) = match (window, stamp) {
            (Window::UpdatedAt { stamps, .. }, Some(stamp)) => {
                let look = Look { ours, theirs: clock.of(stamp) };
                let high = session.latest(shape, stamp, clock.latest(stamp)).await?;
                (look, From::Stamp { low: stamps.low(look, self.overlap), high })
            }
            (Window::Key(keys), _) => {
                let look = Look { ours, theirs: clock.utc };
                let high = session.last_key(shape, 0).await?;
                let (low, again) = keys.low(look, self.overlap);
                (look, From::Key { low, high, again })
            }
            // Such a table has no rounds; everything would be new.
            (Window::Whole | Window::UpdatedAt { .. }, _) => {
                (Look { ours, theirs: clock.utc }, From::Stamp { low: None, high: None })
            }
        };
        Ok(Under { look, from, cursor: None })
    }

    /// Reads one statement's rows and waits until those that are new are durable.
    async fn chunk(
        &self,
        reader: &mut Reader,
        stamp: Option<&Stamp>,
        under: &Under,
        seen: &mut Seen,
        limit: Option<u64>,
        seq: Seq,
    ) -> Result<Brought, ChunkFailure> {
        let job = &self.job;
        let edge = match (&under.cursor, &under.from) {
            (Some(cursor), _) => Edge::Above(cursor),
            // Rows without a time are in no window: there is no place behind them.
            (None, From::Stamp { low, .. }) => Edge::Since(low.unwrap_or(i64::MIN)),
            (None, From::Key { low: Some(low), .. }) => Edge::Above(low),
            (None, From::Key { low: None, .. }) => Edge::Open,
        };
        let op = if stamp.is_some() { Op::Update } else { Op::Insert };
        let mut writing = Writing::begin(job, op, seq, reader.session.now().await?);
        let place = |name: &String| job.shape.map.columns.iter().position(|c| c.name.as_ref() == Some(name));
        let key: Vec<usize> = job.shape.key.iter().filter_map(|k| place(&k.name)).collect();
        let schema = job.plan.schema().id();
        let (mut buffer, mut read, mut last) = (Vec::new(), 0, None);
        // What is noted must not be believed when the chunk fails.
        let mut noted = Vec::new();
        let mut stream = reader.session.window(&job.shape, stamp, edge, limit).await?;
        while let Some(row) = stream.next().await? {
            read += 1;
            let (key, digest) = seen::digests(&row, &key, schema.as_str().as_bytes(), &mut buffer);
            if !seen.knows(key, digest) {
                writing.push(&row).await?;
            }
            noted.push((key, digest));
            if noted.len() > seen::ROWS_MAX * 2 {
                noted.drain(..seen::ROWS_MAX).for_each(|(key, _)| seen.forget(key));
            }
            if limit == Some(read) {
                last = Some(row.bound().ok_or(SnapshotError::NullKey)?);
            }
        }
        let rows = writing.finish().await?;
        noted.into_iter().for_each(|(key, digest)| seen.note(key, digest));
        Ok(Brought { read, files: rows.files, last })
    }

    /// Everything is read.
    fn complete(&self, state: &mut PollState) -> RoundStep {
        if let Some(Under { look, from, .. }) = state.round.take() {
            match (&mut state.window, from) {
                (Window::UpdatedAt { stamps, .. }, From::Stamp { high, .. }) => stamps.complete(look, high),
                (Window::Key(keys), From::Key { high, again, .. }) => keys.complete(look, high, again, self.overlap),
                _ => {}
            }
            state.began = look.ours;
        }
        state.seen.turn();
        RoundStep::Done { state: Bytes::from(state.json()), began: Some(state.began) }
    }
}
