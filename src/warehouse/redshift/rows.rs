//! Small deltas as INSERT: a COPY takes a second and a half whatever it loads.

use futures::TryStreamExt;

use crate::{
    model::Target,
    warehouse::{
        ReadFiles, StagedFile, WarehouseError,
        cell::{Cell, Cells, SystemCells},
        plan::Layout,
        stage::Cast,
    },
};

use super::{
    script::Sql,
    sql::{
        stage::{FileColumn, insert_rows},
        text_literal,
    },
    types,
};

/// Most statements: what a table takes besides must fit the Data API's batch with them.
const STATEMENTS_MAX: usize = 16;
/// Most bytes of rows that are sent so; more goes by COPY, which is made for it.
const TEXT_BYTES_MAX: usize = 8 << 20;

/// The rows of the files as INSERT statements of at most `statement_bytes`; `None` when a value has no literal that is known
/// to work or there is too much text.
///
/// # Errors
/// [`Table`](WarehouseError::Table) for a damaged file, a wrong count or a value out of range; what the reader says.
pub(crate) async fn inserts(
    layout: &Layout,
    stage: &str,
    files: &[(&StagedFile, Vec<(String, Cast)>)],
    reader: &dyn ReadFiles,
    statement_bytes: usize,
) -> Result<Option<Vec<Sql>>, WarehouseError> {
    let mut writer = Writer { stage, statements: Vec::new(), rows: String::new(), statement_bytes, bytes: 0 };
    for (file, casts) in files {
        let refuse = |why: String| WarehouseError::table(&layout.target, format!("{}: {why}", file.path));
        let columns: Vec<FileColumn> = casts.iter().map(|(name, cast)| (name.clone(), cast.to)).collect();
        let mut batches = reader.open(file).await.map_err(|e| e.of_table(&layout.target))?;
        let mut rows = 0;
        while let Some(batch) = batches.try_next().await.map_err(|e| e.of_table(&layout.target))? {
            let system = SystemCells::of(&batch).map_err(refuse)?;
            let cells: Vec<Cells<'_>> =
                casts.iter().map(|(n, c)| Cells::of(&batch, n, *c)).collect::<Result<_, _>>().map_err(refuse)?;
            for row in 0..batch.num_rows() {
                let Some(mut text) = fixed(&system, row) else { return Ok(None) };
                for ((name, cast), cells) in casts.iter().zip(&cells) {
                    let cell = value(&layout.target, file, (name, *cast), cells.get(row), system.seq.value(row))?;
                    let Some(literal) = types::value(cell, cast.to) else { return Ok(None) };
                    text.push_str(", ");
                    text.push_str(&literal);
                }
                if !writer.push(&columns, &text) {
                    return Ok(None);
                }
                rows += 1;
            }
        }
        if rows != file.rows {
            return Err(refuse(format!("{rows} rows were read and the log names {}", file.rows)));
        }
        writer.end(&columns);
    }
    if writer.statements.len() > STATEMENTS_MAX {
        return Ok(None);
    }
    Ok(Some(writer.statements))
}

fn value<'a>(
    target: &Target,
    file: &StagedFile,
    (name, cast): (&str, Cast),
    cell: Option<Cell<'a>>,
    seq: i64,
) -> Result<Cell<'a>, WarehouseError> {
    let unfit = |why: &str| {
        let reason = format!("{}: the value of column {name} with _tw_seq {seq} {why}", file.path);
        Err(WarehouseError::table(target, reason))
    };
    match cell {
        None => unfit("is out of the range of its type"),
        Some(Cell::Null) if cast.key => unfit("is NULL and part of the key"),
        Some(cell) => Ok(cell),
    }
}

/// The system columns of a row.
fn fixed(system: &SystemCells<'_>, row: usize) -> Option<String> {
    let committed_at = Cell::Timestamp(system.committed_at.value(row));
    Some(format!(
        "{}, CAST('{}' AS BIGINT), {}, {}",
        text_literal(system.origin.value(row)),
        system.seq.value(row),
        text_literal(system.op.value(row)),
        types::value(committed_at, crate::model::ColumnType::TimestampTz)?
    ))
}

/// Gathers rows into statements.
struct Writer<'a> {
    stage: &'a str,
    statements: Vec<Sql>,
    rows: String,
    statement_bytes: usize,
    bytes: usize,
}

impl Writer<'_> {
    /// Adds a row; false when it is too much.
    fn push(&mut self, columns: &[FileColumn], row: &str) -> bool {
        /// The text in front of the rows: at most 1,600 names of 127 bytes, usually a hundredth of that.
        const HEAD_BYTES: usize = 8 << 10;
        let limit = self.statement_bytes.saturating_sub(HEAD_BYTES);
        self.bytes += row.len();
        if row.len() + 4 > limit || self.bytes > TEXT_BYTES_MAX {
            return false;
        }
        if self.rows.len() + row.len() + 4 > limit {
            self.end(columns);
        }
        if !self.rows.is_empty() {
            self.rows.push_str(", ");
        }
        self.rows.push('(');
        self.rows.push_str(row);
        self.rows.push(')');
        true
    }

    fn end(&mut self, columns: &[FileColumn]) {
        if !self.rows.is_empty() {
            let text = insert_rows(self.stage, columns, &std::mem::take(&mut self.rows));
            self.statements.push(Sql::sensitive(text));
        }
    }
}
