//! Encoding rows.

use std::sync::Arc;

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Int64Type, TimestampMicrosecondType},
};
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties, WriterVersion},
    schema::types::ColumnPath,
};

use super::{ParquetError, copy, repeats};
use crate::lake::ObjectPath;
use crate::model::{ColumnBounds, ColumnType, FileStep, Op, OpCounts, Origin, Seq, TableSchema, Target, table::system};

/// Most rows of a row group.
const GROUP_ROWS_MAX: usize = 1_000_000;

/// Encoded size at which a row group ends: bounds what a reader and this encoder hold.
const GROUP_BYTES_MAX: usize = 64 << 20;

/// Size at which a column gives its dictionary up. Small, because a column that needs more is not repetitive and
/// hashing its values is the most expensive part of encoding.
const DICTIONARY_BYTES_MAX: usize = 256 << 10;

/// Encoded size at which a page ends. The encoder copies a page several times on its way; pages of this size stay in the second-level
/// cache meanwhile, and their memory serves the next ones instead of going back to the system. zstd takes its parameters for small
/// inputs (up to 256 KiB), which make files smaller for a little more work.
const PAGE_BYTES: usize = 128 << 10;

/// Text declared longer than this is prose, not a category: no dictionary is tried.
const CATEGORY_BYTES_MAX: u32 = 1024;

/// Room for what stands behind the rows of a file: the description of its columns.
const FOOTER_BYTES: usize = 16 << 10;

/// How pages are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// zstd level 1: half the size of Snappy, and faster with real rows.
    #[default]
    Zstd,
    /// Snappy: proven with Redshift's COPY.
    Snappy,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// How pages are compressed.
    pub codec: Codec,
    /// Redshift's COPY is to read the file: JSON as plain bytes, no U+0000 in text.
    pub for_copy: bool,
}

/// A file and what its entry says about it.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The file.
    pub content: Bytes,
    /// Rows in it.
    pub rows: u64,
    /// Rows by operation.
    pub ops: OpCounts,
    /// Least and greatest `_tw_seq`.
    pub seqs: (Seq, Seq),
    /// Earliest and latest `_tw_committed_at`.
    pub committed_at: (i64, i64),
    /// Texts from which U+0000 was removed, by column of the table; empty where none was.
    pub replaced_zero_bytes: Vec<u64>,
}

impl Encoded {
    /// The step that names the file, once it lies at `path`.
    pub fn step(
        &self,
        origin: &Origin,
        target: &Target,
        path: &ObjectPath,
        schema: &TableSchema,
        net: bool,
        partition: Option<ColumnBounds>,
    ) -> FileStep {
        FileStep {
            origin: origin.clone(),
            target: target.clone(),
            path: path.as_str().to_owned(),
            rows: self.rows,
            bytes: self.content.len() as u64,
            ops: self.ops,
            schema: schema.id(),
            seqs: self.seqs,
            committed_at: self.committed_at,
            net,
            partition,
        }
    }
}

/// Encodes rows of one origin into one file. Batches have the layout of [`TableSchema::arrow`], system columns included.
///
/// # Errors
/// [`ParquetError::Rows`] when there is no row, or one that does not belong here.
pub fn encode(
    origin: &Origin,
    schema: &TableSchema,
    form: Form,
    batches: impl IntoIterator<Item = RecordBatch>,
) -> Result<Encoded, ParquetError> {
    let arrow = schema.arrow();
    let stored = if form.for_copy { copy::stored(schema) } else { Arc::clone(&arrow) };
    let failed = |source| ParquetError::Encode { origin: origin.clone(), source };
    // The Arrow schema in the footer would only repeat what the reader takes from the lake's own schema.
    let mut batches = batches.into_iter().peekable();
    let properties = properties(schema, form.codec, batches.peek());
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&stored), options).map_err(failed)?;
    let mut tally = Tally::new(origin);
    let mut replaced_zero_bytes = Vec::new();
    for batch in batches {
        if batch.schema_ref().fields() != arrow.fields() {
            return Err(tally.misfit("the columns of a batch differ from the schema's"));
        }
        tally.count(&batch)?;
        if form.for_copy {
            let batch = copy::to_stored(&batch, schema, &stored, &mut replaced_zero_bytes);
            writer.write(&batch.map_err(|e| failed(e.into()))?).map_err(failed)?;
        } else {
            writer.write(&batch).map_err(failed)?;
        }
    }
    if tally.rows == 0 {
        return Err(tally.misfit("there is no row"));
    }
    // At once, because growing by doubling copies what is there each time.
    let size = writer.in_progress_size() + FOOTER_BYTES;
    writer.inner_mut().reserve(size);
    let content = Bytes::from(writer.into_inner().map_err(failed)?);
    let Tally { rows, ops, seqs, committed_at, .. } = tally;
    Ok(Encoded { content, rows, ops, seqs, committed_at, replaced_zero_bytes })
}

/// What is counted while rows pass.
struct Tally<'a> {
    origin: &'a Origin,
    origin_text: String,
    rows: u64,
    ops: OpCounts,
    seqs: (Seq, Seq),
    committed_at: (i64, i64),
}

impl<'a> Tally<'a> {
    fn new(origin: &'a Origin) -> Self {
        Self {
            origin,
            origin_text: origin.to_string(),
            rows: 0,
            ops: OpCounts::default(),
            seqs: (Seq(i64::MAX), Seq(i64::MIN)),
            committed_at: (i64::MAX, i64::MIN),
        }
    }

    fn misfit(&self, problem: &str) -> ParquetError {
        ParquetError::Rows { origin: self.origin.clone(), problem: problem.to_owned() }
    }

    fn count(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        // Types were compared with the schema before; names are found again rather than assumed.
        let column = |name| batch.column_by_name(name).ok_or_else(|| self.misfit("a system column is missing"));
        let (origins, ops) =
            (column(system::ORIGIN)?.as_string_opt::<i32>(), column(system::OP)?.as_string_opt::<i32>());
        let seqs = column(system::SEQ)?.as_primitive_opt::<Int64Type>();
        let times = column(system::COMMITTED_AT)?.as_primitive_opt::<TimestampMicrosecondType>();
        let (Some(origins), Some(ops), Some(seqs), Some(times)) = (origins, ops, seqs, times) else {
            return Err(self.misfit("a system column has another type"));
        };
        if origins.iter().any(|o| o != Some(self.origin_text.as_str())) {
            return Err(self.misfit("a row belongs to another origin"));
        }
        for op in ops {
            let op = op.and_then(op_of).ok_or_else(|| self.misfit("a row has an unknown operation"))?;
            self.ops.count(op);
        }
        for seq in seqs.values() {
            self.seqs = (self.seqs.0.min(Seq(*seq)), self.seqs.1.max(Seq(*seq)));
        }
        for time in times.values() {
            self.committed_at = (self.committed_at.0.min(*time), self.committed_at.1.max(*time));
        }
        self.rows += seqs.len() as u64;
        Ok(())
    }
}

fn op_of(text: &str) -> Option<Op> {
    [Op::Insert, Op::Update, Op::Delete, Op::Snapshot].into_iter().find(|op| op.as_str() == text)
}

fn properties(schema: &TableSchema, codec: Codec, first: Option<&RecordBatch>) -> WriterProperties {
    let builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(format!("tailwater {}", env!("CARGO_PKG_VERSION")))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
        .set_max_row_group_bytes(Some(GROUP_BYTES_MAX))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
        .set_column_dictionary_enabled(ColumnPath::from(system::SEQ), false);
    let builder = match codec {
        Codec::Zstd => {
            builder.set_compression(Compression::ZSTD(ZstdLevel::default())).set_data_page_size_limit(PAGE_BYTES)
        }
        Codec::Snappy => builder.set_compression(Compression::SNAPPY),
    };
    let seen = |name| first.and_then(|rows| rows.column_by_name(name)).is_none_or(|c| repeats::seen_in(c));
    let columns = schema.columns.iter().map(|column| {
        let dictionary = column.key.is_none() && may_repeat(column.ty) && seen(&column.name);
        (ColumnPath::new(vec![column.name.clone()]), dictionary)
    });
    columns.fold(builder, |builder, (path, tried)| builder.set_column_dictionary_enabled(path, tried)).build()
}

/// Whether values of the type tend to repeat within a file, so that a dictionary is worth trying.
fn may_repeat(ty: ColumnType) -> bool {
    match ty {
        ColumnType::Boolean | ColumnType::Float32 | ColumnType::Float64 => false,
        ColumnType::Json | ColumnType::Binary { .. } => false,
        ColumnType::Text { bytes_max } => bytes_max.is_some_and(|n| n <= CATEGORY_BYTES_MAX),
        ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 | ColumnType::Decimal { .. } => true,
        ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampTz => true,
    }
}
