//! The parts of a Query event (2) and of an Execute_load_query event (18).

use std::borrow::Cow;

use super::cursor::{Cursor, Short};

/// `sql_mode` bit: double quotes delimit identifiers.
const MODE_ANSI_QUOTES: u64 = 0x4;

/// `sql_mode` bit: a backslash in a string is a backslash.
const MODE_NO_BACKSLASH_ESCAPES: u64 = 1 << 20;

/// How the statement's text is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SqlMode {
    /// Double quotes delimit identifiers.
    pub ansi_quotes: bool,
    /// A backslash in a string is a backslash.
    pub no_backslash_escapes: bool,
    /// Names of databases and tables are stored in lower case (`lower_case_table_names = 1`), whatever the text has. Not part
    /// of the event; set by who knows the server.
    pub fold_names: bool,
}

/// A statement as the log has it.
#[derive(Clone, Debug)]
pub(super) struct Query<'a> {
    /// Default database; empty when there was none.
    pub(super) database: Cow<'a, str>,
    /// The statement. Bytes that are not UTF-8 are replaced: only names and keywords are looked at, and a name that had to be
    /// replaced matches no captured table by accident, see `ddl`.
    pub(super) sql: Cow<'a, str>,
    pub(super) mode: SqlMode,
}

const Q_FLAGS2: u8 = 0;
const Q_SQL_MODE: u8 = 1;

/// Bytes between the common post-header and the status variables of an Execute_load_query event.
const LOAD_QUERY_EXTRA: usize = 13;

/// Reads a Query event, or with `load` an Execute_load_query event.
pub(super) fn parse(body: &[u8], load: bool) -> Result<Query<'_>, Short> {
    let mut cursor = Cursor::new(body);
    cursor.take(8)?; // thread id, execution time
    let database_len = cursor.u8()? as usize;
    cursor.u16()?; // error code
    let status_len = cursor.u16()? as usize;
    if load {
        cursor.take(LOAD_QUERY_EXTRA)?;
    }
    let mode = sql_mode(cursor.take(status_len)?);
    let database = String::from_utf8_lossy(cursor.take(database_len)?);
    cursor.u8()?; // NUL
    Ok(Query { database, sql: String::from_utf8_lossy(cursor.rest()), mode })
}

/// The SQL mode among the status variables. It is written second, behind the flags; nothing behind it is needed.
fn sql_mode(status: &[u8]) -> SqlMode {
    let mut cursor = Cursor::new(status);
    while let Ok(kind) = cursor.u8() {
        match kind {
            Q_FLAGS2 if cursor.u32().is_ok() => {}
            Q_SQL_MODE => {
                let mode = cursor.u64().unwrap_or_default();
                return SqlMode {
                    ansi_quotes: mode & MODE_ANSI_QUOTES != 0,
                    no_backslash_escapes: mode & MODE_NO_BACKSLASH_ESCAPES != 0,
                    fold_names: false,
                };
            }
            _ => break,
        }
    }
    SqlMode::default()
}
