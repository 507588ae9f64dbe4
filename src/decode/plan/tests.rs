#![allow(clippy::unwrap_used)]

use serde::Deserialize;

use super::*;
use crate::{
    decode::fixture::{Col, col, minimal_table_map, table_map},
    model::ColumnType,
};

fn compile(columns: &[Col], key: &[u8], declared: &Declared) -> Result<Plan, PlanError> {
    let map = TableMap::parse(&table_map(columns, key), Flavor::MySql).unwrap();
    Plan::compile(&map, declared, &Policies::default())
}

fn refusal(columns: &[Col]) -> String {
    compile(columns, &[], &Declared::default()).unwrap_err().to_string()
}

#[test]
fn minimal_metadata_is_refused_with_its_mend() {
    let map = TableMap::parse(&minimal_table_map(&[col("a", 1, &[])]), Flavor::MySql).unwrap();
    let error = Plan::compile(&map, &Declared::default(), &Policies::default()).unwrap_err().to_string();
    assert!(error.contains("SET PERSIST binlog_row_metadata = FULL"), "{error}");
}

#[test]
fn what_cannot_be_decoded_with_certainty_is_refused() {
    assert!(refusal(&[col("_TW_x", 1, &[])]).contains("reserved"));
    assert!(refusal(&[col("a", 20, &[])]).contains("type code 20"));
    assert!(refusal(&[col("a", 141, &[9, 0])]).contains("type code 141"));
    assert!(refusal(&[col("a", 18, &[7])]).contains("datetime(7)"));
    assert!(refusal(&[col("a", 246, &[66, 0])]).contains("decimal(66,0)"));
    assert!(refusal(&[col("a", 16, &[7, 9])]).contains("bit(79)"));
    assert!(refusal(&[col("a", 254, &[0xf7, 3]).labels(&["x"])]).contains("enum of 3 bytes"));
    let map = TableMap::parse(&table_map(&[col("a", 11, &[])], &[]), Flavor::MariaDb).unwrap();
    let error = Plan::compile(&map, &Declared::default(), &Policies::default()).unwrap_err();
    assert!(error.to_string().starts_with("shop.t: column a: its storage format"), "{error}");
}

#[test]
fn the_key_is_the_primary_key_in_its_own_order() {
    let columns = [col("a", 3, &[]).not_null(), col("b", 3, &[]).not_null(), col("c", 3, &[])];
    let declared = Declared { unique_key: vec!["a".to_owned()], ..Declared::default() };
    let plan = compile(&columns, &[1, 0], &declared).unwrap();
    let key: Vec<_> = plan.schema().key().iter().map(|c| c.name.clone()).collect();
    assert_eq!(key, ["b", "a"]);
    assert!(plan.schema().columns[2].nullable && !plan.schema().columns[1].nullable);
}

#[test]
fn a_unique_key_without_null_stands_in() {
    let columns = [col("a", 3, &[]).not_null(), col("b", 3, &[])];
    let with = |names: &[&str]| Declared {
        unique_key: names.iter().map(|n| (*n).to_owned()).collect(),
        ..Declared::default()
    };
    assert!(compile(&columns, &[], &with(&["a"])).unwrap().has_key());
    // Nullable, or not in this shape of the table.
    for names in [&["b"][..], &["a", "b"], &["a", "gone"], &[]] {
        assert!(!compile(&columns, &[], &with(names)).unwrap().has_key(), "{names:?}");
    }
}

#[test]
fn hidden_columns_are_skipped() {
    let columns = [col("id", 3, &[]).not_null(), col("DB_ROW_HASH_1", 8, &[]).unsigned(), col("v", 1, &[])];
    let map = TableMap::parse(&table_map(&columns, &[0]), Flavor::MariaDb).unwrap();
    let plan = Plan::compile(&map, &Declared::default(), &Policies::default()).unwrap();
    let names: Vec<_> = plan.schema().columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!((names.as_slice(), plan.ops.len()), (&["id", "v"][..], 3));
}

#[test]
fn ops_stay_small() {
    // The operations of a table are walked for every row: they should stay in the first-level cache.
    assert!(size_of::<ColumnOp>() <= 24, "{}", size_of::<ColumnOp>());
}

#[derive(Deserialize)]
struct Types {
    #[serde(rename = "type")]
    types: Vec<Type>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Type {
    mysql: String,
    #[serde(default)]
    boolean: bool,
    wire: Wire,
    neutral: String,
    arrow: String,
    #[serde(rename = "parquet")]
    _parquet: String,
    redshift: String,
    postgres: String,
    sqlite: String,
    extremes: Vec<String>,
    #[serde(default, rename = "notes")]
    _notes: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    code: u8,
    #[serde(default)]
    metadata: Vec<u8>,
    #[serde(default)]
    unsigned: bool,
    collation: Option<u8>,
    #[serde(default)]
    labels: Vec<String>,
    dimensions: Option<u8>,
}

fn neutral(ty: ColumnType) -> String {
    let sized = |name: &str, bytes: Option<u32>| bytes.map_or_else(|| name.to_owned(), |n| format!("{name}({n})"));
    match ty {
        ColumnType::Boolean => "boolean".to_owned(),
        ColumnType::Int16 => "int16".to_owned(),
        ColumnType::Int32 => "int32".to_owned(),
        ColumnType::Int64 => "int64".to_owned(),
        ColumnType::Float32 => "float32".to_owned(),
        ColumnType::Float64 => "float64".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        ColumnType::Date => "date".to_owned(),
        ColumnType::Timestamp => "timestamp".to_owned(),
        ColumnType::TimestampTz => "timestamptz".to_owned(),
        ColumnType::Text { bytes_max } => sized("text", bytes_max),
        ColumnType::Json => "json".to_owned(),
        ColumnType::Binary { bytes_max } => sized("binary", bytes_max),
    }
}

#[test]
fn the_table_of_types_says_what_plans_do() {
    let types: Types = toml::from_str(include_str!("../../../schemas/types.toml")).unwrap();
    let mut wrong = Vec::new();
    for ty in &types.types {
        let column = Col {
            name: "c".to_owned(),
            code: ty.wire.code,
            metadata: ty.wire.metadata.clone(),
            unsigned: ty.wire.unsigned,
            nullable: true,
            collation: ty.wire.collation,
            labels: ty.wire.labels.clone(),
            dimensions: ty.wire.dimensions,
        };
        let booleans = ty.boolean.then(|| "c".to_owned()).into_iter().collect();
        let plan = compile(&[column], &[], &Declared { booleans, ..Declared::default() }).unwrap();
        let made = plan.schema().columns[0].ty;
        if (neutral(made), made.arrow().to_string()) != (ty.neutral.clone(), ty.arrow.clone()) {
            wrong.push(format!("{}: {} {}", ty.mysql, neutral(made), made.arrow()));
        }
        assert!(!ty.extremes.is_empty() && [&ty.redshift, &ty.postgres, &ty.sqlite].iter().all(|t| !t.is_empty()));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
