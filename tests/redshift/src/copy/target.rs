//! Which columns of the table a COPY fills.

use sqlx::PgConnection;

use super::parquet::Target;
use super::statement::Statement;
use crate::catalog::{Column, Table};
use crate::{ColumnType, Refusal};

/// The columns, in the order of the list or of the table.
pub(super) fn columns<'t>(statement: &Statement, table: &'t Table) -> Result<Vec<&'t Column>, Refusal> {
    let Some(list) = &statement.columns else {
        // Without a list it is every column, but identities only where the files have them.
        return Ok(table.columns.iter().filter(|column| statement.explicit_ids || !column.identity).collect());
    };
    let mut columns: Vec<&Column> = Vec::with_capacity(list.len());
    for name in list {
        let Some(column) = table.columns.iter().find(|column| column.name == *name) else {
            let text = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
            return Err(Refusal::new("42703", text));
        };
        if columns.iter().any(|taken| taken.name == *name) {
            return Err(Refusal::new("42701", format!("column \"{name}\" specified more than once")));
        }
        columns.push(column);
    }
    let identity = columns.iter().find(|column| column.identity);
    match (identity, statement.explicit_ids) {
        (Some(identity), false) => {
            let text = format!("cannot copy to IDENTITY column \"{}\" without EXPLICIT_IDS", identity.name);
            Err(Refusal::new("0A000", text))
        }
        (None, true) => Err(Refusal::new("0A000", "EXPLICIT_IDS needs the IDENTITY column in the column list")),
        _ => Ok(columns),
    }
}

/// A column left out must have something to take.
pub(super) fn omitted_null<'t>(columns: &[&Column], table: &'t Table) -> Option<&'t Column> {
    table.columns.iter().find(|column| {
        let given = columns.iter().any(|given| given.name == column.name);
        !given && !column.nullable && column.default.is_none() && !column.identity
    })
}

/// The columns as the loader sees them.
pub(super) async fn targets(connection: &mut PgConnection, columns: &[&Column]) -> Result<Vec<Target>, Refusal> {
    let mut targets = Vec::with_capacity(columns.len());
    for column in columns {
        let default = match &column.default {
            Some(default) if !column.nullable => Some(default_field(connection, column, default).await?),
            _ => None,
        };
        let (name, column_type) = (column.name.clone(), column.column_type);
        targets.push(Target { name, column_type, nullable: column.nullable, default });
    }
    Ok(targets)
}

/// The value of a default, as a field of binary COPY. It is the same for all rows of a statement, as Redshift's.
async fn default_field(connection: &mut PgConnection, column: &Column, default: &str) -> Result<Vec<u8>, Refusal> {
    let (send, ty) = match column.column_type {
        ColumnType::SmallInt => ("int2send", "int2".to_owned()),
        ColumnType::Integer => ("int4send", "int4".to_owned()),
        ColumnType::BigInt => ("int8send", "int8".to_owned()),
        ColumnType::Decimal(p, s) => ("numeric_send", format!("numeric({p},{s})")),
        ColumnType::Real => ("float4send", "float4".to_owned()),
        ColumnType::Double => ("float8send", "float8".to_owned()),
        ColumnType::Boolean => ("boolsend", "bool".to_owned()),
        ColumnType::Date => ("date_send", "date".to_owned()),
        ColumnType::Timestamp => ("timestamp_send", "timestamp".to_owned()),
        ColumnType::TimestampTz => ("timestamptz_send", "timestamptz".to_owned()),
        ColumnType::Time => ("time_send", "time".to_owned()),
        ColumnType::TimeTz => ("timetz_send", "timetz".to_owned()),
        ColumnType::Char(_) | ColumnType::Varchar(_) => ("textsend", "text".to_owned()),
        ColumnType::Varbyte(_) => ("byteasend", "bytea".to_owned()),
        ColumnType::Super => ("jsonb_send", "jsonb".to_owned()),
    };
    let statement = format!("SELECT {send}(CAST(({default}) AS {ty}))");
    let bytes: Option<Vec<u8>> =
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).persistent(false).fetch_one(connection).await.map_err(
            |error| Refusal::new("XX000", format!("the default of column \"{}\" has no value: {error}", column.name)),
        )?;
    let mut field = Vec::new();
    match bytes {
        None => field.extend((-1_i32).to_be_bytes()),
        Some(bytes) => {
            field.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            field.extend(bytes);
        }
    }
    Ok(field)
}
