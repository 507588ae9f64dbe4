//! A store in memory: what the simulation runs on, and a third implementation for the contract.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use bytes::Bytes;
use tailwater::lake::{Created, Listed, ObjectPath, Page, Store, StoreError, store::LIST_PAGE};

#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    objects: Arc<Mutex<BTreeMap<ObjectPath, Bytes>>>,
}

impl Memory {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<ObjectPath, Bytes>> {
        self.objects.lock().unwrap()
    }
}

#[async_trait]
impl Store for Memory {
    async fn get(&self, path: &ObjectPath) -> Result<Option<Bytes>, StoreError> {
        Ok(self.objects().get(path).cloned())
    }

    async fn size(&self, path: &ObjectPath) -> Result<Option<u64>, StoreError> {
        Ok(self.objects().get(path).map(|b| b.len() as u64))
    }

    async fn create(&self, path: &ObjectPath, content: Bytes) -> Result<Created, StoreError> {
        let mut objects = self.objects();
        if objects.contains_key(path) {
            return Ok(Created::Exists);
        }
        objects.insert(path.clone(), content);
        Ok(Created::New)
    }

    async fn put(&self, path: &ObjectPath, content: Bytes) -> Result<(), StoreError> {
        self.objects().insert(path.clone(), content);
        Ok(())
    }

    async fn delete(&self, path: &ObjectPath) -> Result<(), StoreError> {
        self.objects().remove(path);
        Ok(())
    }

    async fn list(&self, prefix: &str, start_after: Option<&ObjectPath>) -> Result<Page, StoreError> {
        let from = start_after.map_or(Bound::Unbounded, Bound::Excluded);
        let objects: Vec<_> = self
            .objects()
            .range::<ObjectPath, _>((from, Bound::Unbounded))
            .filter(|(path, _)| path.as_str().starts_with(prefix))
            .take(LIST_PAGE)
            .map(|(path, content)| Listed { path: path.clone(), bytes: content.len() as u64 })
            .collect();
        let next = (objects.len() == LIST_PAGE).then(|| objects.last().unwrap().path.clone());
        Ok(Page { objects, next })
    }

    fn url(&self, path: &ObjectPath) -> String {
        format!("memory/{path}")
    }

    fn describe(&self) -> String {
        "memory".into()
    }
}
