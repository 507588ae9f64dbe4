//! What happens to values that have no exact counterpart.

use std::collections::HashMap;

/// What TINYINT(1) columns become. Key columns are always SMALLINT: as booleans the keys 1 and 2 would be one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TinyInt1 {
    /// BOOLEAN, `value != 0`; values other than 0 and 1 are counted.
    #[default]
    Boolean,
    /// SMALLINT with the exact value.
    SmallInt,
}

/// What happens to dates that are in no calendar: `0000-00-00`, `2024-00-15`, `2024-02-31`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZeroDates {
    /// They become NULL and are counted. Refused all the same in key columns.
    #[default]
    Null,
    /// The row cannot be decoded.
    Refuse,
}

/// What happens to text with bytes that its character set does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InvalidText {
    /// They become U+FFFD (`?` where text is converted, as the server itself does) and the value is counted. Refused all
    /// the same in key columns.
    #[default]
    Replace,
    /// The row cannot be decoded.
    Refuse,
}

/// What happens to values that are longer than the readers of the lake take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongValues {
    /// Text is cut behind the last whole character that fits. Of bytes and JSON a part is worth nothing: they become NULL.
    /// Counted. Refused all the same in key columns.
    #[default]
    Cut,
    /// They become NULL and are counted. Refused all the same in key columns.
    Null,
    /// The row cannot be decoded.
    Refuse,
}

/// The policies of one column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValuePolicy {
    /// TINYINT(1).
    pub tinyint1: TinyInt1,
    /// Dates without a calendar day.
    pub zero_dates: ZeroDates,
    /// Text that is not in its character set.
    pub invalid_text: InvalidText,
    /// Values that are too long.
    pub long_values: LongValues,
    /// Most bytes of UTF-8 of a text (CHAR, VARCHAR, TEXT); `None` is no limit. The column's type says it too.
    pub text_bytes_max: Option<u32>,
}

/// Most bytes that the readers of the lake take, besides those of text; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Of a binary value.
    pub binary: Option<u32>,
    /// Of a JSON document's text.
    pub json: Option<u32>,
    /// Of one string inside of a JSON document.
    pub json_string: Option<u32>,
    /// Of all values of a row together. The longest give way.
    pub row: Option<u32>,
}

/// The policies of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// For columns that are not named.
    pub table: ValuePolicy,
    /// By column name, complete: nothing is inherited from `table`.
    pub columns: HashMap<String, ValuePolicy>,
    /// For every column.
    pub bounds: Bounds,
}

impl Policies {
    /// The policy of the column called `name`.
    pub fn of(&self, name: &str) -> ValuePolicy {
        self.columns.get(name).copied().unwrap_or(self.table)
    }
}
