//! What reads see of what the binlog has: a stream may be ahead of them.

use mysql_async::{Conn, prelude::Queryable};

use super::{Counting, FIRST_OFFSET, StartError, counting, domains, files, gtids, server_uuid};
use crate::source::mysql::{event::StreamPosition, gtid::Executed, sql};

/// What reads that begin now see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    /// Everything there is: nobody follows what comes later.
    Everything,
    /// At least these transactions.
    Executed(Executed),
    /// At least everything in front of a place, without GTIDs.
    UpTo {
        /// Binlog file.
        file: String,
        /// Offset in it.
        offset: u64,
        /// The server.
        server_uuid: Option<String>,
    },
}

impl Visible {
    /// Whether everything in front of `position` is visible.
    pub fn covers(&self, position: &StreamPosition) -> bool {
        match self {
            Self::Everything => true,
            Self::Executed(visible) => visible.covers(&position.executed),
            Self::UpTo { file, offset, server_uuid } => {
                let read = &position.file;
                let before = match file_number(read).cmp(&file_number(file)) {
                    std::cmp::Ordering::Less => true,
                    std::cmp::Ordering::Equal => position.offset <= *offset,
                    std::cmp::Ordering::Greater => false,
                };
                !read.is_empty() && position.server_uuid == *server_uuid && before
            }
        }
    }
}

impl Visible {
    /// Whether a stream that stands at `position` has passed everything that was visible.
    pub fn is_reached(&self, position: &StreamPosition) -> bool {
        match self {
            Self::Everything => true,
            Self::Executed(visible) => position.executed.covers(visible),
            Self::UpTo { file, offset, .. } => {
                !position.file.is_empty()
                    && (file_number(&position.file), position.offset) >= (file_number(file), *offset)
            }
        }
    }
}

/// The number behind the last point: binlog files of one server are counted.
fn file_number(file: &str) -> Option<u64> {
    file.rsplit_once('.')?.1.parse().ok()
}

/// What reads that begin behind this call see, for sure. Needs no lock and no privilege beyond REPLICATION CLIENT.
///
/// # Errors
/// [`StartError::Query`] and unreadable answers.
pub async fn visible(conn: &mut Conn) -> Result<Visible, StartError> {
    let counting = counting(conn).await?;
    if matches!(counting, Counting::Gtids) {
        return Ok(Visible::Executed(Executed::Set(gtids(conn, sql::GTID_EXECUTED).await?)));
    }
    let server_uuid = server_uuid(conn).await?;
    let exact = consistent_place(conn).await?;
    match (counting, exact) {
        (Counting::Domains, Some((file, offset))) => {
            let position = domains(conn, sql::mariadb_position_at(&file, offset)).await?;
            Ok(Visible::Executed(Executed::Domains(position)))
        }
        (Counting::Domains, None) => Err(StartError::NoBinlog),
        (_, Some((file, offset))) => Ok(Visible::UpTo { file, offset, server_uuid }),
        (_, None) => {
            // The server waits for open commits when it begins a file.
            let (file, _) = files(conn).await?.pop().ok_or(StartError::NoBinlog)?;
            Ok(Visible::UpTo { file, offset: FIRST_OFFSET, server_uuid })
        }
    }
}

/// MariaDB and Percona Server: the place in the binlog of a consistent read.
async fn consistent_place(conn: &mut Conn) -> Result<Option<(String, u64)>, StartError> {
    conn.query_drop(sql::CONSISTENT_SNAPSHOT).await?;
    let place = consistent_place_of(conn).await?;
    conn.query_drop(sql::END_SNAPSHOT).await?;
    Ok(place)
}

/// The place of the consistent read that the session is in.
pub(super) async fn consistent_place_of(conn: &mut Conn) -> Result<Option<(String, u64)>, StartError> {
    let rows: Vec<(String, String)> = conn.query(sql::SNAPSHOT_PLACE).await?;
    let find = |name: &str| rows.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone());
    let file = find("Binlog_snapshot_file").filter(|file| !file.is_empty());
    Ok(file.zip(find("Binlog_snapshot_position").and_then(|n| n.parse().ok())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(file: &str, offset: u64) -> StreamPosition {
        StreamPosition {
            executed: Executed::Untracked,
            file: file.to_owned(),
            offset,
            server_uuid: Some("u".to_owned()),
        }
    }

    /// The stream may be ahead of what reads see: a transaction is in the binlog before the engine has committed it.
    #[test]
    fn a_place_counts_as_visible_only_when_reads_see_all_in_front_of_it() {
        let uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        let set = |last: u32| Executed::Set(format!("{uuid}:1-{last}").parse().unwrap());
        let read = |last: u32| StreamPosition { executed: set(last), ..at("", 0) };
        let visible = Visible::Executed(set(10));
        assert!(visible.covers(&read(10)));
        assert!(!visible.covers(&read(11)), "11 was read and is not committed yet");
        assert!(visible.is_reached(&read(12)));
        assert!(!visible.is_reached(&read(9)));
    }

    #[test]
    fn without_gtids_all_files_but_the_current_one_are_visible() {
        let server_uuid = Some("u".to_owned());
        let visible = Visible::UpTo { file: "binlog.000010".into(), offset: 4, server_uuid };
        assert!(visible.covers(&at("binlog.000009", 1 << 40)));
        assert!(visible.covers(&at("binlog.000010", 4)));
        assert!(!visible.covers(&at("binlog.000010", 5)));
        assert!(!visible.covers(&at("binlog.000011", 4)));
        assert!(!visible.covers(&at("", 0)) && !visible.is_reached(&at("", 0)));
        let elsewhere = StreamPosition { server_uuid: Some("v".to_owned()), ..at("binlog.000009", 4) };
        assert!(!visible.covers(&elsewhere), "files of another server mean nothing");
        assert!(visible.is_reached(&at("binlog.000010", 4)));
        assert!(!visible.is_reached(&at("binlog.000009", 999)));
    }
}
