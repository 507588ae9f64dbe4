//! What operators hold back, and what they want tried again: `control/`.
//!
//! It lies in the lake because the lake is what extractors and appliers share, wherever they run, and because it must outlast them:
//! a shard that was paused stays so when its process is restarted, by whomever. Each wish is an object of its own that is created
//! if absent and removed whole, so that commands that run at the same time cannot undo each other.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Created, ObjectPath, Store, StoreError, paths};
use crate::model::{Digest, Origin, Shard};

/// Version of the format of these objects.
const FORMAT: u32 = 1;

/// Most wishes that are listened to; far above what a person gives. More are left unread, oldest names first.
pub const WISHES_MAX: usize = 1000;

/// What is held back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Paused {
    /// Extraction of a shard: its binlog is not read.
    Shard {
        /// The shard.
        shard: Shard,
    },
    /// Application of tables: their changes go into the lake and wait there.
    Tables {
        /// Pattern on `database.table`.
        tables: String,
        /// Of this shard alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shard: Option<Shard>,
    },
}

impl Paused {
    fn path(&self) -> ObjectPath {
        let all = Shard::new("");
        match self {
            Self::Shard { shard } => paths::paused(&format!("shard-{shard}")),
            Self::Tables { tables, shard } => {
                let whole = format!("{tables}\0{}", shard.as_ref().unwrap_or(&all));
                paths::paused(&format!("tables-{}", Digest::of(whole.as_bytes()).short()))
            }
        }
    }

    /// Lets go again. Answers whether it was held.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn resume(&self, store: &dyn Store) -> Result<bool, StoreError> {
        let path = self.path();
        let held = store.get(&path).await?.is_some();
        store.delete(&path).await?;
        Ok(held)
    }
}

/// Something that is held back, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Version of the format.
    format: u32,
    /// What.
    #[serde(flatten)]
    pub what: Paused,
    /// Since when, UTC microseconds.
    pub since: i64,
}

impl Pause {
    /// Holds `what` back from `now` on (UTC microseconds).
    pub fn new(what: Paused, now: i64) -> Self {
        Self { format: FORMAT, what, since: now }
    }

    /// Writes it down. Answers whether it is new; what was held before stays as it was.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn leave(&self, store: &dyn Store) -> Result<bool, StoreError> {
        Ok(store.create(&self.what.path(), content(self)).await? == Created::New)
    }
}

/// A table that was parked while applying and is to be tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Version of the format.
    format: u32,
    /// The group whose applier parked it, by its name in the configuration.
    pub group: String,
    /// The table.
    pub origin: Origin,
    /// When it was asked, UTC microseconds.
    pub asked_at: i64,
}

impl Retry {
    /// Wants `origin` tried again by the applier of `group`.
    pub fn new(group: &str, origin: Origin, now: i64) -> Self {
        Self { format: FORMAT, group: group.to_owned(), origin, asked_at: now }
    }

    /// Writes it down; asking twice is asking once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn leave(&self, store: &dyn Store) -> Result<(), StoreError> {
        store.put(&self.path(), content(self)).await
    }

    /// Says that it was tried.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn done(&self, store: &dyn Store) -> Result<(), StoreError> {
        store.delete(&self.path()).await
    }

    fn path(&self) -> ObjectPath {
        paths::retry(&self.group, &self.origin)
    }
}

fn content(wish: &impl Serialize) -> Bytes {
    // Serialising plain structs cannot fail.
    Bytes::from(serde_json::to_vec(wish).unwrap_or_default())
}

/// Everything that operators want now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// What is held back.
    pub pauses: Vec<Pause>,
    /// What is to be tried again.
    pub retries: Vec<Retry>,
    /// Objects that cannot be understood: of a newer version, or damaged.
    pub unknown: Vec<ObjectPath>,
}

impl Wishes {
    /// Reads all of them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let mut wishes = Self::default();
        let mut after = None;
        loop {
            let page = store.list(paths::CONTROL, after.as_ref()).await?;
            for object in page.objects.into_iter().take(WISHES_MAX) {
                // Removed since it was listed.
                let Some(content) = store.get(&object.path).await? else { continue };
                wishes.add(object.path, &content);
            }
            after = page.next;
            if after.is_none() || wishes.pauses.len() + wishes.retries.len() >= WISHES_MAX {
                return Ok(wishes);
            }
        }
    }

    fn add(&mut self, path: ObjectPath, content: &[u8]) {
        let pause = path.as_str().starts_with(paths::PAUSED).then(|| serde_json::from_slice::<Pause>(content).ok());
        let retry = path.as_str().starts_with(paths::RETRY).then(|| serde_json::from_slice::<Retry>(content).ok());
        match (pause.flatten(), retry.flatten()) {
            (Some(pause), _) if pause.format == FORMAT => self.pauses.push(pause),
            (_, Some(retry)) if retry.format == FORMAT => self.retries.push(retry),
            _ => self.unknown.push(path),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lake::Directory;

    #[tokio::test]
    async fn wishes_stay_until_they_are_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Directory::open(folder.path()).unwrap();
        assert_eq!(Wishes::read(&store).await.unwrap(), Wishes::default());
        let shard = Paused::Shard { shard: Shard::new("s1") };
        let tables = |shard: Option<&str>| Paused::Tables { tables: "shop.*".into(), shard: shard.map(Shard::new) };
        for what in [shard.clone(), tables(None), tables(Some("s1"))] {
            assert!(Pause::new(what, 5).leave(&store).await.unwrap());
        }
        // The second of two commands changes nothing.
        assert!(!Pause::new(shard.clone(), 9).leave(&store).await.unwrap());
        let retry = Retry::new("main", Origin::new(&Shard::new("s1"), "shop", "orders"), 7);
        retry.leave(&store).await.unwrap();
        store.create(&paths::paused("newer"), Bytes::from_static(b"{\"format\":2}")).await.unwrap();

        let wishes = Wishes::read(&store).await.unwrap();
        assert_eq!((wishes.pauses.len(), wishes.unknown.len()), (3, 1));
        assert!(wishes.pauses.iter().all(|p| p.since == 5));
        assert_eq!(wishes.retries, std::slice::from_ref(&retry));

        assert!(shard.resume(&store).await.unwrap() && !shard.resume(&store).await.unwrap());
        retry.done(&store).await.unwrap();
        let left = Wishes::read(&store).await.unwrap();
        assert_eq!((left.pauses.len(), left.retries.len()), (2, 0));
    }
}
