//! What a `[[table]]` rule says of single columns, and how Redshift is to lay the table out.

use std::{convert::Infallible, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{InvalidText, LongText, TinyInt1, ZeroDates, written::written};

/// Most columns of a compound sort key. Source: Redshift quotas, "Columns per sort key".
pub const SORT_KEY_COLUMNS_MAX: usize = 400;

/// Most bytes of a text that a VARCHAR of Redshift holds. Source: Redshift developer guide, "Character types".
pub const REDSHIFT_TEXT_BYTES_MAX: u32 = 65_535;

/// Settings of one column, by its name on the source: `columns = { note = { encode = "zstd" } }`. What is not set here is
/// taken from the table's rule. A name that a table lacks is logged and otherwise means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnRule {
    /// What the column becomes if it is TINYINT(1). Default: the rule's `tinyint1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tinyint1: Option<TinyInt1>,
    /// What becomes of its dates that are none. Default: the rule's `zero_dates`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_dates: Option<ZeroDates>,
    /// What becomes of its text that is not valid. Default: the rule's `invalid_text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid_text: Option<InvalidText>,
    /// What becomes of its values that are too long. Default: the rule's `long_text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_text: Option<LongText>,
    /// Most bytes of its text in UTF-8. Default: the rule's `text_bytes_max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub text_bytes_max: Option<u32>,
    /// Compression of the column in the table. Redshift only, and only when table or column are created; one that does
    /// not go with the column's type is logged and left out. Naming one ends Redshift's own choice (ENCODE AUTO) for
    /// the whole table. Columns with `bytedict`, `runlength`, `text255` or `text32k` cannot become wider later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encode: Option<Encoding>,
}

/// Compression of a column in Redshift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// None.
    Raw,
    /// Amazon's own, for whole numbers, decimals and times.
    Az64,
    /// A dictionary of up to 256 values a block.
    ByteDict,
    /// Differences that fit one byte.
    Delta,
    /// Differences that fit two bytes.
    Delta32k,
    /// For long text.
    Lzo,
    /// Whole numbers that mostly fit one byte.
    Mostly8,
    /// Whole numbers that mostly fit two bytes.
    Mostly16,
    /// Whole numbers that mostly fit four bytes.
    Mostly32,
    /// Values that repeat in a row.
    RunLength,
    /// A dictionary of the first 245 words of a block.
    Text255,
    /// A dictionary of 32 KiB of words a block.
    Text32k,
    /// Zstandard, for everything.
    Zstd,
}

impl Encoding {
    /// The word in SQL and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Az64 => "az64",
            Self::ByteDict => "bytedict",
            Self::Delta => "delta",
            Self::Delta32k => "delta32k",
            Self::Lzo => "lzo",
            Self::Mostly8 => "mostly8",
            Self::Mostly16 => "mostly16",
            Self::Mostly32 => "mostly32",
            Self::RunLength => "runlength",
            Self::Text255 => "text255",
            Self::Text32k => "text32k",
            Self::Zstd => "zstd",
        }
    }
}

/// By what rows are spread over a cluster's slices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum DistKey {
    /// The first column of the primary key.
    #[default]
    Key,
    /// One row here, the next there.
    Even,
    /// A copy on every node.
    All,
    /// The warehouse chooses, and may change its choice as the table grows.
    Auto,
    /// A column.
    Column(String),
}

impl FromStr for DistKey {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "key" => Self::Key,
            "even" => Self::Even,
            "all" => Self::All,
            "auto" => Self::Auto,
            column => Self::Column(column.to_owned()),
        })
    }
}

impl fmt::Display for DistKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "key",
            Self::Even => "even",
            Self::All => "all",
            Self::Auto => "auto",
            Self::Column(name) => name,
        })
    }
}

written!(DistKey, "dist-key");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_and_columns_read_and_print() {
        for (text, key) in [
            ("key", DistKey::Key),
            ("even", DistKey::Even),
            ("all", DistKey::All),
            ("auto", DistKey::Auto),
            ("customer_id", DistKey::Column("customer_id".to_owned())),
        ] {
            assert_eq!(text.parse::<DistKey>().unwrap(), key);
            assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn encodings_print_as_they_are_written() {
        for encoding in [Encoding::ByteDict, Encoding::Delta32k, Encoding::RunLength, Encoding::Text32k] {
            assert_eq!(serde_json::to_value(encoding).unwrap(), encoding.as_str());
        }
    }
}
