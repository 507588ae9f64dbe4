//! Every type of `schemas/types.toml` in a file made for Redshift's COPY, by its footer.

use ::parquet::{
    basic::{LogicalType, TimeUnit, Type},
    column::page::Page,
    schema::types::ColumnDescriptor,
};
use serde::Deserialize;

use super::*;
use crate::{
    decode::{
        Declared, Plan, Policies,
        fixture::{Col, table_map},
    },
    source::mysql::table_map::{Flavor, TableMap},
};

#[derive(Deserialize)]
struct Types {
    #[serde(rename = "type")]
    types: Vec<Declaration>,
}

#[derive(Deserialize)]
struct Declaration {
    mysql: String,
    #[serde(default)]
    boolean: bool,
    wire: Wire,
    parquet: String,
    redshift: String,
}

#[derive(Deserialize)]
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

fn declarations() -> Vec<Declaration> {
    toml::from_str::<Types>(include_str!("../../../../schemas/types.toml")).unwrap().types
}

/// What the decoder makes of a table with one column of every type.
fn schema_of(types: &[Declaration]) -> TableSchema {
    let columns: Vec<Col> = types
        .iter()
        .enumerate()
        .map(|(i, ty)| Col {
            name: format!("c{i}"),
            code: ty.wire.code,
            metadata: ty.wire.metadata.clone(),
            unsigned: ty.wire.unsigned,
            nullable: true,
            collation: ty.wire.collation,
            labels: ty.wire.labels.clone(),
            dimensions: ty.wire.dimensions,
        })
        .collect();
    let map = TableMap::parse(&table_map(&columns, &[]), Flavor::MySql).unwrap();
    let booleans = types.iter().enumerate().filter(|(_, ty)| ty.boolean).map(|(i, _)| format!("c{i}")).collect();
    let declared = Declared { booleans, ..Declared::default() };
    let plan = Plan::compile(&map, &declared, &Policies::default()).unwrap();
    TableSchema { columns: plan.schema().columns.clone() }
}

/// The form that `schemas/types.toml` uses.
fn words(column: &ColumnDescriptor) -> String {
    let physical = match column.physical_type() {
        Type::FIXED_LEN_BYTE_ARRAY => format!("FIXED_LEN_BYTE_ARRAY({})", column.type_length()),
        other => other.to_string(),
    };
    let logical = match column.logical_type_ref() {
        None => return physical,
        Some(LogicalType::String) => "STRING".to_owned(),
        Some(LogicalType::Date) => "DATE".to_owned(),
        Some(LogicalType::Integer(int)) => format!("INTEGER({},{})", int.bit_width, int.is_signed),
        Some(LogicalType::Decimal(decimal)) => format!("DECIMAL({},{})", decimal.precision, decimal.scale),
        Some(LogicalType::Timestamp(stamp)) if stamp.unit == TimeUnit::MICROS => {
            format!("TIMESTAMP(MICROS,{})", stamp.is_adjusted_to_u_t_c)
        }
        Some(other) => format!("{other:?}"),
    };
    format!("{physical} {logical}")
}

/// The Parquet columns of a file with one column of every type, behind the system columns.
fn footers(types: &[Declaration], for_copy: bool) -> Vec<String> {
    let schema = schema_of(types);
    let rows = batch(&schema, 200, 1, &mut StdRng::seed_from_u64(8));
    let form = Form { codec: Codec::Snappy, for_copy };
    let encoded = encode(&origin(), &schema, form, [rows]).unwrap();
    let reader = SerializedFileReader::new(encoded.content).unwrap();
    let file = reader.metadata().file_metadata();
    assert_eq!(file.version(), 1);
    for (i, group) in reader.metadata().row_groups().iter().enumerate() {
        for (c, column) in group.columns().iter().enumerate() {
            assert!(column.offset_index_offset().is_none() && column.column_index_offset().is_none());
            assert!(column.bloom_filter_offset().is_none());
            for page in reader.get_row_group(i).unwrap().get_column_page_reader(c).unwrap() {
                let (encoding, levels) = match page.unwrap() {
                    Page::DataPage { encoding, def_level_encoding, .. } => (encoding, def_level_encoding),
                    Page::DictionaryPage { encoding, .. } => (encoding, Encoding::RLE),
                    Page::DataPageV2 { .. } => panic!("{} has pages of version 2", column.column_path()),
                };
                assert!(matches!(encoding, Encoding::PLAIN | Encoding::RLE_DICTIONARY), "{encoding}");
                assert_eq!(levels, Encoding::RLE);
            }
        }
    }
    file.schema_descr().columns().iter().skip(4).map(|c| words(c)).collect()
}

#[test]
fn every_type_is_in_files_as_the_table_of_types_says() {
    let types = declarations();
    for for_copy in [false, true] {
        let found = footers(&types, for_copy);
        assert_eq!(found.len(), types.len());
        for (ty, found) in types.iter().zip(found) {
            // SUPER is parsed from bytes; text would become a string in it.
            let json = for_copy && ty.redshift == "SUPER";
            let wanted = if json { "BYTE_ARRAY" } else { ty.parquet.as_str() };
            assert_eq!(found, wanted, "{} for_copy={for_copy}", ty.mysql);
        }
    }
}

/// What is known to load into a column of Redshift: nothing else may be in a file. SUPER is staged as VARBYTE.
fn loads(redshift: &str, parquet: &str) -> bool {
    let (name, size) = redshift.trim_end_matches(')').split_once('(').unwrap_or((redshift, ""));
    let number = |s: &str| s.parse::<u32>().unwrap_or_default();
    match name {
        "SMALLINT" => parquet == "INT32 INTEGER(16,true)",
        "INTEGER" => parquet == "INT32",
        "BIGINT" => parquet == "INT64",
        "REAL" => parquet == "FLOAT",
        "DOUBLE PRECISION" => parquet == "DOUBLE",
        "BOOLEAN" => parquet == "BOOLEAN",
        "DATE" => parquet == "INT32 DATE",
        "TIMESTAMP" => parquet == "INT64 TIMESTAMP(MICROS,false)",
        "TIMESTAMPTZ" => parquet == "INT64 TIMESTAMP(MICROS,true)",
        "DECIMAL" => {
            let (precision, scale) = size.split_once(',').map_or((0, 0), |(p, s)| (number(p), number(s)));
            let physical = parquet.split(' ').next().unwrap_or_default();
            parquet.ends_with(&format!(" DECIMAL({precision},{scale})"))
                && match precision {
                    10..=18 => physical == "INT64",
                    20..=38 => physical.starts_with("FIXED_LEN_BYTE_ARRAY("),
                    _ => false,
                }
        }
        "VARCHAR" => parquet == "BYTE_ARRAY STRING" && (1..=65_535).contains(&number(size)),
        "VARBYTE" => parquet == "BYTE_ARRAY" && (1..=16_777_216).contains(&number(size)),
        "SUPER" => parquet == "BYTE_ARRAY",
        _ => false,
    }
}

#[test]
fn every_type_is_one_that_copy_takes() {
    let types = declarations();
    let found = footers(&types, true);
    let refused: Vec<String> = types
        .iter()
        .zip(found)
        .filter(|(ty, found)| !loads(&ty.redshift, found))
        .map(|(ty, found)| format!("{}: {found} into {}", ty.mysql, ty.redshift))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}
