//! The shape of a table as the catalog describes it now, in the words of a TABLE_MAP.
//!
//! The plan that decodes rows is compiled from it by the same code as from the binlog's TABLE_MAP: both must come to the same
//! schema, which `tests/it/snapshot` checks for every type.

use mysql_async::{Conn, Error as DriverFailure, Row, prelude::Queryable};

use super::{
    key::{KeyColumn, KeyKind},
    sql,
};
use crate::source::mysql::{
    catalog::CatalogError,
    table_map::{ColumnMap, Flavor, MysqlType, PrimaryKeyPart, TableMap},
};

/// Collation id of bytes.
const BINARY: u16 = 63;

/// Collation id of labels: the catalog shows them in utf8mb4, whatever the column's character set.
const UTF8MB4: u16 = 255;

/// A table that can be read in chunks.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Columns as the binlog would describe them.
    pub map: TableMap,
    /// Expressions that read them, in the same order.
    pub(super) columns: Vec<String>,
    /// The key that chunks are cut by; empty where there is none.
    pub key: Vec<KeyColumn>,
    /// Its index.
    pub(super) index: String,
    /// Columns of the key, where it is a UNIQUE one and no primary key.
    pub unique_key: Vec<String>,
    /// Columns declared TINYINT(1).
    pub booleans: Vec<String>,
    /// Estimated rows. InnoDB's estimate can be off by half.
    pub rows: u64,
    /// Estimated bytes of a row; 0 where the server does not know.
    pub row_bytes: u64,
}

/// A table cannot be read by a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// A query failed.
    #[error("cannot read the catalog of the source")]
    Query(#[from] DriverFailure),
    /// The server cannot be asked.
    #[error(transparent)]
    Catalog(CatalogError),
    /// A column whose values come in another form than in the binlog.
    #[error(
        "column {column} is of type {declared}, which a snapshot cannot read; exclude the table, or change the type"
    )]
    Type {
        /// The column.
        column: String,
        /// Its declaration.
        declared: String,
    },
}

impl Shape {
    /// Asks the catalog; `None` when there is no such table.
    ///
    /// # Errors
    /// [`ShapeError`].
    pub async fn read(
        conn: &mut Conn,
        database: &str,
        table: &str,
        flavor: Flavor,
    ) -> Result<Option<Self>, ShapeError> {
        let names = (database, table);
        let estimate: Option<(Option<u64>, Option<u64>)> = conn.exec_first(sql::ESTIMATE, names).await?;
        let Some((rows, row_bytes)) = estimate else { return Ok(None) };
        let described: Vec<Row> = conn.exec(sql::COLUMNS, names).await?;
        let described = described.iter().map(Described::of).collect::<Vec<_>>();
        if described.is_empty() {
            return Ok(None);
        }
        let primary: Vec<String> = conn.exec(sql::PRIMARY_KEY, names).await?;
        let (index, key, unique) = match primary.is_empty() {
            false => ("PRIMARY".to_owned(), primary, false),
            true => {
                let keys: Vec<(String, String)> = conn.exec(crate::source::mysql::sql::UNIQUE_KEYS, names).await?;
                let index = keys.first().map(|(name, _)| name.clone()).unwrap_or_default();
                let key = keys.into_iter().filter(|(name, _)| *name == index).map(|(_, column)| column).collect();
                (index, key, true)
            }
        };
        let maps = described.iter().map(Described::map).collect::<Result<Vec<_>, _>>()?;
        let place = |name: &String| described.iter().position(|c| c.name == *name);
        let places: Vec<usize> = key.iter().filter_map(place).collect();
        let parts = places.iter().map(|column| PrimaryKeyPart { column: *column, prefix: 0 });
        Ok(Some(Self {
            columns: described.iter().map(Described::read).collect(),
            key: places.iter().filter_map(|place| described.get(*place)).map(Described::key).collect(),
            index,
            booleans: described
                .iter()
                .filter(|c| c.declared.starts_with("tinyint(1)"))
                .map(|c| c.name.clone())
                .collect(),
            map: TableMap {
                flags: 0,
                database: database.to_owned(),
                table: table.to_owned(),
                columns: maps,
                full_metadata: true,
                primary_key: if unique { Vec::new() } else { parts.collect() },
                flavor,
            },
            unique_key: if unique { key } else { Vec::new() },
            rows: rows.unwrap_or_default(),
            row_bytes: row_bytes.unwrap_or_default(),
        }))
    }

    pub(super) fn from(&self) -> sql::From<'_> {
        sql::From { database: &self.map.database, table: &self.map.table, index: &self.index, key: &self.key }
    }

    /// Whether the key is one integer.
    pub fn has_integer_key(&self) -> bool {
        let [key] = &self.key[..] else { return false };
        let kind = self.map.columns.iter().find(|c| c.name.as_ref() == Some(&key.name)).map(|c| c.kind);
        matches!(
            kind,
            Some(MysqlType::Tiny | MysqlType::Short | MysqlType::Int24 | MysqlType::Long | MysqlType::LongLong)
        )
    }
}

/// A row of `information_schema.COLUMNS`.
struct Described {
    name: String,
    data_type: String,
    declared: String,
    nullable: bool,
    octets: Option<u64>,
    precision: Option<u64>,
    scale: Option<u64>,
    fsp: Option<u64>,
    charset: Option<String>,
    collation: Option<String>,
    collation_id: Option<u64>,
    extra: String,
}

impl Described {
    fn of(row: &Row) -> Self {
        let text = |n: usize| row.get_opt::<Option<String>, _>(n).and_then(Result::ok).flatten();
        let number = |n: usize| row.get_opt::<Option<u64>, _>(n).and_then(Result::ok).flatten();
        Self {
            name: text(0).unwrap_or_default(),
            data_type: text(1).unwrap_or_default().to_ascii_lowercase(),
            declared: text(2).unwrap_or_default(),
            nullable: text(3).is_some_and(|n| n == "YES"),
            octets: number(4),
            precision: number(5),
            scale: number(6),
            fsp: number(7),
            charset: text(8),
            collation: text(9),
            collation_id: number(10),
            extra: text(11).unwrap_or_default(),
        }
    }

    fn is_labelled(&self) -> bool {
        matches!(self.data_type.as_str(), "enum" | "set")
    }

    /// The expression that reads it.
    fn read(&self) -> String {
        sql::column(&self.name, self.is_labelled())
    }

    fn map(&self) -> Result<ColumnMap, ShapeError> {
        let kind = self.kind().filter(|_| !self.declared.contains("COMPRESSED"));
        let kind =
            kind.ok_or_else(|| ShapeError::Type { column: self.name.clone(), declared: self.declared.clone() })?;
        let text = matches!(kind, MysqlType::Char { .. } | MysqlType::VarChar { .. } | MysqlType::Blob { .. });
        let collation = match (self.is_labelled(), &self.charset) {
            (true, _) => Some(UTF8MB4),
            (false, None) if text => Some(BINARY),
            (false, None) => None,
            (false, Some(_)) => self.collation_id.and_then(|id| u16::try_from(id).ok()),
        };
        Ok(ColumnMap {
            name: Some(self.name.clone()),
            kind,
            unsigned: self.declared.contains(" unsigned"),
            nullable: self.nullable,
            collation,
            labels: if self.is_labelled() { labels(&self.declared) } else { Vec::new() },
            visible: !self.extra.to_ascii_uppercase().contains("INVISIBLE"),
            geometry: None,
            dimensions: dimensions(&self.declared).filter(|_| self.data_type == "vector"),
        })
    }

    /// `None` for types of which the binlog has other bytes than a SELECT.
    fn kind(&self) -> Option<MysqlType> {
        let bytes = || self.octets.and_then(|n| u16::try_from(n).ok());
        let small = |n: Option<u64>| n.and_then(|n| u8::try_from(n).ok());
        let fsp = small(self.fsp).unwrap_or(0);
        Some(match self.data_type.as_str() {
            "tinyint" => MysqlType::Tiny,
            "smallint" => MysqlType::Short,
            "mediumint" => MysqlType::Int24,
            "int" => MysqlType::Long,
            "bigint" => MysqlType::LongLong,
            "float" => MysqlType::Float,
            "double" => MysqlType::Double,
            "decimal" => MysqlType::Decimal { precision: small(self.precision)?, scale: small(self.scale)? },
            "bit" => MysqlType::Bit { bits: self.precision.and_then(|n| u16::try_from(n).ok())? },
            "year" => MysqlType::Year,
            "date" => MysqlType::Date,
            "time" => MysqlType::Time { fsp },
            "datetime" => MysqlType::DateTime { fsp },
            "timestamp" => MysqlType::Timestamp { fsp },
            "char" | "binary" => MysqlType::Char { bytes: bytes()? },
            "varchar" | "varbinary" => MysqlType::VarChar { bytes: bytes()? },
            "tinytext" | "tinyblob" => MysqlType::Blob { prefix: 1 },
            "text" | "blob" => MysqlType::Blob { prefix: 2 },
            "mediumtext" | "mediumblob" => MysqlType::Blob { prefix: 3 },
            "longtext" | "longblob" => MysqlType::Blob { prefix: 4 },
            "enum" => MysqlType::Enum { size: 2 },
            "set" => MysqlType::Set { size: 8 },
            "json" => MysqlType::Json { prefix: 4 },
            "vector" => MysqlType::Vector { prefix: 4 },
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
            | "geomcollection" | "geometrycollection" => MysqlType::Geometry { prefix: 4 },
            _ => return None,
        })
    }

    fn key(&self) -> KeyColumn {
        let small = |n: Option<u64>| n.and_then(|n| u8::try_from(n).ok()).unwrap_or(0);
        let kind = match (self.data_type.as_str(), &self.charset, &self.collation) {
            ("enum" | "set" | "bit", ..) => KeyKind::Numbered,
            ("decimal", ..) => KeyKind::Decimal { precision: small(self.precision), scale: small(self.scale) },
            (_, Some(charset), Some(collation)) if is_name(charset) && is_name(collation) => {
                KeyKind::Text { charset: charset.clone(), collation: collation.clone() }
            }
            ("binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob", ..) => KeyKind::Bytes,
            _ => KeyKind::Plain,
        };
        KeyColumn { name: self.name.clone(), kind }
    }
}

/// Names of character sets and collations are plain words; they stand unquoted in statements.
fn is_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The number in `vector(3)`.
fn dimensions(declared: &str) -> Option<u64> {
    declared.split_once('(')?.1.strip_suffix(')')?.parse().ok()
}

/// The labels in `enum('a','b''c')`: the catalog doubles quotes and writes a backslash before itself and for a few control
/// characters (MySQL source, `append_unescaped`).
fn labels(declared: &str) -> Vec<Vec<u8>> {
    let mut labels = Vec::new();
    let mut rest = declared.split_once('(').map_or("", |(_, list)| list).chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\'' {
            continue;
        }
        let mut label = String::new();
        while let Some(c) = rest.next() {
            match c {
                '\'' if rest.peek() == Some(&'\'') => {
                    rest.next();
                    label.push('\'');
                }
                '\'' => break,
                '\\' => label.push(match rest.next() {
                    Some('0') => '\0',
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some(other) => other,
                    None => '\\',
                }),
                other => label.push(other),
            }
        }
        labels.push(label.into_bytes());
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_taken_out_of_their_declaration() {
        let read = |text: &str| {
            let labels = labels(text).into_iter().map(|l| String::from_utf8_lossy(&l).into_owned());
            labels.collect::<Vec<_>>()
        };
        assert_eq!(read("enum('a','ü','x,y')"), ["a", "ü", "x,y"]);
        assert_eq!(read("set('it''s','','(b)')"), ["it's", "", "(b)"]);
        assert_eq!(read(r"enum('a\\b','n\n')"), ["a\\b", "n\n"]);
    }

    #[test]
    fn dimensions_are_read() {
        assert_eq!(dimensions("vector(3)"), Some(3));
        assert_eq!(dimensions("geometry"), None);
    }
}
