//! How far a source had committed at some moment, to be compared with what a log entry covers.

use mysql_async::Conn;

use crate::{
    model::Position,
    source::mysql::{
        event::StreamPosition,
        gtid::{BadGtidSet, Executed},
        start::{self, HEADER_BYTES_MAX, StartError},
    },
};

/// What a source had committed at some moment.
///
/// GTIDs are in `@@gtid_executed` a moment after other sessions see their rows, so a mark may lack what a read just before it
/// saw. It has all that was seen some time before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark(StreamPosition);

/// Reads what the source has committed now.
pub(super) async fn read(conn: &mut Conn) -> Result<Mark, StartError> {
    let executed = start::executed(conn).await?;
    if executed == Executed::Untracked {
        return start::resolve_latest(conn).await.map(Mark);
    }
    Ok(Mark(StreamPosition { executed, file: String::new(), offset: 0, server_uuid: None }))
}

impl Mark {
    /// A mark at the given GTID set, in the notation of `like`.
    ///
    /// # Errors
    /// [`BadGtidSet`] when the text is none; also on a server without GTIDs.
    pub fn at(text: &str, like: &Self) -> Result<Self, BadGtidSet> {
        let executed = match &like.0.executed {
            Executed::Domains(_) => Executed::Domains(text.parse()?),
            Executed::Set(_) | Executed::Untracked => Executed::Set(text.parse()?),
        };
        Ok(Self(StreamPosition { executed, ..like.0.clone() }))
    }

    /// Whether an entry with this position covers everything in the mark.
    ///
    /// # Errors
    /// [`BadGtidSet`] when the entry's set cannot be read.
    pub fn is_covered_by(&self, position: &Position) -> Result<bool, BadGtidSet> {
        let set = position.gtid_set.as_deref();
        Ok(match (&self.0.executed, set) {
            (Executed::Set(mark), Some(set)) => mark.is_subset(&set.parse()?),
            (Executed::Domains(mark), Some(set)) => mark.is_behind(&set.parse()?),
            (Executed::Untracked, None) => self.is_before(position),
            _ => false,
        })
    }

    fn is_before(&self, position: &Position) -> bool {
        let Some(file) = &position.file else { return false };
        let offset = if self.0.offset <= HEADER_BYTES_MAX { 0 } else { self.0.offset };
        // Numbers of files grow longer after 999999.
        let mark = (self.0.file.len(), self.0.file.as_str(), offset);
        position.server_uuid == self.0.server_uuid && (file.len(), file.as_str(), position.offset) >= mark
    }

    /// For people: the set, or file and offset.
    pub fn text(&self) -> String {
        self.0.executed.text().unwrap_or_else(|| format!("{}:{}", self.0.file, self.0.offset))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn mark(executed: Executed, file: &str, offset: u64) -> Mark {
        Mark(StreamPosition { executed, file: file.to_owned(), offset, server_uuid: Some(UUID.to_owned()) })
    }

    #[test]
    fn sets_cover_sets() {
        let mark = mark(Executed::Set(format!("{UUID}:1-5").parse().unwrap()), "b.000001", 400);
        let at = |set: &str| Position { gtid_set: Some(format!("{UUID}:{set}")), ..Position::default() };
        assert!(mark.is_covered_by(&at("1-7")).unwrap());
        assert!(!mark.is_covered_by(&at("1-4:6-9")).unwrap());
        assert!(mark.is_covered_by(&Position { gtid_set: Some("x".to_owned()), ..Position::default() }).is_err());
        assert!(!mark.is_covered_by(&Position::default()).unwrap());
    }

    #[test]
    fn files_cover_earlier_files_of_the_same_server() {
        let at = |file: &str, offset, uuid: &str| Position {
            file: Some(file.to_owned()),
            offset,
            server_uuid: Some(uuid.to_owned()),
            ..Position::default()
        };
        let covered = |m: &Mark, p: Position| m.is_covered_by(&p).unwrap();
        let some = mark(Executed::Untracked, "b.999999", 700);
        assert!(covered(&some, at("b.999999", 700, UUID)) && covered(&some, at("b.1000000", 4, UUID)));
        assert!(!covered(&some, at("b.999999", 699, UUID)) && !covered(&some, at("b.999998", 9000, UUID)));
        assert!(!covered(&some, at("b.999999", 700, "another")));
        assert!(covered(&mark(Executed::Untracked, "b.000002", 157), at("b.000002", 4, UUID)));
    }
}
