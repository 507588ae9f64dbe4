//! Types as they are written (D2, R4, R5).

use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use crate::{ColumnType, Refusal};

/// Bytes of a VARCHAR whose length is not given, in a column.
const VARCHAR_DEFAULT: u32 = 256;
/// Most bytes of a VARCHAR; also `MAX`.
const VARCHAR_MAX: u32 = 65_535;
/// Most bytes of a CHAR.
const CHAR_MAX: u32 = 4_096;
/// Bytes of a VARBYTE whose length is not given (D26).
const VARBYTE_DEFAULT: u32 = 64_000;
/// Most bytes of a VARBYTE (D26).
const VARBYTE_MAX: u32 = 16_777_216;
/// Most digits of a DECIMAL.
const PRECISION_MAX: u8 = 38;
/// Most digits of a DECIMAL behind the point.
const SCALE_MAX: u8 = 37;

/// A type and whether its length was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// The type, with defaults filled in.
    pub(crate) column_type: ColumnType,
    /// `VARCHAR` alone has 256 bytes as a column, and any length in a cast.
    pub(crate) sized: bool,
}

/// Reads a type.
pub(crate) fn parse(cursor: &mut Cursor) -> Result<Written, Refusal> {
    let start = cursor.clone();
    let name = cursor.word()?;
    let plain = |column_type| Written { column_type, sized: true };
    let written = match name.as_str() {
        "smallint" | "int2" => plain(ColumnType::SmallInt),
        "integer" | "int" | "int4" => plain(ColumnType::Integer),
        "bigint" | "int8" => plain(ColumnType::BigInt),
        "decimal" | "numeric" => decimal(cursor)?,
        "real" | "float4" => plain(ColumnType::Real),
        "double" => {
            cursor.expect("precision")?;
            plain(ColumnType::Double)
        }
        "float8" => plain(ColumnType::Double),
        "float" => plain(float(cursor)?),
        "boolean" | "bool" => plain(ColumnType::Boolean),
        "date" => plain(ColumnType::Date),
        "timestamp" => plain(zone(cursor, ColumnType::Timestamp, ColumnType::TimestampTz)?),
        "timestamptz" => plain(ColumnType::TimestampTz),
        "time" => plain(zone(cursor, ColumnType::Time, ColumnType::TimeTz)?),
        "timetz" => plain(ColumnType::TimeTz),
        "varchar" | "nvarchar" => varchar(cursor)?,
        "text" => Written { column_type: ColumnType::Varchar(VARCHAR_DEFAULT), sized: false },
        "bpchar" => Written { column_type: ColumnType::Char(VARCHAR_DEFAULT), sized: false },
        "char" | "character" | "nchar" => {
            if cursor.accept("varying") {
                varchar(cursor)?
            } else {
                let (length, sized) = length(cursor, 1, CHAR_MAX, "character")?;
                Written { column_type: ColumnType::Char(length), sized }
            }
        }
        "varbyte" | "varbinary" => varbyte(cursor)?,
        "binary" if cursor.accept("varying") => varbyte(cursor)?,
        "super" => plain(ColumnType::Super),
        "uuid" | "json" | "jsonb" | "bytea" | "xml" | "inet" | "cidr" | "macaddr" | "serial" | "bigserial"
        | "smallserial" | "money" | "point" | "tsvector" | "hstore" | "regclass" | "tinyint" | "mediumint"
        | "datetime" | "blob" | "clob" | "string" | "hllsketch" | "geometry" | "geography" | "bit" | "enum" => {
            return Err(unknown_type(&name));
        }
        _ if super::reserved::is_reserved(&name) => return Err(start.syntax_error()),
        _ => return Err(unknown_type(&name)),
    };
    if cursor.peek() == Some(&Token::LBracket) || cursor.is_word("array") {
        return Err(Refusal::new("0A000", format!("Column has unsupported type \"{name}[]\".")));
    }
    Ok(written)
}

/// The message was measured for uuid.
fn unknown_type(name: &str) -> Refusal {
    Refusal::new("42704", format!("type \"{name}\" does not exist"))
}

fn decimal(cursor: &mut Cursor) -> Result<Written, Refusal> {
    let (mut precision, mut scale, mut sized) = (18, 0, false);
    if cursor.accept_token(&Token::LParen) {
        precision = cursor.number()?;
        if cursor.accept_token(&Token::Comma) {
            scale = cursor.number()?;
        }
        cursor.expect_token(&Token::RParen)?;
        sized = true;
    }
    let too_much = || Refusal::new("22023", format!("Precision exceeds maximum of {PRECISION_MAX}"));
    let precision = u8::try_from(precision).ok().filter(|p| (1..=PRECISION_MAX).contains(p)).ok_or_else(too_much)?;
    let fits = |s: &u8| *s <= SCALE_MAX.min(precision);
    let scale = u8::try_from(scale).ok().filter(fits).ok_or_else(|| {
        Refusal::new("22023", format!("NUMERIC scale {scale} must be between 0 and precision {precision}"))
    })?;
    Ok(Written { column_type: ColumnType::Decimal(precision, scale), sized })
}

fn float(cursor: &mut Cursor) -> Result<ColumnType, Refusal> {
    const SINGLE_DIGITS_MAX: i64 = 24;
    if !cursor.accept_token(&Token::LParen) {
        return Ok(ColumnType::Double);
    }
    let digits = cursor.number()?;
    cursor.expect_token(&Token::RParen)?;
    Ok(if digits <= SINGLE_DIGITS_MAX { ColumnType::Real } else { ColumnType::Double })
}

fn zone(cursor: &mut Cursor, without: ColumnType, with: ColumnType) -> Result<ColumnType, Refusal> {
    if cursor.accept("with time zone") {
        return Ok(with);
    }
    let _ = cursor.accept("without time zone");
    Ok(without)
}

fn varchar(cursor: &mut Cursor) -> Result<Written, Refusal> {
    let (bytes, sized) = length(cursor, VARCHAR_DEFAULT, VARCHAR_MAX, "character varying")?;
    Ok(Written { column_type: ColumnType::Varchar(bytes), sized })
}

fn varbyte(cursor: &mut Cursor) -> Result<Written, Refusal> {
    let (bytes, sized) = length(cursor, VARBYTE_DEFAULT, VARBYTE_MAX, "binary varying")?;
    Ok(Written { column_type: ColumnType::Varbyte(bytes), sized })
}

/// Reads `(n)` or `(MAX)`.
fn length(cursor: &mut Cursor, default: u32, max: u32, name: &str) -> Result<(u32, bool), Refusal> {
    if !cursor.accept_token(&Token::LParen) {
        return Ok((default, false));
    }
    if cursor.accept("max") {
        cursor.expect_token(&Token::RParen)?;
        return Ok((max, true));
    }
    let length = cursor.number()?;
    cursor.expect_token(&Token::RParen)?;
    let fits = |n: &u32| (1..=max).contains(n);
    let length = u32::try_from(length).ok().filter(fits).ok_or_else(|| {
        let bound = if length < 1 { "must be at least 1".to_owned() } else { format!("cannot exceed {max}") };
        Refusal::new("22023", format!("length for type {name} {bound}"))
    })?;
    Ok((length, true))
}

/// The type of a column in the private PostgreSQL.
pub(crate) fn sql_type(column_type: ColumnType) -> String {
    match column_type {
        ColumnType::Varchar(_) => "varchar".to_owned(),
        ColumnType::Varbyte(_) => "bytea".to_owned(),
        ColumnType::Super => "jsonb".to_owned(),
        other => other.to_string(),
    }
}

/// Types of parameters that Redshift knows, by PostgreSQL's number; the others do not exist.
pub(crate) fn type_name_of_oid(oid: u32) -> Option<&'static str> {
    Some(match oid {
        16 => "boolean",
        19 => "name",
        20 => "bigint",
        21 => "smallint",
        23 => "integer",
        25 | 705 => "text",
        26 => "oid",
        700 => "real",
        701 => "double precision",
        1042 => "bpchar",
        1043 => "varchar",
        1082 => "date",
        1083 => "time",
        1114 => "timestamp",
        1184 => "timestamptz",
        1266 => "timetz",
        1700 => "numeric",
        _ => return None,
    })
}
