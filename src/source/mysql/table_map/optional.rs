//! Optional metadata of a TABLE_MAP: type, length, value fields behind the null bits.
//!
//! Every field lists only the columns it concerns, by counting; [`MysqlType`] says who is counted.

use super::super::cursor::{Cursor, Short};
use super::{ColumnMap, Flavor, MysqlType, PrimaryKeyPart, TableMapError, within};

const SIGNEDNESS: u8 = 1;
const DEFAULT_CHARSET: u8 = 2;
const COLUMN_CHARSET: u8 = 3;
const COLUMN_NAME: u8 = 4;
const SET_LABELS: u8 = 5;
const ENUM_LABELS: u8 = 6;
const GEOMETRY_TYPE: u8 = 7;
const PRIMARY_KEY: u8 = 8;
const PRIMARY_KEY_PREFIXED: u8 = 9;
const LABEL_DEFAULT_CHARSET: u8 = 10;
const LABEL_CHARSET: u8 = 11;
const VISIBILITY: u8 = 12;
const VECTOR_DIMENSIONS: u8 = 13;

/// What the fields say beside what they fill into the columns.
pub(super) struct Optional {
    pub(super) named: bool,
    pub(super) primary_key: Vec<PrimaryKeyPart>,
}

/// Reads all fields. Unknown ones are skipped: servers add fields that say more, never ones that change the others.
pub(super) fn read(
    mut cursor: Cursor<'_>,
    columns: &mut [ColumnMap],
    flavor: Flavor,
) -> Result<Optional, TableMapError> {
    let mut optional = Optional { named: false, primary_key: Vec::new() };
    while !cursor.is_empty() {
        let short = within("the optional metadata");
        let field = cursor.u8().map_err(&short)?;
        let mut value = Cursor::new(cursor.lenenc_bytes().map_err(&short)?);
        match field {
            PRIMARY_KEY | PRIMARY_KEY_PREFIXED => {
                optional.primary_key = key(value, field == PRIMARY_KEY_PREFIXED, columns.len())?;
            }
            COLUMN_NAME => {
                names(&mut value, columns)?;
                optional.named = true;
            }
            _ => fill(field, &mut value, columns, flavor).map_err(&short)?,
        }
    }
    Ok(optional)
}

/// Fields that fill something into the columns they count.
fn fill(field: u8, value: &mut Cursor<'_>, columns: &mut [ColumnMap], flavor: Flavor) -> Result<(), Short> {
    let texts = |c: &ColumnMap| c.kind.has_charset(flavor);
    let labelled = |c: &ColumnMap| c.kind.has_labels();
    match field {
        SIGNEDNESS => bits(value, columns, |c| c.kind.has_sign(), |c, set| c.unsigned = set),
        VISIBILITY => bits(value, columns, |_| true, |c, set| c.visible = set),
        DEFAULT_CHARSET => default_collation(value, columns, texts),
        COLUMN_CHARSET => numbers(value, columns, texts, |c, id| c.collation = u16::try_from(id).ok()),
        LABEL_DEFAULT_CHARSET => default_collation(value, columns, labelled),
        LABEL_CHARSET => numbers(value, columns, labelled, |c, id| c.collation = u16::try_from(id).ok()),
        ENUM_LABELS => labels(value, columns, |c| matches!(c.kind, MysqlType::Enum { .. })),
        SET_LABELS => labels(value, columns, |c| matches!(c.kind, MysqlType::Set { .. })),
        GEOMETRY_TYPE => numbers(value, columns, is_geometry, |c, n| c.geometry = Some(n)),
        VECTOR_DIMENSIONS => numbers(value, columns, is_vector, |c, n| c.dimensions = Some(n)),
        _ => Ok(()),
    }
}

fn is_geometry(column: &ColumnMap) -> bool {
    matches!(column.kind, MysqlType::Geometry { .. })
}

fn is_vector(column: &ColumnMap) -> bool {
    matches!(column.kind, MysqlType::Vector { .. })
}

/// One bit per counted column, most significant first.
fn bits(
    value: &mut Cursor<'_>,
    columns: &mut [ColumnMap],
    counted: impl Fn(&ColumnMap) -> bool,
    set: impl Fn(&mut ColumnMap, bool),
) -> Result<(), Short> {
    let bytes = value.rest();
    for (index, column) in columns.iter_mut().filter(|c| counted(c)).enumerate() {
        let byte = bytes.get(index / 8).ok_or(Short)?;
        set(column, byte << (index % 8) & 0x80 != 0);
    }
    Ok(())
}

/// One packed number per counted column.
fn numbers(
    value: &mut Cursor<'_>,
    columns: &mut [ColumnMap],
    counted: impl Fn(&ColumnMap) -> bool,
    set: impl Fn(&mut ColumnMap, u64),
) -> Result<(), Short> {
    for column in columns.iter_mut().filter(|c| counted(c)) {
        set(column, value.lenenc()?);
    }
    Ok(())
}

/// A collation for all counted columns, then pairs (index among the counted, collation) for the exceptions.
fn default_collation(
    value: &mut Cursor<'_>,
    columns: &mut [ColumnMap],
    counted: impl Fn(&ColumnMap) -> bool,
) -> Result<(), Short> {
    let default = u16::try_from(value.lenenc()?).ok();
    let mut counted: Vec<&mut ColumnMap> = columns.iter_mut().filter(|c| counted(c)).collect();
    for column in &mut counted {
        column.collation = default;
    }
    while !value.is_empty() {
        let (index, collation) = (value.lenenc_usize()?, value.lenenc()?);
        counted.get_mut(index).ok_or(Short)?.collation = u16::try_from(collation).ok();
    }
    Ok(())
}

/// A count and that many strings per counted column.
fn labels(
    value: &mut Cursor<'_>,
    columns: &mut [ColumnMap],
    counted: impl Fn(&ColumnMap) -> bool,
) -> Result<(), Short> {
    for column in columns.iter_mut().filter(|c| counted(c)) {
        let count = value.lenenc_usize()?;
        // Every label takes at least its length byte, which bounds the allocation by the event.
        if count > value.rest().len() {
            return Err(Short);
        }
        column.labels = (0..count).map(|_| value.lenenc_bytes().map(<[u8]>::to_vec)).collect::<Result<_, _>>()?;
    }
    Ok(())
}

/// A name per column.
fn names(value: &mut Cursor<'_>, columns: &mut [ColumnMap]) -> Result<(), TableMapError> {
    for column in columns {
        let name = value.lenenc_bytes().map_err(within("the column names"))?;
        column.name = Some(std::str::from_utf8(name).map_err(|_| TableMapError::Name("column"))?.to_owned());
    }
    Ok(())
}

/// Column indexes in key order, each with a prefix length in the second form.
fn key(mut value: Cursor<'_>, prefixed: bool, columns: usize) -> Result<Vec<PrimaryKeyPart>, TableMapError> {
    let short = within("the primary key");
    let mut key: Vec<PrimaryKeyPart> = Vec::new();
    while !value.is_empty() {
        let column = value.lenenc_usize().map_err(&short)?;
        let prefix = if prefixed { value.lenenc().map_err(&short)? } else { 0 };
        if column >= columns || key.iter().any(|part| part.column == column) {
            return Err(TableMapError::Corrupt("primary key names a column that is not there, or one twice"));
        }
        key.push(PrimaryKeyPart { column, prefix });
    }
    Ok(key)
}
