//! PostgreSQL's errors in Redshift's words.

use sqlx::postgres::PgDatabaseError;

use crate::Refusal;

/// What a failing statement was doing, where the words depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Situation {
    /// It inserts rows of a query, which the compute nodes check.
    pub(crate) from_query: bool,
    /// Number of the table that was written last.
    pub(crate) table: i64,
    /// The session's process id.
    pub(crate) pid: i32,
}

/// Prefix of the checks that stand for lengths in bytes; kind and number follow.
pub(crate) const LENGTH_CHECK: &str = "tw_len_";
/// Prefix of the checks that stand for the bound of a DECIMAL of 19 digits.
pub(crate) const CAP_CHECK: &str = "tw_cap_";

/// Translates an error.
pub(crate) fn translate(error: &sqlx::Error, situation: Situation) -> Refusal {
    let sqlx::Error::Database(database) = error else {
        return Refusal::fatal("57P01", format!("the private database went away: {error}"));
    };
    let Some(postgres) = database.try_downcast_ref::<PgDatabaseError>() else {
        return Refusal::new("XX000", database.message());
    };
    let message = postgres.message();
    match postgres.code() {
        "40001" => {
            let detail = format!(
                "Serializable isolation violation on table - {}, transactions forming the cycle are: 1101, 1102 (pid:{})",
                situation.table, situation.pid
            );
            Refusal::new("XX000", "1023").with_detail(detail)
        }
        "23514" => check_violation(postgres, situation),
        "23502" => {
            let column = postgres.column().unwrap_or_default();
            Refusal::engine(8007, format!("Cannot insert a NULL value into column {column}"), "query execution")
        }
        "428C9" => Refusal::new("0A000", "cannot set an identity column to a value"),
        "21000" if message.contains("MERGE") => {
            Refusal::engine(8001, "Found multiple matches to update the same tuple.", "merge")
        }
        "22003" => Refusal::engine(1058, "Numeric data overflow (result precision)", "numeric overflow"),
        "22P02" if message.contains("json") => {
            Refusal::engine(8001, "Invalid input", &format!("JSON_PARSE() error: {}", json_reason(postgres)))
        }
        "22P05" | "22P03" => {
            Refusal::engine(8001, "Invalid input", "JSON_PARSE() error: unsupported Unicode escape sequence")
        }
        "XX000" if message.contains("65535") => Refusal::engine(8001, "Invalid input", message),
        "57014" => Refusal::new("57014", format!("Query (0) cancelled on user's request: {message}")),
        // PostgreSQL calls what Redshift calls a column of a SUPER by the name of the base type.
        "42804" | "42883" => {
            Refusal::new(postgres.code(), message.replace("jsonb", "super").replace("bytea", "binary varying"))
        }
        code => {
            let refusal = Refusal::new(code, message);
            match postgres.detail() {
                // Row values stay where they are.
                Some(detail) if code == "2BP01" || code == "40P01" => refusal.with_detail(detail),
                _ => refusal,
            }
        }
    }
}

fn check_violation(error: &PgDatabaseError, situation: Situation) -> Refusal {
    let name = error.constraint().unwrap_or_default();
    if name.starts_with(CAP_CHECK) {
        return Refusal::engine(1058, "Numeric data overflow (result precision)", "numeric overflow");
    }
    // tw_len_v_300_2: kind, length, place.
    let mut parts = name.strip_prefix(LENGTH_CHECK).unwrap_or_default().split('_');
    let kind = match parts.next() {
        Some("v") => "character varying",
        Some("b") => "binary varying",
        Some("c") => return Refusal::new("22023", "CHAR string contains a multi-byte character"),
        _ => return Refusal::new("23514", error.message()),
    };
    let length = parts.next().unwrap_or_default();
    if situation.from_query {
        let context = format!("Value too long for type {kind}({length})");
        return Refusal::engine(8001, "Value too long for character type", &context);
    }
    Refusal::new("22001", format!("value too long for type {kind}({length})"))
}

/// Why a text is no JSON, without the text.
fn json_reason(error: &PgDatabaseError) -> &'static str {
    let detail = error.detail().unwrap_or_default();
    if detail.contains("ended unexpectedly") { "End-of-input inside object or array: {" } else { "syntax error" }
}
