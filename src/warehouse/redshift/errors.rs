//! What an error of Redshift means: one classifier, by message and code.
//!
//! Redshift says SQLSTATE XX000 for almost everything of its own, so the message decides first and the code only where it
//! says more. What is told of an error is written here, because messages and details may repeat values or carry the
//! signature of a presigned address.

use crate::warehouse::error::{Failure, FailureKind};

/// Most characters of a server's own words that are repeated.
const WORDS_MAX: usize = 300;

/// What kind of trouble it is, beyond what [`FailureKind`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The transaction was certainly rolled back and another try may succeed at once.
    Conflict,
    /// A load was refused; `sys_load_error_detail` may say more.
    Load,
    /// Something not foreseen: repeated a few times, then held against the table.
    Unknown,
    /// What the kind says and no more.
    Plain,
}

/// A failed statement.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) failure: Failure,
    pub(crate) class: Class,
    /// The connection must not be used again.
    pub(crate) lost: bool,
}

impl Trouble {
    pub(crate) fn new(kind: FailureKind, class: Class, text: impl Into<String>) -> Self {
        Self { failure: Failure::new(kind, text), class, lost: false }
    }

    pub(crate) fn lost(text: impl Into<String>) -> Self {
        Self { lost: true, ..Self::new(FailureKind::Transient, Class::Plain, text) }
    }
}

/// An error as it came over the wire.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Said<'a> {
    /// SQLSTATE; empty where the Data API tells none.
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
    pub(crate) detail: &'a str,
    /// The statement holds row values or keys: its error repeats none of the server's words.
    pub(crate) sensitive: bool,
}

impl Said<'_> {
    fn has(&self, text: &str) -> bool {
        contains(self.message, text) || contains(self.detail, text)
    }

    fn any(&self, texts: &[&str]) -> bool {
        texts.iter().any(|t| self.has(t))
    }

    fn code_or(&self) -> String {
        if self.code.is_empty() { String::new() } else { format!(" (SQLSTATE {})", self.code) }
    }

    /// The message, short and without what follows a question mark in an address.
    fn words(&self) -> String {
        if self.sensitive {
            return format!("the statement failed{}", self.code_or());
        }
        format!("{}{}", trimmed(self.message), self.code_or())
    }
}

fn contains(text: &str, part: &str) -> bool {
    text.to_ascii_lowercase().contains(&part.to_ascii_lowercase())
}

/// One line, without the query strings of presigned addresses, and not too long.
pub(crate) fn trimmed(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out = String::new();
    let mut rest = line.as_str();
    while let Some(at) = rest.find("X-Amz-") {
        let start = rest.get(..at).and_then(|head| head.rfind(['?', '&'])).unwrap_or(at);
        out.push_str(rest.get(..start).unwrap_or_default());
        let tail = rest.get(at..).unwrap_or_default();
        let end = tail.find(|c: char| c.is_whitespace() || c == '\'' || c == '"').unwrap_or(tail.len());
        rest = tail.get(end..).unwrap_or_default();
    }
    out.push_str(rest);
    out.chars().take(WORDS_MAX).collect()
}

/// Classifies an error of the server.
pub(crate) fn classify(said: Said<'_>) -> Trouble {
    conflict(&said)
        .or_else(|| connection(&said))
        .or_else(|| load(&said))
        .or_else(|| value(&said))
        .or_else(|| cluster(&said))
        .unwrap_or_else(|| by_code(&said))
}

/// Transactions that crossed: rolled back by the server, worth another try at once.
fn conflict(said: &Said<'_>) -> Option<Trouble> {
    let what = if said.has("serializable isolation violation") || word(said.message, "1023") {
        "it crossed another transaction (1023, serializable isolation violation)"
    } else if word(said.message, "1018") || said.has("concurrent ddl committed") {
        "a table was made or changed after the transaction's snapshot (1018)"
    } else if said.code == "40P01" || said.has("deadlock detected") {
        "it met another transaction in a deadlock (40P01)"
    } else if said.code == "40001" || said.has("could not serialize access") {
        "it crossed another transaction (40001)"
    } else {
        return None;
    };
    Some(Trouble::new(FailureKind::Transient, Class::Conflict, what))
}

/// Whether `number` stands in the text by itself.
fn word(text: &str, number: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|w| w == number)
}

fn connection(said: &Said<'_>) -> Option<Trouble> {
    if said.code.starts_with("08") || said.code.starts_with("57P") || said.has("terminating connection") {
        return Some(Trouble::lost(said.words()));
    }
    let login = said.code.starts_with("28") || said.any(&["password authentication failed", "no pg_hba.conf entry"]);
    login.then(|| Trouble { lost: true, ..Trouble::new(FailureKind::Denied, Class::Plain, said.words()) })
}

/// COPY. The detail names file and column; what it says more is in `sys_load_error_detail`.
fn load(said: &Said<'_>) -> Option<Trouble> {
    let scan = said.any(&["spectrum scan error", "s3 query exception", "stl_load_errors", "s3serviceexception"])
        || said.any(&["requires serializetojson", "iam role"]);
    if !scan {
        return None;
    }
    let definite = |text: String| Some(Trouble::new(FailureKind::Data, Class::Load, text));
    let detail = place_of(said.detail);
    // A table may be called `corrupt_orders`, and most file names have a 416 or a 503 somewhere.
    let (message, plain) = (without_paths(said.message), without_paths(said.detail));
    let said = &Said { message: &message, detail: &plain, ..*said };
    if said.any(&["access denied", "accessdenied", "403 ", "forbidden", "not authorized", "assume role"]) {
        let text = "Redshift may not read the lake: grant its role s3:GetObject and s3:ListBucket on the bucket";
        return Some(Trouble::new(FailureKind::Transient, Class::Plain, text));
    }
    if said.has("iam role") {
        let text = "Redshift does not take the role that COPY names: attach it to the cluster, and check its ARN";
        return Some(Trouble::new(FailureKind::Transient, Class::Plain, text));
    }
    if said.any(&["file not found", "nosuchkey", "key does not exist"]) {
        return definite(format!("COPY found a file of the log missing from the lake{detail}"));
    }
    if said.has("longer than the length defined") || said.has("exceeds ddl length") {
        return definite(format!("a value is longer than its column{detail}"));
    }
    if said.has("incompatible parquet schema") {
        return definite(format!("COPY does not take the file's type for a column{detail}"));
    }
    if said.has("unmatched number of columns") {
        return definite(format!("the file has another number of columns than its schema{detail}"));
    }
    if said.any(&["invalid version number", "invalidrange", "416", "corrupt", "not a parquet file"]) {
        return definite(format!("the file was replaced or damaged{detail}"));
    }
    if said.any(&["cannot insert a null", "requires serializetojson", "invalid utf", "numeric data overflow"]) {
        return definite(format!("{}{detail}", words_of_value(said)));
    }
    // Fetching failed: throttled, timed out, an internal error of S3 or of the scan's fleet.
    let text = format!("COPY could not read the lake{detail}");
    let kind = said.any(&[
        "slow down",
        "slowdown",
        "503",
        "500",
        "internal error",
        "timed out",
        "timeout",
        "fetch",
        "connection",
    ]);
    Some(match kind {
        true => Trouble::new(FailureKind::Transient, Class::Plain, text),
        false => Trouble::new(FailureKind::Transient, Class::Unknown, text),
    })
}

/// The text without words that are paths or addresses.
fn without_paths(text: &str) -> String {
    let kept = text.split_whitespace().filter(|word| !word.contains('/') && !word.contains(".parquet"));
    kept.collect::<Vec<_>>().join(" ")
}

/// The file and the column that a detail names, for people.
fn place_of(detail: &str) -> String {
    let names = |line: &&str| contains(line, "file") || contains(line, "column");
    let line = detail.lines().map(str::trim).find(names).unwrap_or_default();
    if line.is_empty() { String::new() } else { format!(": {}", trimmed(line)) }
}

/// Values that do not fit. The server's words would repeat them.
fn value(said: &Said<'_>) -> Option<Trouble> {
    let known = said.any(&[
        "json_parse",
        "exceeds the max size",
        "cannot insert a null",
        "value too long",
        "numeric data overflow",
        "precision exceeds maximum",
        "invalid input",
        "out of range",
        "division by zero",
    ]);
    let class = matches!(said.code.get(..2), Some("22" | "23"));
    (known || class).then(|| Trouble::new(FailureKind::Data, Class::Plain, words_of_value(said)))
}

fn words_of_value(said: &Said<'_>) -> String {
    let code = said.code_or();
    if said.has("exceeds the max size") {
        return format!("a string inside a JSON value is longer than the 65535 bytes that SUPER takes{code}");
    }
    if said.has("json_parse") || said.has("invalid input") {
        return format!("a value is not JSON that JSON_PARSE understands{code}");
    }
    if said.has("cannot insert a null") {
        let column = said.message.rsplit_once("column ").map(|(_, name)| trimmed(name)).unwrap_or_default();
        return format!("NULL in column {column}, which may not be NULL{code}");
    }
    if said.has("value too long") {
        return format!("a text is longer than its column{code}");
    }
    if said.any(&["numeric data overflow", "precision exceeds maximum", "out of range"]) {
        return format!("a number leaves the range of its column{code}");
    }
    format!("a value does not fit{code}")
}

/// What the cluster is busy with.
fn cluster(said: &Said<'_>) -> Option<Trouble> {
    let what = if said.has("disk full") {
        "the cluster's disks are full: free space or resize it"
    } else if said.has("resize mode") {
        "the cluster is being resized and takes no writes"
    } else if said.code == "57014"
        || said.any(&["cancelled on user's request", "canceling statement", "query cancelled"])
    {
        "the statement was cancelled (by statement_timeout, by a WLM rule or by hand)"
    } else if said.has("insufficient memory") || said.has("out of memory") {
        "the query's WLM queue has too little memory"
    } else if said.code == "25P02" {
        "the transaction had failed already"
    } else {
        return None;
    };
    Some(Trouble::new(FailureKind::Transient, Class::Plain, what))
}

fn by_code(said: &Said<'_>) -> Trouble {
    let plain = |kind| Trouble::new(kind, Class::Plain, said.words());
    match said.code {
        "42501" | "3D000" => return plain(FailureKind::Denied),
        "25006" => return plain(FailureKind::Transient),
        _ => {}
    }
    if said.has("permission denied") || said.has("must be owner") {
        return plain(FailureKind::Denied);
    }
    match said.code.get(..2) {
        Some("53" | "58" | "57" | "55") => return plain(FailureKind::Transient),
        Some("0A" | "2B" | "42" | "54") => return plain(FailureKind::Data),
        _ => {}
    }
    let definite = ["does not exist", "already exists", "syntax error", "not supported", "depends on", "depend on"];
    if said.any(&definite) {
        return plain(FailureKind::Data);
    }
    Trouble::new(FailureKind::Transient, Class::Unknown, said.words())
}

/// Whether ALTER COLUMN … TYPE says that the column has the size already, which is what was wanted.
pub(crate) fn has_that_size(failure: &Failure) -> bool {
    contains(&failure.text, "target column size should be different")
}

/// Whether a view or something else hangs on what was to be dropped.
pub(crate) fn has_dependents(failure: &Failure) -> bool {
    failure.text.contains("2BP01") || contains(&failure.text, "depend")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn said(code: &'static str, message: &'static str, detail: &'static str) -> Trouble {
        classify(Said { code, message, detail, sensitive: false })
    }

    #[test]
    fn names_of_files_and_tables_say_nothing_of_an_error() {
        const FILE: &str = "File 'https://s3.eu-west-1.amazonaws.com/b/p/data/corrupt_forbidden/dt=2026-11-21/s1-1894164161-416-aa.parquet'";
        let throttled = format!("error: Spectrum Scan Error\n code: 15001\n context: S3 503 Slow Down {FILE}");
        let changed = format!("error: Spectrum Scan Error\n code: 15001\n context: HTTP 416 InvalidRange {FILE}");
        let read = |detail: &str| {
            classify(Said { code: "XX000", message: "Spectrum Scan Error", detail, sensitive: false }).failure.kind
        };
        assert_eq!(read(&throttled), FailureKind::Transient);
        assert_eq!(read(&changed), FailureKind::Data);
    }

    #[test]
    fn crossed_transactions_are_tried_again_at_once() {
        let detail =
            "Serializable isolation violation on table - 108263, transactions forming the cycle are: 1, 2 (pid:3)";
        for trouble in [
            said("XX000", "1023", detail),
            said("", "ERROR: 1023", ""),
            said("40P01", "deadlock detected", ""),
            said("XX000", "ERROR: 1018 DETAIL: Relation does not exist", ""),
        ] {
            assert_eq!((trouble.class, trouble.failure.kind), (Class::Conflict, FailureKind::Transient), "{trouble:?}");
        }
        // A number inside another is not that number.
        assert_ne!(said("XX000", "table 110231 is locked", "").class, Class::Conflict);
    }

    #[test]
    fn refused_loads_name_file_and_column() {
        let detail = "\n  -----------------------------------------------\n  error:  Spectrum Scan Error\n  code:      15007\n  \
            context:   File 'https://s3.eu-west-1.amazonaws.com/b/data/x.parquet?X-Amz-Signature=abc' has an incompatible \
            Parquet schema for column 's3://b/data/x.parquet.n'. Column type: INTEGER, Parquet schema:\n  query: 12\n";
        let trouble = said("XX000", "Spectrum Scan Error", detail);
        assert_eq!((trouble.class, trouble.failure.kind), (Class::Load, FailureKind::Data));
        assert!(trouble.failure.text.contains("x.parquet"), "{trouble:?}");
        assert!(!trouble.failure.text.contains("abc"), "{trouble:?}");
        for (message, detail, kind) in [
            ("Spectrum Scan Error", "context: File not found: s3://b/x.parquet", FailureKind::Data),
            (
                "Spectrum Scan Error",
                "context: Unmatched number of columns between table and file. Table columns: 20, Data columns: 16, File name: x",
                FailureKind::Data,
            ),
            (
                "Spectrum Scan Error",
                "context: The length of the data column note is longer than the length defined in the table. Table: 200, Data: 300",
                FailureKind::Data,
            ),
            ("S3 Query Exception (Fetch)", "code: 15001 context: has an invalid version number", FailureKind::Data),
            ("S3 Query Exception (Fetch)", "context: HTTP 503 SlowDown", FailureKind::Transient),
            ("S3ServiceException:Access Denied,Status 403,Error AccessDenied", "", FailureKind::Transient),
            ("SUPER column in COPY query requires SERIALIZETOJSON option", "", FailureKind::Data),
        ] {
            assert_eq!(said("XX000", message, detail).failure.kind, kind, "{message} {detail}");
        }
    }

    #[test]
    fn values_are_never_repeated() {
        for (code, message) in [
            ("XX000", "Invalid input\n DETAIL: JSON_PARSE() error: End-of-input inside object or array: {secret"),
            ("XX000", "String value exceeds the max size of 65535 bytes secret"),
            ("22P02", "invalid input syntax for integer: \"secret\""),
            ("22001", "value too long for character type secret"),
            ("XX000", "Numeric data overflow secret"),
        ] {
            let trouble = said(code, message, "code: 8001");
            assert_eq!(trouble.failure.kind, FailureKind::Data, "{message}");
            assert!(!trouble.failure.text.contains("secret"), "{trouble:?}");
        }
        let trouble = said("XX000", "Cannot insert a NULL value into column id", "code: 8007");
        assert_eq!(trouble.failure.text, "NULL in column id, which may not be NULL (SQLSTATE XX000)");
        let keys =
            Said { code: "42601", message: "syntax error near 'AKIA secret'", sensitive: true, ..Said::default() };
        assert!(!classify(keys).failure.text.contains("secret"));
    }

    #[test]
    fn the_cluster_is_waited_for() {
        for (code, message) in [
            ("XX000", "Disk Full"),
            ("XX000", "Cannot execute write query because system is in resize mode"),
            ("57014", "Query (123) cancelled on user's request"),
            ("57014", "Query cancelled by WLM abort action of Query Monitoring Rule \"long\"."),
            ("25P02", "current transaction is aborted, commands ignored until end of transaction block"),
            ("53300", "too many connections"),
        ] {
            assert_eq!(said(code, message, "").failure.kind, FailureKind::Transient, "{message}");
        }
        assert!(said("57P01", "terminating connection due to administrator command", "").lost);
        assert_eq!(said("XX000", "Assert", "code: 1000").class, Class::Unknown);
    }

    #[test]
    fn definitions_and_rights_are_definite() {
        for (code, message, kind) in [
            ("42501", "permission denied for schema x", FailureKind::Denied),
            ("28000", "password authentication failed for user \"x\"", FailureKind::Denied),
            ("XX000", "Relation t does not exist in the database.", FailureKind::Data),
            ("42P01", "relation \"t\" does not exist", FailureKind::Data),
            ("2BP01", "cannot drop table t column c because other objects depend on it", FailureKind::Data),
        ] {
            assert_eq!(said(code, message, "").failure.kind, kind, "{message}");
        }
        let same =
            said("0A000", "cannot alter column \"c\" of relation \"t\", target column size should be different", "");
        assert!(has_that_size(&same.failure));
    }
}
