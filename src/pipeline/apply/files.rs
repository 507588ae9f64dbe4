//! Rows of the lake, for warehouses that do not read it themselves.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use tokio::task::spawn_blocking;

use crate::{
    lake::{ObjectPath, Store, parquet},
    model::FileStep,
    warehouse::{BatchStream, Cause, ReadError, ReadFiles, StagedFile},
};

/// Reads the files of one tick. A file is held in memory as it is stored, its rows batch by batch.
#[derive(Debug)]
pub(super) struct LakeFiles {
    store: Arc<dyn Store>,
    steps: HashMap<String, FileStep>,
}

impl LakeFiles {
    pub(super) fn new<'a>(store: &Arc<dyn Store>, steps: impl Iterator<Item = &'a FileStep>) -> Self {
        Self { store: Arc::clone(store), steps: steps.map(|s| (s.path.clone(), s.clone())).collect() }
    }
}

/// The log names a file that is not in the lake.
#[derive(Debug, thiserror::Error)]
#[error("it is not in the lake, but the log names it; restore it from a version or a copy of the lake")]
struct Lost;

#[async_trait]
impl ReadFiles for LakeFiles {
    async fn open(&self, file: &StagedFile) -> Result<BatchStream, ReadError> {
        let definite = |source: Cause| ReadError { path: file.path.clone(), transient: false, source };
        let step = self.steps.get(&file.path).ok_or_else(|| definite(Lost.into()))?;
        let path = ObjectPath::parse(&file.path).map_err(|e| definite(e.into()))?;
        let content = self.store.get(&path).await.map_err(|e| ReadError {
            path: file.path.clone(),
            // An object that may not be read is no reason to leave its table behind.
            transient: true,
            source: e.into(),
        })?;
        let content = content.ok_or_else(|| definite(Lost.into()))?;
        let rows = parquet::decode(content, step, &file.schema).map_err(|e| definite(e.into()))?;
        let path = file.path.clone();
        // Decoding is CPU work of milliseconds a batch: not on the threads that serve connections.
        let batches = stream::unfold(Some(rows), move |rows| {
            let path = path.clone();
            async move {
                let mut rows = rows?;
                let broken = |source: Cause| ReadError { path, transient: false, source };
                match spawn_blocking(move || (rows.next(), rows)).await {
                    Ok((None, _)) => None,
                    Ok((Some(batch), rows)) => Some((batch.map_err(|e| broken(e.into())), Some(rows))),
                    Err(e) => Some((Err(broken(e.into())), None)),
                }
            }
        });
        Ok(batches.boxed())
    }
}
