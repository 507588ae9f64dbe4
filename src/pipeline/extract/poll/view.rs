//! All rows of a table as they were at one moment, over one connection.
//!
//! Without a stream behind it, a copy whose chunks were read at different moments would be a state that the table never had. A read
//! view costs the source what `mysqldump --single-transaction` costs it: old versions of rows are kept until it ends. It cannot be
//! resumed: an interrupted copy begins anew, under another number.

use tokio::sync::mpsc;

use crate::{
    errors::chain,
    metrics::SnapshotMetrics,
    pipeline::extract::{
        ExtractError,
        snapshot::{
            News,
            chunk::{self, ChunkFailure},
            progress::Progress,
            readers::Reader,
            table::Job,
        },
    },
    source::mysql::snapshot::{Fate, SnapshotError},
};

impl Job {
    /// Reads the whole table in one view: `opened`, or one that it opens.
    pub(in crate::pipeline::extract) async fn read_view(
        &self,
        opened: Option<Reader>,
        progress: &mut Progress,
        figures: &SnapshotMetrics,
        news: &mpsc::Sender<News>,
    ) {
        let (table, seq) = (self.table, self.seq);
        let again = |error: ExtractError| News::Again { table, seq, error: Box::new(error) };
        let said = match self.view(opened, progress, figures, news).await {
            Ok(()) => return,
            Err(ChunkFailure::Source(error)) if error.fate() == Fate::Refused => {
                News::Refused { table, seq, reason: format!("it cannot be read: {}", chain(&error)) }
            }
            Err(ChunkFailure::Source(error)) => again(error.into()),
            Err(ChunkFailure::Value(_)) if self.is_changed().await => News::Changed { table, seq },
            Err(ChunkFailure::Value(error)) => News::Refused { table, seq, reason: error.to_string() },
            Err(ChunkFailure::Extract(error)) => News::Failed(Box::new(error)),
        };
        // A session that has ended drops this task.
        let _ = news.send(said).await;
    }

    async fn view(
        &self,
        opened: Option<Reader>,
        progress: &mut Progress,
        figures: &SnapshotMetrics,
        news: &mpsc::Sender<News>,
    ) -> Result<(), ChunkFailure> {
        let mut reader = match opened {
            Some(reader) => reader,
            None => {
                let mut reader = self.readers.take().await?;
                reader.session.begin_view().await?;
                reader
            }
        };
        let mut stride = None;
        while let Some(mut range) = progress.rest() {
            self.readers.calm(&mut reader.session).await?;
            // Without a key there is no order to walk: it is one statement.
            range.up_to = match self.plan.has_key() {
                true => self.next_boundary(&mut reader.session, &range, &mut stride).await?,
                false => None,
            };
            progress.plan(range.up_to.clone());
            let chunk = chunk::read(self, &mut reader.session, &range).await?.finish().await?;
            self.readers.count(chunk.rows).await;
            progress.finish(range.up_to.as_ref(), chunk.rows);
            figures.read(progress.rows);
            let (table, seq, files) = (self.table, self.seq, chunk.files);
            let said = News::Chunk { table, seq, files, progress: Box::new(progress.clone()) };
            let _ = news.send(said).await;
        }
        reader.session.end_view().await?;
        self.readers.give_back(reader).await;
        Ok::<(), SnapshotError>(self.complete(news).await?)?;
        Ok(())
    }
}
