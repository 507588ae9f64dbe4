//! Entries as bytes, and the checks that make a row of objects a chain.

use bytes::Bytes;
use serde::Deserialize;

use super::LogError;
use crate::{
    lake::{ObjectPath, paths},
    model::{Digest, Entry, Seq, Shard, entry::FORMAT},
};

/// Largest entry, in bytes of JSON. A hundred times what 500 tables with a file each take; more is a defect.
pub const ENTRY_BYTES_MAX: usize = 64 << 20;

/// An entry repeats the catalog at the latest when the newest one lies this many entries back, so that `gc` can remove
/// what is older.
pub const CATALOG_EVERY: u64 = 1024;

/// Features that this version understands.
const FEATURES: &[&str] = &[];

/// An entry as the log holds it.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// The content.
    pub entry: Entry,
    /// Digest of its bytes: what the next entry calls `previous`.
    pub digest: Digest,
    /// The bytes.
    pub(super) bytes: Bytes,
}

/// What the next entry must agree with.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) digest: Digest,
    pub(super) log_id: String,
    pub(super) next_seq: Seq,
}

impl LogEntry {
    /// Writes an entry down.
    pub(super) fn seal(entry: Entry) -> Result<Self, LogError> {
        let invalid = |problem| LogError::Invalid { shard: entry.shard.clone(), number: entry.number, problem };
        let bytes = serde_json::to_vec(&entry).map_err(|e| invalid(format!("it cannot be written as JSON: {e}")))?;
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(invalid(format!("it has {} bytes, more than {ENTRY_BYTES_MAX}", bytes.len())));
        }
        let digest = Digest::of(&bytes);
        Ok(Self { entry, digest, bytes: Bytes::from(bytes) })
    }

    /// Reads what lies at the path of entry `number`.
    pub(super) fn parse(shard: &Shard, number: u64, bytes: Bytes) -> Result<Self, LogError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
            #[serde(default)]
            features: Vec<String>,
        }
        let path = paths::entry(shard, number);
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(damaged(path, format!("it has {} bytes, more than {ENTRY_BYTES_MAX}", bytes.len())));
        }
        let not_entry = |e: serde_json::Error| damaged(path.clone(), format!("it is not an entry ({e})"));
        // First what decides whether the rest can be understood.
        let version: Version = serde_json::from_slice(&bytes).map_err(not_entry)?;
        if version.format != FORMAT {
            return Err(LogError::Unsupported { path, what: format!("log format {}", version.format) });
        }
        if let Some(unknown) = version.features.iter().find(|f| !FEATURES.contains(&f.as_str())) {
            return Err(LogError::Unsupported { path, what: format!("feature {unknown:?}") });
        }
        let entry: Entry = serde_json::from_slice(&bytes).map_err(not_entry)?;
        if entry.number != number {
            return Err(damaged(path, format!("it says that it is entry {}", entry.number)));
        }
        if entry.shard != *shard {
            return Err(damaged(path, format!("it belongs to shard {}", entry.shard)));
        }
        if entry.next_seq < entry.first_seq {
            return Err(damaged(path, "its sequence numbers run backwards".into()));
        }
        Ok(Self { digest: Digest::of(&bytes), entry, bytes })
    }

    /// Size of the entry in the log, in bytes.
    pub(in crate::lake) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn link(&self) -> Link {
        Link {
            number: self.entry.number,
            digest: self.digest.clone(),
            log_id: self.entry.log_id.clone(),
            next_seq: self.entry.next_seq,
        }
    }

    /// Proves that this entry was made on top of `link`.
    pub(super) fn check_follows(&self, link: &Link) -> Result<(), LogError> {
        let Entry { shard, number, log_id, previous, first_seq, .. } = &self.entry;
        let path = paths::entry(shard, *number);
        if *log_id != link.log_id {
            let problem = format!("entry {number} has log id {log_id}, expected {}", link.log_id);
            return Err(LogError::OtherLog { shard: shard.clone(), problem });
        }
        if previous.as_ref() != Some(&link.digest) {
            let problem = format!("it does not continue entry {} (digest of the previous entry differs)", link.number);
            return Err(damaged(path, problem));
        }
        if *first_seq != link.next_seq {
            let problem = format!("it begins at seq {first_seq}, but entry {} ends at {}", link.number, link.next_seq);
            return Err(damaged(path, problem));
        }
        Ok(())
    }
}

pub(super) fn damaged(path: ObjectPath, problem: String) -> LogError {
    LogError::Damaged { path, problem }
}
