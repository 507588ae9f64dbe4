//! TABLE_MAP events: the shape of a table at the moment its rows were written.
//!
//! The event precedes every group of rows events and, with `binlog_row_metadata=FULL`, describes the table completely:
//! names, signs, character sets, labels, primary key. Rows are decoded by what it says, never by the catalog of now.
//! Layout: MySQL source documentation, class `Table_map_event`.

mod kind;
mod optional;
#[cfg(test)]
mod tests;

pub use kind::{Flavor, MysqlType};

use super::cursor::{Cursor, Short};

/// Flag: the table has a primary key that the server made (`my_row_id`).
pub const GENERATED_PRIMARY_KEY: u16 = 4;

/// Most columns a MySQL table can have (manual, "Limits on Table Column Count"); more is corruption.
const COLUMNS_MAX: usize = 4096;

/// A parsed TABLE_MAP event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableMap {
    /// Flags of the event, e.g. [`GENERATED_PRIMARY_KEY`].
    pub flags: u16,
    /// Database.
    pub database: String,
    /// Table.
    pub table: String,
    /// Columns in the order of the row images.
    pub columns: Vec<ColumnMap>,
    /// Whether column names are there (`binlog_row_metadata=FULL`).
    pub full_metadata: bool,
    /// Primary key in key order; empty when there is none or it is not told.
    pub primary_key: Vec<PrimaryKeyPart>,
    /// Which family wrote the event.
    pub flavor: Flavor,
}

/// One column of a primary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrimaryKeyPart {
    /// Index into [`TableMap::columns`].
    pub column: usize,
    /// Characters or bytes of the value that the index holds; 0 for all of it.
    pub prefix: u64,
}

/// One column of a [`TableMap`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnMap {
    /// Name, with full metadata.
    pub name: Option<String>,
    /// Type with its metadata.
    pub kind: MysqlType,
    /// Whether a number has no sign.
    pub unsigned: bool,
    /// Whether NULL is allowed.
    pub nullable: bool,
    /// Collation id of text, and of the labels of ENUM and SET. 63 is binary.
    pub collation: Option<u16>,
    /// Labels of ENUM and SET, as bytes in `collation`'s character set.
    pub labels: Vec<Vec<u8>>,
    /// False for columns declared INVISIBLE; they are in the images all the same.
    pub visible: bool,
    /// Geometry type number (0 = any), for GEOMETRY columns.
    pub geometry: Option<u64>,
    /// Declared dimensions of VECTOR columns.
    pub dimensions: Option<u64>,
}

/// Why a TABLE_MAP cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableMapError {
    /// The event ends early.
    #[error("table map ends inside {0}")]
    Short(&'static str),
    /// A database or table name is not UTF-8.
    #[error("table map has a {0} name that is not UTF-8")]
    Name(&'static str),
    /// A field contradicts another one.
    #[error("table map is corrupt: {0}")]
    Corrupt(&'static str),
}

/// Names the part of the event in which bytes ran out.
fn within(part: &'static str) -> impl Fn(Short) -> TableMapError {
    move |_| TableMapError::Short(part)
}

impl TableMap {
    /// Parses the event behind its 6-byte table id, without checksum.
    pub fn parse(body_after_table_id: &[u8], flavor: Flavor) -> Result<Self, TableMapError> {
        let mut cursor = Cursor::new(body_after_table_id);
        let flags = cursor.u16().map_err(within("flags"))?;
        let database = name(&mut cursor, "database")?.to_owned();
        let table = name(&mut cursor, "table")?.to_owned();
        let mut columns = columns(&mut cursor)?;
        let optional = optional::read(cursor, &mut columns, flavor)?;
        let full_metadata = optional.named;
        Ok(Self { flags, database, table, columns, full_metadata, primary_key: optional.primary_key, flavor })
    }

    /// Only database and table, for filtering without allocation.
    pub fn names(body_after_table_id: &[u8]) -> Result<(&str, &str), TableMapError> {
        let mut cursor = Cursor::new(body_after_table_id);
        cursor.u16().map_err(within("flags"))?;
        Ok((name(&mut cursor, "database")?, name(&mut cursor, "table")?))
    }
}

/// A name: one byte of length, the bytes, NUL.
fn name<'a>(cursor: &mut Cursor<'a>, what: &'static str) -> Result<&'a str, TableMapError> {
    let short = within("a name");
    let length = usize::from(cursor.u8().map_err(&short)?);
    let bytes = cursor.take(length).map_err(&short)?;
    cursor.u8().map_err(&short)?;
    std::str::from_utf8(bytes).map_err(|_| TableMapError::Name(what))
}

/// Types, metadata and null bits.
fn columns(cursor: &mut Cursor<'_>) -> Result<Vec<ColumnMap>, TableMapError> {
    let count = cursor.lenenc_usize().map_err(within("the column count"))?;
    if count > COLUMNS_MAX {
        return Err(TableMapError::Corrupt("more columns than a table can have"));
    }
    let codes = cursor.take(count).map_err(within("the column types"))?;
    let metadata = cursor.lenenc_bytes().map_err(within("the column metadata"))?;
    let nulls = cursor.take(count.div_ceil(8)).map_err(within("the null bits"))?;

    let mut metadata = Some(Cursor::new(metadata));
    let mut columns = Vec::with_capacity(count);
    for (index, code) in codes.iter().enumerate() {
        let kind = match &mut metadata {
            Some(cursor) => MysqlType::read(*code, cursor).map_err(within("the column metadata"))?,
            None => None,
        };
        if kind.is_none() {
            metadata = None;
        }
        columns.push(ColumnMap {
            name: None,
            kind: kind.unwrap_or(MysqlType::Unknown { code: *code }),
            unsigned: false,
            nullable: nulls.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1),
            collation: None,
            labels: Vec::new(),
            visible: true,
            geometry: None,
            dimensions: None,
        });
    }
    Ok(columns)
}
