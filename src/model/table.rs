//! The schema of a table's rows at one moment: what a file in the lake contains.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ColumnType, Digest};

/// Names of the system columns. They come first in every file, in this order.
pub mod system {
    /// Origin of the row, in the lake and in targets.
    pub const ORIGIN: &str = "_tw_origin";
    /// [`Seq`](crate::model::Seq) of the change, in the lake and in targets.
    pub const SEQ: &str = "_tw_seq";
    /// [`Op`](crate::model::Op) of the change, in the lake and in staging only.
    pub const OP: &str = "_tw_op";
    /// Commit time on the source, UTC microseconds, in the lake and in targets.
    pub const COMMITTED_AT: &str = "_tw_committed_at";
    /// Whether the row is a tombstone; only in targets with soft deletes.
    pub const DELETED: &str = "_tw_deleted";
    /// Prefix that no source column may have.
    pub const PREFIX: &str = "_tw_";
}

/// One column of a table as its rows carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Name in the target.
    pub name: String,
    /// Neutral type.
    #[serde(flatten)]
    pub ty: ColumnType,
    /// Whether the source allows NULL. Targets allow NULL everywhere but in keys (zero dates become NULL).
    pub nullable: bool,
    /// Place in the primary key, counted from 0; `None` for other columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<u16>,
    /// The MySQL type as text, for people and for `schema`.
    pub source: String,
}

/// The value rows have in a column that was added after they were written, as a literal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum ColumnDefault {
    /// NULL.
    Null,
    /// A literal in the neutral text form of the column's type (numbers in decimal, dates ISO 8601, `true`/`false`).
    Literal(String),
    /// An expression, a generated column or something not understood: old rows have values that only a new snapshot knows.
    Unknown,
}

/// Columns of one table at one moment, in source order. Immutable; identified by the digest of its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSchema {
    /// Columns in source order, generated and invisible ones included.
    pub columns: Vec<Column>,
}

impl TableSchema {
    /// Digest of the canonical JSON of the columns: equal content, equal id.
    pub fn id(&self) -> Digest {
        // Serialising plain structs to a Vec cannot fail; an empty digest input would only collide with itself.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// Key columns in key order. Empty when the table has no key.
    pub fn key(&self) -> Vec<&Column> {
        let mut key: Vec<&Column> = self.columns.iter().filter(|c| c.key.is_some()).collect();
        key.sort_by_key(|c| c.key);
        key
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Arrow schema of a lake file: system columns, then the table's.
    pub fn arrow(&self) -> Arc<Schema> {
        let mut fields = vec![
            Field::new(system::ORIGIN, DataType::Utf8, false),
            Field::new(system::SEQ, DataType::Int64, false),
            Field::new(system::OP, DataType::Utf8, false),
            Field::new(system::COMMITTED_AT, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        ];
        // Every source column is optional in files: policies turn values into NULL, and a required Parquet column
        // cannot become optional later without a new file schema.
        fields.extend(self.columns.iter().map(|c| Field::new(&c.name, c.ty.arrow(), c.key.is_none())));
        Arc::new(Schema::new(fields))
    }
}
