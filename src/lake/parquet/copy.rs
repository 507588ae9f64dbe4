//! Rows as Redshift's COPY takes them.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, StringBuilder},
    datatypes::{DataType, Field, Schema},
    error::ArrowError,
};

use crate::model::{ColumnType, TableSchema};

/// The Arrow schema of a file for COPY: JSON is plain bytes, which COPY loads into VARBYTE; `JSON_PARSE` makes objects of
/// that, of documents beyond the 64 KiB of a VARCHAR too.
pub(super) fn stored(schema: &TableSchema) -> Arc<Schema> {
    bytes_for_json(schema, |_| true)
}

/// The Arrow schema with bytes in place of text for the JSON columns that `plain` names.
pub(super) fn bytes_for_json(schema: &TableSchema, plain: impl Fn(&str) -> bool) -> Arc<Schema> {
    let json = |name: &str| schema.column(name).is_some_and(|c| c.ty == ColumnType::Json);
    let arrow = schema.arrow();
    let fields = arrow.fields().iter().map(|field| {
        let bytes = json(field.name()) && plain(field.name());
        if bytes {
            Arc::new(Field::new(field.name(), DataType::Binary, field.is_nullable()))
        } else {
            Arc::clone(field)
        }
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Rows of the layout [`TableSchema::arrow`] in the layout [`stored`], without U+0000 in text: whether COPY takes a zero byte is
/// known of no case. Keys keep theirs, because two of them could become one. `changed` counts texts by column of the table.
pub(super) fn to_stored(
    batch: &RecordBatch,
    schema: &TableSchema,
    stored: &Arc<Schema>,
    changed: &mut Vec<u64>,
) -> Result<RecordBatch, ArrowError> {
    let system = batch.num_columns().saturating_sub(schema.columns.len());
    changed.resize(schema.columns.len(), 0);
    let mut columns = batch.columns().to_vec();
    for ((column, array), count) in schema.columns.iter().zip(columns.iter_mut().skip(system)).zip(changed) {
        let Some(text) = array.as_string_opt::<i32>() else { continue };
        match column.ty {
            ColumnType::Json => *array = Arc::new(BinaryArray::from(text.clone())),
            ColumnType::Text { bytes_max } if column.key.is_none() && text.value_data().contains(&0) => {
                let (cleaned, n) = without_zeros(text, bytes_max);
                *count += n;
                *array = cleaned;
            }
            _ => {}
        }
    }
    RecordBatch::try_new(Arc::clone(stored), columns)
}

/// The texts with U+FFFD in place of U+0000, or `?` where they would outgrow their type, and how many had one.
fn without_zeros(texts: &StringArray, bytes_max: Option<u32>) -> (ArrayRef, u64) {
    let mut out = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
    let mut changed = 0;
    for text in texts {
        let Some(text) = text.filter(|t| t.contains('\0')) else {
            out.append_option(text);
            continue;
        };
        changed += 1;
        let wide = text.replace('\0', "\u{fffd}");
        let fits = bytes_max.is_none_or(|max| wide.len() <= max as usize);
        out.append_value(if fits { wide } else { text.replace('\0', "?") });
    }
    (Arc::new(out.finish()), changed)
}

/// Rows as they were read, in the layout [`TableSchema::arrow`].
///
/// # Errors
/// When bytes that should be JSON are not UTF-8.
pub(super) fn from_stored(batch: RecordBatch, wanted: &Arc<Schema>) -> Result<RecordBatch, ArrowError> {
    if batch.schema_ref() == wanted {
        return Ok(batch);
    }
    let column = |(array, field): (&ArrayRef, &Arc<Field>)| -> Result<ArrayRef, ArrowError> {
        match array.as_binary_opt::<i32>().filter(|_| *field.data_type() == DataType::Utf8) {
            // Checked: what a file holds is outside input.
            Some(bytes) => Ok(Arc::new(StringArray::try_from_binary(bytes.clone())?)),
            None => Ok(Arc::clone(array)),
        }
    };
    let columns = batch.columns().iter().zip(wanted.fields()).map(column).collect::<Result<_, _>>()?;
    RecordBatch::try_new(Arc::clone(wanted), columns)
}
