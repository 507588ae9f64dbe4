//! Table schemas in the lake: `schema/<target>/<schema id>.json`, immutable, the id being the digest of the content.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use super::{ObjectPath, Store, StoreError, paths};
use crate::model::{Digest, TableSchema, Target};

/// Most schemas kept in memory. Some hundred tables with some schemas each fit; when it is full it starts over.
const CACHE_MAX: usize = 4096;

/// A schema could not be loaded or saved.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The store failed.
    #[error("the store of table schemas failed")]
    Store(#[from] StoreError),
    /// An entry names a schema that is not in the lake.
    #[error("{0} is not there, but the log names it: restore it from a version or a copy of the lake")]
    Missing(ObjectPath),
    /// The object is not the schema that its name says.
    #[error("{path} is damaged ({problem}): restore it from a version or a copy of the lake")]
    Damaged {
        /// The object.
        path: ObjectPath,
        /// What is wrong.
        problem: String,
    },
}

impl SchemaError {
    /// Whether the same may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(e) if e.is_transient())
    }
}

/// Saves and loads schemas, each at most once.
#[derive(Debug)]
pub struct Schemas {
    store: Arc<dyn Store>,
    cache: Mutex<HashMap<(Target, Digest), Arc<TableSchema>>>,
}

impl Schemas {
    /// The schemas in `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, cache: Mutex::new(HashMap::new()) }
    }

    /// Makes sure that `schema` is in the lake and returns its id. Must be done before an entry names the id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn save(&self, target: &Target, schema: &TableSchema) -> Result<Digest, SchemaError> {
        let id = schema.id();
        if self.cached(target, &id).is_some() {
            return Ok(id);
        }
        let content = Bytes::from(serde_json::to_vec(schema).unwrap_or_default());
        let path = paths::schema(target, &id);
        if Digest::of(&content) != id {
            return Err(SchemaError::Damaged { path, problem: "the schema cannot be written as JSON".into() });
        }
        // Equal id, equal content: one that exists is this one.
        self.store.create(&path, content).await?;
        self.keep(target, &id, Arc::new(schema.clone()));
        Ok(id)
    }

    /// The schema called `id`.
    ///
    /// # Errors
    /// When it is not there, damaged, or the store fails.
    pub async fn load(&self, target: &Target, id: &Digest) -> Result<Arc<TableSchema>, SchemaError> {
        if let Some(schema) = self.cached(target, id) {
            return Ok(schema);
        }
        let path = paths::schema(target, id);
        let Some(content) = self.store.get(&path).await? else { return Err(SchemaError::Missing(path)) };
        if Digest::of(&content) != *id {
            return Err(SchemaError::Damaged {
                path,
                problem: "its content does not have the digest it is named by".into(),
            });
        }
        let schema: TableSchema = serde_json::from_slice(&content)
            .map_err(|e| SchemaError::Damaged { path, problem: format!("it is not a table schema: {e}") })?;
        let schema = Arc::new(schema);
        self.keep(target, id, Arc::clone(&schema));
        Ok(schema)
    }

    fn cached(&self, target: &Target, id: &Digest) -> Option<Arc<TableSchema>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(&(target.clone(), id.clone())).cloned()
    }

    fn keep(&self, target: &Target, id: &Digest, schema: Arc<TableSchema>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE_MAX {
            cache.clear();
        }
        cache.insert((target.clone(), id.clone()), schema);
    }
}
