//! How a target lies on disk, for warehouses that let one choose (Redshift). The others ignore it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::ColumnType;

/// By what rows are spread over a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "style", content = "column", rename_all = "snake_case")]
pub enum DistKey {
    /// The warehouse chooses, and may change its choice as the table grows.
    #[default]
    Auto,
    /// One row here, the next there.
    Even,
    /// A copy on every node.
    All,
    /// Rows with equal values in the column lie together.
    Column(String),
}

/// How a target lies on disk. Looked at when it is created (and, for encodings, when a column is added): what somebody
/// changed in the warehouse afterwards stays. It never decides which rows a table has, so nothing in it can park one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Physical {
    /// How rows are spread. A column that the target had when it was created.
    pub dist_key: DistKey,
    /// Columns that rows are sorted by, all of which the target had when it was created. Empty: the warehouse chooses.
    pub sort_key: Vec<String>,
    /// Compression by column, in lower case. May name columns that the target does not have (yet); see
    /// [`encoding`](Self::encoding).
    pub encode: BTreeMap<String, String>,
}

impl Physical {
    /// The compression asked for a column, when columns of its type can have it.
    pub fn encoding(&self, column: &str, ty: ColumnType) -> Option<&str> {
        self.encode.get(column).map(String::as_str).filter(|encoding| encodes(encoding, ty))
    }
}

/// Whether rows can be spread and sorted by columns of the type. SUPER can be neither key.
/// Source: Redshift developer guide, "Limitations" of the SUPER type.
pub fn can_be_physical_key(ty: ColumnType) -> bool {
    ty != ColumnType::Json
}

/// Whether Redshift compresses columns of the type in this way.
/// Source: Redshift developer guide, "Compression encodings".
pub fn encodes(encoding: &str, ty: ColumnType) -> bool {
    use ColumnType::{
        Binary, Boolean, Date, Decimal, Float32, Float64, Int16, Int32, Int64, Json, Text, Timestamp, TimestampTz,
    };
    let float = matches!(ty, Float32 | Float64);
    let number = matches!(ty, Int16 | Int32 | Int64 | Decimal { .. });
    let time = matches!(ty, Date | Timestamp | TimestampTz);
    match encoding {
        "raw" | "zstd" => true,
        "runlength" => !matches!(ty, Json | Binary { .. }),
        "lzo" => ty != Boolean && !float,
        "az64" => number || time,
        "bytedict" => number || time || float || matches!(ty, Text { .. }),
        "delta" => number || matches!(ty, Date | Timestamp),
        "delta32k" => (number && ty != Int16) || matches!(ty, Date | Timestamp),
        "mostly8" => number,
        "mostly16" => number && ty != Int16,
        "mostly32" => matches!(ty, Int64 | Decimal { .. }),
        "text255" | "text32k" => matches!(ty, Text { .. }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_encodings_that_go_with_the_type_are_answered() {
        let encode = [("a", "az64"), ("b", "text255")].map(|(c, e)| (c.to_owned(), e.to_owned())).into();
        let physical = Physical { encode, ..Physical::default() };
        assert_eq!(physical.encoding("a", ColumnType::Int64), Some("az64"));
        assert_eq!(physical.encoding("a", ColumnType::Json), None);
        assert_eq!(physical.encoding("b", ColumnType::Text { bytes_max: None }), Some("text255"));
        assert_eq!(physical.encoding("c", ColumnType::Int64), None);
    }
}
