//! Rows as the Data API gives them.

use serde_json::{Value, json};

use crate::session::{Field, Rows};

/// Rows of one page. The service cuts by bytes; a client must follow `NextToken` either way.
pub(super) const PAGE_ROWS: usize = 1000;

/// One page of a result.
pub(super) fn page(rows: &Rows, from: usize) -> Value {
    let records: Vec<Value> =
        rows.rows.iter().skip(from).take(PAGE_ROWS).map(|row| record(&rows.fields, row)).collect();
    let columns: Vec<Value> = rows.fields.iter().map(column).collect();
    let mut page = json!({ "Records": records, "ColumnMetadata": columns, "TotalNumRows": rows.rows.len() });
    let next = from + PAGE_ROWS;
    if next < rows.rows.len() {
        page["NextToken"] = next.to_string().into();
    }
    page
}

/// Bytes of the values of a result.
pub(super) fn bytes(rows: &Rows) -> usize {
    rows.rows.iter().flatten().flatten().map(String::len).sum()
}

fn record(fields: &[Field], row: &[Option<String>]) -> Value {
    fields.iter().zip(row).map(|(field, value)| cell(field.type_oid, value.as_deref())).collect()
}

fn cell(type_oid: u32, value: Option<&str>) -> Value {
    let Some(value) = value else { return json!({ "isNull": true }) };
    let text = || json!({ "stringValue": value });
    match type_oid {
        oid::BOOL => json!({ "booleanValue": matches!(value, "t" | "true") }),
        oid::INT2 | oid::INT4 | oid::INT8 | oid::OID => {
            value.parse::<i64>().map_or_else(|_| text(), |number| json!({ "longValue": number }))
        }
        oid::FLOAT4 | oid::FLOAT8 => match value.parse::<f64>() {
            Ok(number) if number.is_finite() => json!({ "doubleValue": number }),
            _ => text(),
        },
        _ => text(),
    }
}

fn column(field: &Field) -> Value {
    json!({
        "name": field.name,
        "label": field.name,
        "typeName": type_name(field.type_oid),
        "isCaseSensitive": matches!(field.type_oid, oid::VARCHAR | oid::BPCHAR | oid::TEXT),
        "isCurrency": false,
        "isSigned": matches!(field.type_oid, oid::INT2 | oid::INT4 | oid::INT8 | oid::FLOAT4 | oid::FLOAT8 | oid::NUMERIC),
        "nullable": 1,
        "precision": 0,
        "scale": 0,
        "length": 0,
    })
}

fn type_name(type_oid: u32) -> &'static str {
    match type_oid {
        oid::BOOL => "bool",
        oid::INT2 => "int2",
        oid::INT4 => "int4",
        oid::INT8 => "int8",
        oid::OID => "oid",
        oid::FLOAT4 => "float4",
        oid::FLOAT8 => "float8",
        oid::NUMERIC => "numeric",
        oid::BPCHAR => "bpchar",
        oid::NAME => "name",
        oid::TEXT => "text",
        oid::DATE => "date",
        oid::TIMESTAMP => "timestamp",
        oid::TIMESTAMPTZ => "timestamptz",
        oid::SUPER => "super",
        oid::VARBYTE => "varbyte",
        _ => "varchar",
    }
}

/// Numbers of types.
mod oid {
    pub(super) const BOOL: u32 = 16;
    pub(super) const NAME: u32 = 19;
    pub(super) const INT8: u32 = 20;
    pub(super) const INT2: u32 = 21;
    pub(super) const INT4: u32 = 23;
    pub(super) const TEXT: u32 = 25;
    pub(super) const OID: u32 = 26;
    pub(super) const FLOAT4: u32 = 700;
    pub(super) const FLOAT8: u32 = 701;
    pub(super) const BPCHAR: u32 = 1042;
    pub(super) const VARCHAR: u32 = 1043;
    pub(super) const DATE: u32 = 1082;
    pub(super) const TIMESTAMP: u32 = 1114;
    pub(super) const TIMESTAMPTZ: u32 = 1184;
    pub(super) const NUMERIC: u32 = 1700;
    pub(super) const SUPER: u32 = 4000;
    pub(super) const VARBYTE: u32 = 6551;
}
