//! A read view whose place among the source's transactions is known.

use mysql_async::{Conn, prelude::Queryable};

use super::{Counting, StartError, consistent_place_of, counting, domains, gtids, server_uuid};
use crate::source::mysql::{
    gtid::{Executed, Gtid, GtidSet},
    sql,
};

/// How often a view is opened until no commit is under way meanwhile. Each try is a few short statements; where commits never
/// pause, the last view is taken with the doubt that is left.
const TRIES: usize = 20;

/// Which transactions a read view has.
///
/// MySQL tells no exact place without locking. What it tells is a lower and an upper bound: a transaction is in `gtid_executed`
/// only after it is visible, and from before it is visible until then it is in `gtid_owned` (MySQL source,
/// `Gtid_state::update_gtids_impl`). Between the bounds lie the few commits that were under way, of which nobody can say.
/// MariaDB says the exact place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewPlace {
    /// All of these are in the view.
    sure: Executed,
    /// Nothing but these is.
    possible: Executed,
    /// The server.
    server_uuid: Option<String>,
}

/// Whether a view has a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It has.
    Yes,
    /// It has not.
    No,
    /// It may have.
    Unsure,
}

impl ViewPlace {
    /// Whether everything that was read so far is in the view.
    pub fn has_all(&self, executed: &Executed) -> bool {
        self.sure.covers(executed)
    }

    /// Whether a stream that has read `executed` has passed everything that may be in the view.
    pub fn is_passed(&self, executed: &Executed) -> bool {
        executed.covers(&self.possible)
    }

    /// Whether the view has a transaction of a stream that has not passed it.
    ///
    /// On MariaDB the bounds are one place in one binlog: in front of it is what was not passed.
    pub fn has(&self, gtid: Option<&Gtid>) -> Seen {
        match (&self.sure, &self.possible, gtid) {
            (Executed::Set(sure), _, Some(gtid)) if sure.contains(gtid) => Seen::Yes,
            (_, Executed::Set(possible), Some(gtid)) if !possible.contains(gtid) => Seen::No,
            (Executed::Domains(_), ..) => Seen::Yes,
            _ => Seen::Unsure,
        }
    }

    /// Whether it is a view of this server. Servers without a UUID are told apart by nobody.
    pub fn is_of(&self, server_uuid: Option<&String>) -> bool {
        self.server_uuid.as_ref() == server_uuid
    }
}

/// Opens a read view by the statements `begin`; `end` gives it up. `None`, without a view, where the server cannot tell what is in
/// it: MySQL without GTIDs.
///
/// # Errors
/// [`StartError::Query`] and unreadable answers.
pub async fn view(conn: &mut Conn, begin: &[&str], end: &str) -> Result<Option<ViewPlace>, StartError> {
    let counting = counting(conn).await?;
    let server_uuid = server_uuid(conn).await?;
    match counting {
        Counting::Files => Ok(None),
        Counting::Domains => {
            open(conn, begin).await?;
            let Some((file, offset)) = consistent_place_of(conn).await? else { return Err(StartError::NoBinlog) };
            let place = Executed::Domains(domains(conn, sql::mariadb_position_at(&file, offset)).await?);
            Ok(Some(ViewPlace { sure: place.clone(), possible: place, server_uuid }))
        }
        Counting::Gtids => {
            let mut tries = 0;
            loop {
                tries += 1;
                let sure = gtids(conn, sql::GTID_EXECUTED).await?;
                open(conn, begin).await?;
                // In this order: what ends meanwhile is in the second.
                let owned: Option<String> = conn.query_first(sql::GTID_OWNED).await?;
                let mut possible = gtids(conn, sql::GTID_EXECUTED).await?;
                possible.union(&parse_owned(&owned.unwrap_or_default())?);
                if tries < TRIES && !possible.is_subset(&sure) {
                    conn.query_drop(end).await?;
                    continue;
                }
                let (sure, possible) = (Executed::Set(sure), Executed::Set(possible));
                return Ok(Some(ViewPlace { sure, possible, server_uuid }));
            }
        }
    }
}

async fn open(conn: &mut Conn, begin: &[&str]) -> Result<(), StartError> {
    for statement in begin {
        conn.query_drop(*statement).await?;
    }
    Ok(())
}

/// `uuid:5#42:6#43,…`: transactions with the threads that own them.
fn parse_owned(text: &str) -> Result<GtidSet, StartError> {
    let mut owner = false;
    let set: String = text
        .chars()
        .filter(|c| {
            owner = match c {
                '#' => true,
                ':' | ',' => false,
                _ => owner,
            };
            !owner
        })
        .collect();
    Ok(set.parse()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn set(text: &str) -> GtidSet {
        format!("{UUID}:{text}").parse().unwrap()
    }

    #[test]
    fn owners_are_left_out() {
        assert_eq!(parse_owned("").unwrap(), GtidSet::default());
        let other = "4e11fa47-71ca-11e1-9e33-c80aa9429562";
        let wanted: GtidSet = format!("{UUID}:5-6,{other}:9").parse().unwrap();
        assert_eq!(parse_owned(&format!("{UUID}:5#42:6#43,\n{other}:9#1")).unwrap(), wanted);
        assert!(parse_owned("nonsense").is_err());
    }

    #[test]
    fn between_the_bounds_nobody_knows() {
        let uuid = crate::source::mysql::gtid::parse_uuid(UUID).unwrap();
        let place = ViewPlace {
            sure: Executed::Set(set("1-10")),
            possible: Executed::Set(set("1-10:12")),
            server_uuid: Some(UUID.to_owned()),
        };
        let has = |gno| place.has(Some(&Gtid { uuid, tag: Box::default(), gno }));
        assert_eq!((has(10), has(11), has(12), has(13)), (Seen::Yes, Seen::No, Seen::Unsure, Seen::No));
        assert_eq!(place.has(None), Seen::Unsure, "a transaction without a name");
        assert!(place.has_all(&Executed::Set(set("1-10"))) && !place.has_all(&Executed::Set(set("1-11"))));
        assert!(!place.is_passed(&Executed::Set(set("1-11"))) && place.is_passed(&Executed::Set(set("1-13"))));
        assert!(place.is_of(Some(&UUID.to_owned())) && !place.is_of(None));
    }
}
