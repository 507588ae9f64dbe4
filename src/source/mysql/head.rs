//! How far a source's binlog is ahead of who reads it, and how much of that the source keeps. Asked for beside the stream, at a
//! bounded rate: nothing of it decides what is read.

use mysql_async::{Conn, prelude::Queryable};

use super::{
    event::StreamPosition,
    gtid::{Executed, GtidSet},
    sql,
    start::{self, StartError},
    table_map::Flavor,
};

/// Who a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// Its family.
    pub flavor: Flavor,
    /// `@@version`.
    pub version: String,
    /// `server_uuid`; its `server_id` on MariaDB, which has none.
    pub identity: String,
}

/// Where a server's binlog is.
#[derive(Clone, Debug)]
pub struct Head {
    /// Everything that is committed.
    executed: Executed,
    /// What it deleted, where it has GTIDs.
    purged: Option<GtidSet>,
    /// Files with their sizes, oldest first.
    files: Vec<(String, u64)>,
}

/// How far a reader is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// Bytes of binlog; `None` where the reader's file is not among the server's.
    pub bytes: Option<u64>,
    /// Transactions; `None` without GTIDs.
    pub transactions: Option<u64>,
    /// Bytes from the beginning of the reader's file on: what must not be deleted.
    pub needed_bytes: Option<u64>,
    /// What was not read is deleted.
    pub purged: bool,
}

/// Asks who the server is.
///
/// # Errors
/// [`StartError::Query`].
pub async fn facts(conn: &mut Conn) -> Result<ServerFacts, StartError> {
    let flavor = start::flavor(conn).await?;
    let version: Option<String> = conn.query_first(sql::VERSION).await?;
    let identity = match start::server_uuid(conn).await? {
        Some(uuid) => uuid,
        None => start::variable(conn, "server_id").await?.unwrap_or_default(),
    };
    Ok(ServerFacts { flavor, version: version.unwrap_or_default(), identity })
}

/// Asks where the binlog is.
///
/// # Errors
/// [`StartError`], also where the user may not see the files.
pub async fn head(conn: &mut Conn) -> Result<Head, StartError> {
    let executed = start::executed(conn).await?;
    let purged = match executed {
        Executed::Set(_) => Some(start::gtids(conn, sql::GTID_PURGED).await?),
        Executed::Domains(_) | Executed::Untracked => None,
    };
    Ok(Head { executed, purged, files: start::files(conn).await? })
}

impl Head {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, size)| size).sum()
    }

    /// How far a reader at `position` is behind.
    pub fn behind(&self, position: &StreamPosition) -> Behind {
        let at = self.files.iter().position(|(file, _)| *file == position.file);
        let needed_bytes = at.map(|at| self.files.iter().skip(at).map(|(_, size)| size).sum::<u64>());
        let (transactions, purged) = match (&self.executed, &position.executed) {
            (Executed::Set(theirs), Executed::Set(ours)) => {
                let purged = self.purged.as_ref().is_some_and(|purged| !purged.is_subset(ours));
                (Some(theirs.subtract(ours).count()), purged)
            }
            (Executed::Domains(theirs), Executed::Domains(ours)) => {
                (Some(ours.distance(theirs)), !position.file.is_empty() && at.is_none())
            }
            _ => (None, !position.file.is_empty() && at.is_none()),
        };
        let bytes = needed_bytes.map(|needed| needed.saturating_sub(position.offset));
        Behind { bytes, transactions, needed_bytes, purged }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SERVER: &str = "00000000-0000-0000-0000-000000000001";

    fn set(intervals: &str) -> Executed {
        Executed::Set(format!("{SERVER}:{intervals}").parse().unwrap())
    }

    fn at(executed: Executed, file: &str, offset: u64) -> StreamPosition {
        StreamPosition { executed, file: file.to_owned(), offset, server_uuid: None }
    }

    #[test]
    fn what_was_not_read_is_counted() {
        let files = vec![("b.2".to_owned(), 500), ("b.3".to_owned(), 1000)];
        let purged = Some(format!("{SERVER}:1-4").parse().unwrap());
        let head = Head { executed: set("1-20"), purged, files };
        let behind = head.behind(&at(set("1-12"), "b.2", 100));
        assert_eq!(
            behind,
            Behind { bytes: Some(1400), transactions: Some(8), needed_bytes: Some(1500), purged: false }
        );
        let behind = head.behind(&at(set("1-3"), "b.1", 100));
        assert_eq!(behind, Behind { bytes: None, transactions: Some(17), needed_bytes: None, purged: true });
        assert_eq!(head.bytes(), 1500);
    }

    #[test]
    fn domains_and_plain_files_know_what_they_can() {
        let domains = |text: &str| Executed::Domains(text.parse().unwrap());
        let files = vec![("b.3".to_owned(), 1000)];
        let head = Head { executed: domains("0-1-30,2-1-5"), purged: None, files: files.clone() };
        let behind = head.behind(&at(domains("0-1-20"), "b.3", 900));
        assert_eq!((behind.bytes, behind.transactions, behind.purged), (Some(100), Some(15), false));
        let head = Head { executed: Executed::Untracked, purged: None, files };
        assert!(head.behind(&at(Executed::Untracked, "b.2", 4)).purged);
        assert_eq!(head.behind(&at(Executed::Untracked, "b.3", 4)).transactions, None);
    }
}
