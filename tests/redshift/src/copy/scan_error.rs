//! How a load fails: Redshift's block of lines, and the row for its system views.

use std::fmt::Write as _;

use super::relax::Unverified;
use super::{LoadError, Refusal};
use crate::ColumnType;

/// Errors of the fleet that reads columnar files (`S3SubqueryUserError`).
pub(super) const SCAN_ERROR: i32 = 15007;
/// A manifest that is not as it must be.
pub(super) const MANIFEST_ERROR: i32 = 15003;
/// NULL for a column that takes none.
pub(super) const NULL_ERROR: i32 = 8007;
/// A text of a SUPER value is too long.
pub(super) const SUPER_ERROR: i32 = 1224;
/// Errors of Redshift's own, without a number of their own.
pub(super) const OTHER_ERROR: i32 = 8001;

/// Bytes of the context that a client is shown. The rest is in `svl_s3log` alone; where Redshift cuts is not
/// documented, so a client must not rely on more than a beginning.
const CONTEXT_BYTES_MAX: usize = 256;

/// A column of the table, for the views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) column_type: ColumnType,
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScanError {
    /// First line of the error.
    pub(super) headline: String,
    /// Redshift's number.
    pub(super) code: i32,
    /// What exactly.
    pub(super) context: String,
    /// `s3://…`, where it is about a file.
    pub(super) file: String,
    /// Row of the file from 1; 0 for the whole file.
    pub(super) line: u64,
    /// Column of the table.
    pub(super) column: Option<Column>,
    /// What would let it through here.
    pub(super) unverified: Option<Unverified>,
}

impl ScanError {
    /// A `Spectrum Scan Error`.
    pub(super) fn scan(context: impl Into<String>) -> Self {
        Self::new("Spectrum Scan Error", SCAN_ERROR, context)
    }

    pub(super) fn new(headline: impl Into<String>, code: i32, context: impl Into<String>) -> Self {
        Self {
            headline: headline.into(),
            code,
            context: context.into(),
            file: String::new(),
            line: 0,
            column: None,
            unverified: None,
        }
    }

    pub(super) fn in_file(mut self, url: &str) -> Self {
        url.clone_into(&mut self.file);
        self
    }

    pub(super) fn at(mut self, column: Column, line: u64) -> Self {
        self.column = Some(column);
        self.line = line;
        self
    }

    pub(super) fn unverified(mut self, one: Unverified) -> Self {
        self.unverified = Some(one);
        self
    }

    /// What the client is told.
    pub(super) fn refusal(&self, query: i64) -> Refusal {
        const LINE: &str = "-----------------------------------------------";
        let context = &self.context[..self.context.floor_char_boundary(CONTEXT_BYTES_MAX)];
        let mut detail = format!(
            "\n  {LINE}\n  error:  {}\n  code:      {}\n  context:   {context}\n  query:     {query}\n  \
             location:  stand-in\n  process:   worker_thread [pid=0]\n",
            self.headline, self.code
        );
        if let Some(one) = self.unverified {
            let _ =
                writeln!(detail, "  unverified: nobody has measured this on a cluster; --relax {one} lets it through");
        }
        let _ = writeln!(detail, "  {LINE}");
        Refusal::new("XX000", self.headline.clone()).with_detail(detail)
    }

    /// What the views keep.
    pub(super) fn row(&self, table: &str, table_id: i64) -> LoadError {
        let message = if self.context.is_empty() {
            self.headline.clone()
        } else {
            format!("{}. {}", self.headline, self.context)
        };
        let ty = self.column.as_ref().map(|column| column.column_type);
        LoadError {
            table: table.to_owned(),
            table_id,
            file: self.file.clone(),
            line: i64::try_from(self.line).unwrap_or(i64::MAX),
            column: self.column.as_ref().map(|column| column.name.clone()).unwrap_or_default(),
            column_type: ty.map(bare_name).unwrap_or_default(),
            column_length: ty.and_then(length).unwrap_or_default(),
            code: self.code,
            message,
        }
    }
}

/// A type as the views name it: without its length.
fn bare_name(ty: ColumnType) -> String {
    match ty {
        ColumnType::Varchar(_) => "varchar".to_owned(),
        ColumnType::Char(_) => "char".to_owned(),
        ColumnType::Varbyte(_) => "varbyte".to_owned(),
        ColumnType::Decimal(..) => "numeric".to_owned(),
        ColumnType::Timestamp => "timestamp".to_owned(),
        ColumnType::TimestampTz => "timestamptz".to_owned(),
        other => other.to_string(),
    }
}

fn length(ty: ColumnType) -> Option<String> {
    match ty {
        ColumnType::Varchar(n) | ColumnType::Char(n) | ColumnType::Varbyte(n) => Some(n.to_string()),
        ColumnType::Decimal(p, s) => Some(format!("{p},{s}")),
        _ => None,
    }
}

/// An object as error texts address it.
pub(super) fn https_url(region: &str, bucket: &str, key: &str) -> String {
    let mut url = format!("https://s3.{region}.amazonaws.com/{bucket}/");
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_client_sees_a_beginning_and_the_view_all() {
        let column = Column { name: "c".to_owned(), column_type: ColumnType::Varchar(7) };
        let error = ScanError::scan("é".repeat(200)).in_file("s3://b/k").at(column, 3).unverified(Unverified::Zstd);
        let refusal = error.refusal(42);
        assert_eq!((refusal.code.as_str(), refusal.message.as_str()), ("XX000", "Spectrum Scan Error"));
        let detail = refusal.detail.unwrap();
        assert!(detail.contains("\n  code:      15007\n") && detail.contains("\n  query:     42\n"), "{detail}");
        assert!(detail.contains(&format!("context:   {}\n", "é".repeat(128))) && detail.contains("--relax zstd"));
        let row = error.row("t", 7);
        assert_eq!(row.message, format!("Spectrum Scan Error. {}", "é".repeat(200)));
        assert_eq!((row.column_type.as_str(), row.column_length.as_str(), row.line), ("varchar", "7", 3));
    }

    #[test]
    fn keys_are_encoded_in_urls() {
        let url = https_url("eu-west-1", "b", "dt=1//a b.parquet");
        assert_eq!(url, "https://s3.eu-west-1.amazonaws.com/b/dt%3D1//a%20b.parquet");
    }
}
