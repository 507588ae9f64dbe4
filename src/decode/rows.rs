//! Row images of one rows event, one row change at a time.

use super::{ChunkBuilder, Plan, value};
use crate::{
    model::{Op, Seq},
    source::mysql::{
        cursor::{Cursor, Short},
        rows::{RowsEvent, RowsKind},
    },
};

/// Times that all rows of a transaction share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowTime {
    /// Commit on the source, UTC microseconds.
    pub committed_at_us: i64,
}

/// Why rows cannot be decoded. Texts name columns and types, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The event lacks columns.
    #[error(
        "row image lacks columns: a session wrote with binlog_row_image other than FULL; set it to FULL (SET PERSIST binlog_row_image = FULL, and no SET SESSION) and take a new snapshot of the table"
    )]
    PartialImage,
    /// The event holds JSON differences.
    #[error(
        "row image holds JSON differences instead of documents: unset binlog_row_value_options (SET PERSIST binlog_row_value_options = '') and take a new snapshot of the table"
    )]
    PartialJson,
    /// The event does not belong to the TABLE_MAP of the plan.
    #[error("rows event has {event} columns where its table map has {plan}")]
    Columns {
        /// Columns of the event.
        event: usize,
        /// Columns of the plan.
        plan: usize,
    },
    /// The builder was made for another schema.
    #[error("rows of another schema than the chunk's")]
    Schema,
    /// The event ends inside a row image, outside any column.
    #[error("rows event ends inside a row image")]
    Truncated,
    /// A value cannot be decoded.
    #[error("column {column} ({source_type}): {fault}")]
    Value {
        /// Name of the column.
        column: String,
        /// Its MySQL type.
        source_type: String,
        /// What is wrong.
        fault: Fault,
    },
}

impl DecodeError {
    /// Whether the row did not fit the chunk: finish it and decode the same row again into an empty one.
    pub fn is_chunk_full(&self) -> bool {
        matches!(self, Self::Value { fault: Fault::Full, .. })
    }
}

/// What is wrong with one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The image ends inside the value.
    #[error("the row image ends inside the value")]
    Short,
    /// The bytes are not of the type.
    #[error("bytes that are not of this type")]
    Corrupt,
    /// The JSON document cannot be read.
    #[error("not a JSON document of MySQL")]
    Json,
    /// ENUM or SET value without label.
    #[error("a value beyond the labels of the table map")]
    Label,
    /// A date in no calendar where it may not become NULL.
    #[error("a date that is in no calendar, and the column may not lose it (key column, or zero_dates = \"park\")")]
    NoDate,
    /// Text that may not be repaired.
    #[error(
        "text that is not in its character set, and the column may not lose it (key column, or invalid_text = \"park\")"
    )]
    InvalidText,
    /// A value that may not be shortened.
    #[error(
        "a value that is longer than the warehouse takes, and the column may not lose it (key column, or long_text = \"park\")"
    )]
    Long,
    /// A row that cannot become short enough.
    #[error(
        "a row that is longer than the warehouse takes, and no column of it may lose enough (key columns, or long_text = \"park\")"
    )]
    LongRow,
    /// NULL in a key column.
    #[error("NULL in a key column")]
    NullKey,
    /// 2 GiB of values in one column of one chunk.
    #[error("the chunk has 2 GiB of this column already")]
    Full,
    /// Plan and chunk disagree: a defect.
    #[error("the chunk's column has another type than the plan's")]
    Type,
}

/// A value that cannot be decoded: which column of the plan, and why.
pub(super) struct Failed {
    pub(super) column: usize,
    pub(super) fault: Fault,
}

/// The rows of one event.
#[derive(Debug)]
pub struct Rows<'a> {
    plan: &'a Plan,
    kind: RowsKind,
    rest: &'a [u8],
    /// Key bytes of the two images of an update.
    before: Vec<Option<&'a [u8]>>,
    after: Vec<Option<&'a [u8]>>,
}

impl Plan {
    /// Prepares to decode an event whose TABLE_MAP this plan was compiled from.
    pub fn rows<'a>(&'a self, event: RowsEvent<'a>) -> Result<Rows<'a>, DecodeError> {
        if event.kind == RowsKind::PartialUpdate {
            return Err(DecodeError::PartialJson);
        }
        if event.columns != self.ops.len() {
            return Err(DecodeError::Columns { event: event.columns, plan: self.ops.len() });
        }
        if !event.is_full() {
            return Err(DecodeError::PartialImage);
        }
        Ok(Rows { plan: self, kind: event.kind, rest: event.data, before: Vec::new(), after: Vec::new() })
    }
}

impl<'a> Rows<'a> {
    /// Decodes the next row change into `out`, numbers it from `seq` on and moves `seq` behind it.
    ///
    /// An update that changes the key becomes a delete with the old and an insert with the new values. Without a key no later
    /// row can take an older one's place, so every update becomes a delete with the old and an update with the new values.
    /// Returns false when the event has no more rows. After an error `out`, `seq` and the place in the event are as before the call.
    pub fn next_into(&mut self, out: &mut ChunkBuilder, seq: &mut Seq, time: RowTime) -> Result<bool, DecodeError> {
        if self.rest.is_empty() {
            return Ok(false);
        }
        if out.columns.len() != self.plan.schema().columns.len() {
            return Err(DecodeError::Schema);
        }
        let at = time.committed_at_us;
        let images = self.rest;
        let rest = match self.kind {
            RowsKind::Insert => self.plan.image(images, out).inspect(|_| self.end(out, seq, Op::Insert, at)),
            RowsKind::Delete => self.plan.image(images, out).inspect(|_| self.end(out, seq, Op::Delete, at)),
            RowsKind::Update | RowsKind::PartialUpdate => self.update(images, out, seq, at),
        };
        match rest {
            Ok(rest) => {
                self.rest = rest;
                Ok(true)
            }
            Err(failed) => {
                out.abandon_row();
                Err(self.plan.explain(&failed))
            }
        }
    }

    fn end(&self, out: &mut ChunkBuilder, seq: &mut Seq, op: Op, at: i64) {
        out.end_row(seq.0, op, at);
        *seq = seq.next();
    }

    /// Both images of an update; returns what follows them.
    fn update(&mut self, images: &'a [u8], out: &mut ChunkBuilder, seq: &mut Seq, at: i64) -> Result<&'a [u8], Failed> {
        let plan = self.plan;
        self.before.clear();
        let after = plan.walk(images, plan.ops.len(), &mut self.before)?;
        let keyed = plan.has_key();
        if keyed {
            let rest = plan.image(after, out)?;
            self.after.clear();
            plan.walk(after, plan.key_end, &mut self.after)?;
            if self.before == self.after {
                self.end(out, seq, Op::Update, at);
                return Ok(rest);
            }
            // Rare: the delete comes first, so the after-image is decoded again behind it. It has been decoded without
            // fault already; a chunk that fills up in between is truncated to where both rows began.
            out.abandon_row();
        }
        let mark = out.mark();
        let first = *seq;
        let both = (|| {
            plan.image(images, out)?;
            self.end(out, seq, Op::Delete, at);
            let rest = plan.image(after, out)?;
            self.end(out, seq, if keyed { Op::Insert } else { Op::Update }, at);
            Ok(rest)
        })();
        if both.is_err() {
            out.rewind(mark);
            *seq = first;
        }
        both
    }
}

impl Plan {
    /// Decodes one image; returns what follows it.
    #[inline]
    fn image<'a>(&self, image: &'a [u8], out: &mut ChunkBuilder) -> Result<&'a [u8], Failed> {
        let mut cursor = Cursor::new(image);
        let nulls = self.null_bits(&mut cursor)?;
        let mut slot = 0;
        for (group, (ops, nulls)) in self.ops.chunks(8).zip(nulls).enumerate() {
            for (bit, op) in ops.iter().enumerate() {
                let null = nulls >> bit & 1 == 1;
                let failed = |fault| Failed { column: group * 8 + bit, fault };
                let Some(read) = op.read else {
                    if !null {
                        op.width.skip(&mut cursor).map_err(|_| failed(Fault::Short))?;
                    }
                    continue;
                };
                let column = out.columns.get_mut(slot).ok_or_else(|| failed(Fault::Type))?;
                if null {
                    if op.key {
                        return Err(failed(Fault::NullKey));
                    }
                    column.push_null().map_err(|full| failed(full.into()))?;
                } else {
                    let note = value::append(read, op.losses, self, &mut cursor, column).map_err(failed)?;
                    if let Some(note) = note {
                        out.note(slot, note);
                    }
                }
                slot += 1;
            }
        }
        if self.may_overflow(image.len() - cursor.rest().len()) {
            self.fit_row(out)?;
        }
        Ok(cursor.rest())
    }

    /// Walks over the first `columns` columns of an image by lengths alone and collects the bytes of key columns;
    /// returns what follows.
    #[inline]
    fn walk<'a>(&self, image: &'a [u8], columns: usize, key: &mut Vec<Option<&'a [u8]>>) -> Result<&'a [u8], Failed> {
        let mut cursor = Cursor::new(image);
        let nulls = self.null_bits(&mut cursor)?;
        let ops = self.ops.get(..columns).unwrap_or(&self.ops);
        for (group, (ops, nulls)) in ops.chunks(8).zip(nulls).enumerate() {
            for (bit, op) in ops.iter().enumerate() {
                let null = nulls >> bit & 1 == 1;
                let start = cursor.rest();
                if !null {
                    op.width.skip(&mut cursor).map_err(|_| Failed { column: group * 8 + bit, fault: Fault::Short })?;
                }
                if op.key {
                    key.push(if null { None } else { start.get(..start.len() - cursor.rest().len()) });
                }
            }
        }
        Ok(cursor.rest())
    }

    /// The null bits of an image that has all columns.
    #[inline]
    fn null_bits<'a>(&self, cursor: &mut Cursor<'a>) -> Result<&'a [u8], Failed> {
        let short = |_: Short| Failed { column: usize::MAX, fault: Fault::Short };
        cursor.take(self.ops.len().div_ceil(8)).map_err(short)
    }

    /// The failure in words.
    #[cold]
    pub(super) fn explain(&self, failed: &Failed) -> DecodeError {
        let Some(op) = self.ops.get(failed.column) else { return DecodeError::Truncated };
        let (column, source_type) = self.describe(op);
        DecodeError::Value { column, source_type, fault: failed.fault }
    }
}

#[cfg(test)]
mod tests;
