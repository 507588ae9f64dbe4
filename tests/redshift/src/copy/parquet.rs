//! One Parquet file to rows of PostgreSQL's binary COPY. Synchronous: runs on the pool for blocking work.

mod columns;
mod fields;
mod nested;
mod pages;
mod types;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::Type;

use self::columns::{BATCH_ROWS, Column};
use self::fields::Unfit;
use self::nested::NotJson;
use self::pages::Unreadable;
use self::types::{Conversion, Mismatch};
use super::relax::Relax;
use super::scan_error::{self, NULL_ERROR, SUPER_ERROR, ScanError};
use crate::ColumnType;

/// Bytes of one row from any source ("Quotas and limits in Amazon Redshift").
const ROW_BYTES_MAX: usize = 4 << 20;

/// Bytes of rows handed over at once.
const CHUNK_BYTES: usize = 128 << 10;

/// Where a file lies.
#[derive(Clone, Debug)]
pub(super) struct Location {
    /// `s3://bucket/key`, as the views name it.
    pub(super) s3: String,
    /// As error texts name it.
    pub(super) https: String,
}

/// A column that is loaded.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) column_type: ColumnType,
    pub(super) nullable: bool,
    /// The default as a field, which NULL becomes in a column that takes none.
    pub(super) default: Option<Vec<u8>>,
}

impl Target {
    fn described(&self) -> scan_error::Column {
        scan_error::Column { name: self.name.clone(), column_type: self.column_type }
    }
}

/// How files are read.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The columns that the file's columns go to, by position.
    pub(super) targets: Vec<Target>,
    pub(super) fill_record: bool,
    pub(super) accept_invalid: Option<char>,
    pub(super) relax: Relax,
    /// Whether names that differ fail the load, which Redshift does not look at.
    pub(super) strict_names: bool,
}

/// Why a file was not loaded to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The load fails.
    Failed(Box<ScanError>),
    /// Nobody takes the rows any more.
    Unwanted,
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Self {
        Self::Failed(Box::new(error))
    }
}

/// Reads a file and hands its rows over in chunks; returns their number.
pub(super) fn load(
    plan: &Plan,
    location: &Location,
    bytes: &Bytes,
    take: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<u64, Stop> {
    let in_file = |error: ScanError| Stop::from(error.in_file(&location.s3));
    let loader = Loader { plan, location };
    let file = loader.open(bytes).map_err(in_file)?;
    let conversions = loader.conversions(&file).map_err(in_file)?;
    let mut rows = Rows { out: Vec::with_capacity(CHUNK_BYTES), count: 0, take };
    for group in 0..file.num_row_groups() {
        loader.row_group(&file, bytes, group, &conversions, &mut rows).map_err(|stop| match stop {
            Stop::Failed(error) => in_file(*error),
            Stop::Unwanted => Stop::Unwanted,
        })?;
    }
    rows.flush()?;
    Ok(rows.count)
}

/// Rows on their way.
struct Rows<'a> {
    out: Vec<u8>,
    count: u64,
    take: &'a mut dyn FnMut(Vec<u8>) -> bool,
}

impl Rows<'_> {
    fn flush(&mut self) -> Result<(), Stop> {
        if self.out.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.out, Vec::with_capacity(CHUNK_BYTES));
        if (self.take)(chunk) { Ok(()) } else { Err(Stop::Unwanted) }
    }
}

struct Loader<'a> {
    plan: &'a Plan,
    location: &'a Location,
}

impl Loader<'_> {
    fn open(&self, bytes: &Bytes) -> Result<SerializedFileReader<Bytes>, ScanError> {
        const MAGIC: &[u8] = b"PAR1";
        let https = &self.location.https;
        let tail = bytes.len().checked_sub(MAGIC.len()).map_or(&[][..], |at| &bytes[at..]);
        if tail != MAGIC || !bytes.starts_with(MAGIC) {
            let version = tail.escape_ascii();
            return Err(ScanError::scan(format!("File '{https}' has an invalid version number: {version}")));
        }
        let file = SerializedFileReader::new(bytes.clone()).map_err(|error| self.damaged(&error))?;
        pages::check_footer(file.metadata(), &self.plan.relax).map_err(|error| self.unreadable(&error))?;
        Ok(file)
    }

    /// How each column of the file becomes one of the table, by position.
    fn conversions(&self, file: &SerializedFileReader<Bytes>) -> Result<Vec<Conversion>, ScanError> {
        let fields = file.metadata().file_metadata().schema().get_fields();
        let (wanted, found) = (self.plan.targets.len(), fields.len());
        if found > wanted || (found < wanted && !self.plan.fill_record) {
            return Err(ScanError::scan(format!(
                "Unmatched number of columns between table and file. Table columns: {wanted}, Data columns: {found}, \
                 File name: {}",
                self.location.https
            )));
        }
        let pairs = self.plan.targets.iter().zip(fields).enumerate();
        pairs.map(|(position, (target, field))| self.conversion(position, target, field)).collect()
    }

    fn conversion(&self, position: usize, target: &Target, field: &Type) -> Result<Conversion, ScanError> {
        if self.plan.strict_names && !field.name().eq_ignore_ascii_case(&target.name) {
            let text = format!(
                "strict names: column {} of file '{}' is \"{}\" and would go into \"{}\"; Redshift looks at the \
                 position alone",
                position + 1,
                self.location.https,
                field.name(),
                target.name
            );
            return Err(ScanError::scan(text).at(target.described(), 0));
        }
        types::admit(target.column_type, field, &self.plan.relax).map_err(|mismatch| {
            let text = format!(
                "File '{}' has an incompatible Parquet schema for column '{}.{}'. Column type: {}, Parquet schema:\n{}",
                self.location.https,
                self.location.s3,
                target.name,
                types::type_name(target.column_type),
                types::schema_text(field, position)
            );
            let error = ScanError::scan(text).at(target.described(), 0);
            match mismatch {
                Mismatch::Incompatible => error,
                Mismatch::Unverified(one) => error.unverified(one),
            }
        })
    }

    fn row_group(
        &self,
        file: &SerializedFileReader<Bytes>,
        bytes: &Bytes,
        group: usize,
        conversions: &[Conversion],
        rows: &mut Rows<'_>,
    ) -> Result<(), Stop> {
        let reader = file.get_row_group(group).map_err(|error| self.damaged(&error))?;
        let schema = file.metadata().file_metadata().schema_descr();
        let mut columns = Vec::with_capacity(self.plan.targets.len());
        for (root, conversion) in conversions.iter().enumerate() {
            let column = if *conversion == Conversion::Json {
                Column::json(file, bytes, group, root, &self.plan.relax)
            } else {
                let leaf = (0..schema.num_columns()).find(|leaf| schema.get_column_root_idx(*leaf) == root);
                Column::flat(reader.as_ref(), leaf.unwrap_or(usize::MAX), &self.plan.relax)
            };
            columns.push(column.map_err(|error| self.damaged(&error))?);
        }
        columns.resize_with(self.plan.targets.len(), Column::missing);
        let total = usize::try_from(reader.metadata().num_rows()).unwrap_or_default();
        let mut done = 0;
        while done < total {
            let batch = BATCH_ROWS.min(total - done);
            for (position, column) in columns.iter_mut().enumerate() {
                column.fill(batch).map_err(|error| self.failed(&error, position))?;
            }
            for _ in 0..batch {
                self.row(&mut columns, conversions, rows)?;
            }
            done += batch;
        }
        Ok(())
    }

    fn row(&self, columns: &mut [Column], conversions: &[Conversion], rows: &mut Rows<'_>) -> Result<(), Stop> {
        let line = rows.count + 1;
        let start = rows.out.len();
        rows.out.extend(u16::try_from(self.plan.targets.len()).unwrap_or(u16::MAX).to_be_bytes());
        for (position, (target, column)) in self.plan.targets.iter().zip(columns).enumerate() {
            match (column.next(), conversions.get(position), &target.default) {
                (Some(value), Some(conversion), _) => {
                    fields::write(&mut rows.out, value, *conversion, self.plan.accept_invalid)
                        .map_err(|unfit| self.unfit(unfit, target).at(target.described(), line))?;
                }
                _ if target.nullable => fields::write_null(&mut rows.out),
                (_, _, Some(default)) => rows.out.extend(default),
                _ => {
                    let text = format!("Cannot insert a NULL value into column {}", target.name);
                    return Err(ScanError::new(text, NULL_ERROR, "").at(target.described(), line).into());
                }
            }
        }
        // What the row itself takes, without the lengths of its fields.
        let bytes = rows.out.len() - start - 2 - 4 * self.plan.targets.len();
        if bytes > ROW_BYTES_MAX {
            let mut error = ScanError::scan(format!(
                "The size of a row exceeds the limit of {ROW_BYTES_MAX} bytes. Data: {bytes}, File name: {}",
                self.location.https
            ));
            error.line = line;
            return Err(error.into());
        }
        rows.count = line;
        if rows.out.len() >= CHUNK_BYTES { rows.flush() } else { Ok(()) }
    }

    fn unfit(&self, unfit: Unfit, target: &Target) -> ScanError {
        let name = &target.name;
        let file = &self.location.https;
        match unfit {
            Unfit::TooLong(data) => {
                let table = match target.column_type {
                    ColumnType::Varchar(n) | ColumnType::Char(n) | ColumnType::Varbyte(n) => n,
                    _ => 0,
                };
                ScanError::scan(format!(
                    "The length of the data column {name} is longer than the length defined in the table. Table: \
                     {table}, Data: {data}, File name: {file}"
                ))
            }
            Unfit::OutOfRange => ScanError::scan(format!(
                "Numeric data overflow (value of column {name} is out of range), File name: {file}"
            )),
            Unfit::Multibyte => ScanError::scan(format!(
                "Multibyte character not supported for CHAR (Hint: try using VARCHAR). Column {name}, File name: {file}"
            )),
            Unfit::InvalidUtf8(byte) => ScanError::scan(format!(
                "String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex sequence: {byte:02x} (error 3). \
                 Column {name}, File name: {file}"
            )),
            Unfit::ZeroByte => ScanError::scan(format!(
                "String contains a zero byte, which nobody has seen load. Column {name}, File name: {file}"
            )),
            Unfit::SuperText => super_text(),
            Unfit::NotJson => ScanError::scan(format!("Invalid JSON for SUPER column {name}, File name: {file}")),
            Unfit::Corrupt => ScanError::scan(format!("File '{file}' is corrupt in column {name}")),
        }
    }

    /// An error of a read of one column.
    fn failed(&self, error: &ParquetError, position: usize) -> ScanError {
        let Some(target) = self.plan.targets.get(position) else { return self.damaged(error) };
        self.damaged(error).at(target.described(), 0)
    }

    fn damaged(&self, error: &ParquetError) -> ScanError {
        if let ParquetError::External(source) = error {
            if let Some(unreadable) = source.downcast_ref::<Unreadable>() {
                return self.unreadable(unreadable);
            }
            match source.downcast_ref::<NotJson>() {
                Some(NotJson::TooLong) => return super_text(),
                Some(other) => return ScanError::scan(format!("File '{}': {other}", self.location.https)),
                None => {}
            }
        }
        ScanError::scan(format!("File '{}' is corrupt: {error}", self.location.https))
    }

    fn unreadable(&self, unreadable: &Unreadable) -> ScanError {
        let error = ScanError::scan(format!("File '{}' {}", self.location.https, unreadable.what));
        match unreadable.unverified {
            Some(one) => error.unverified(one),
            None => error,
        }
    }
}

fn super_text() -> ScanError {
    let text = format!("String value exceeds the max size of {} bytes", nested::TEXT_BYTES_MAX);
    ScanError::new(text, SUPER_ERROR, "")
}
