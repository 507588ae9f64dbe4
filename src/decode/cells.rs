//! Rows that were read by SELECT, into the same columns as those of the binlog.
//!
//! The plan is compiled from the table's shape by the same code, so both ways come to one schema; here each value takes the
//! form that the binlog's bytes of it would take.

use super::{
    ChunkBuilder, DecodeError, Plan,
    chunk::Note,
    column::{ColumnBuilder, Values},
    json, long,
    plan::ColumnOp,
    policy::{InvalidText, ZeroDates},
    rows::Fault,
    temporal::{self, NoDate},
    value::{self, Losses, Read},
};
use crate::{
    model::{Op, Seq},
    source::mysql::snapshot::{Cell, DateParts, RowCells, TimeParts},
};

impl Plan {
    /// Appends a row that was read, with what it is and its number. Its columns are those of the shape that the plan was compiled from.
    ///
    /// # Errors
    /// When a value cannot be taken over; `out` is then as before the call.
    pub fn append_cells(
        &self,
        row: &RowCells,
        out: &mut ChunkBuilder,
        op: Op,
        seq: Seq,
        committed_at: i64,
    ) -> Result<(), DecodeError> {
        if row.len() != self.ops.len() {
            return Err(DecodeError::Columns { event: row.len(), plan: self.ops.len() });
        }
        if out.columns.len() != self.schema().columns.len() {
            return Err(DecodeError::Schema);
        }
        let (mut slot, mut bytes) = (0, 0);
        for (n, column_op) in self.ops.iter().enumerate() {
            let Some(read) = column_op.read else { continue };
            let cell = row.cell(n);
            if let Cell::Bytes(value) = cell {
                bytes += value.len();
            }
            let note = out
                .columns
                .get_mut(slot)
                .ok_or(Fault::Type)
                .and_then(|column| self.append_cell(column_op, read, cell, column));
            match note {
                Ok(None) => {}
                Ok(Some(note)) => out.note(slot, note),
                Err(fault) => {
                    out.abandon_row();
                    let (column, source_type) = self.describe(column_op);
                    return Err(DecodeError::Value { column, source_type, fault });
                }
            }
            slot += 1;
        }
        if self.may_overflow(bytes)
            && let Err(failed) = self.fit_row(out)
        {
            out.abandon_row();
            return Err(self.explain(&failed));
        }
        out.end_row(seq.0, op, committed_at);
        Ok(())
    }

    #[inline]
    fn append_cell(
        &self,
        op: &ColumnOp,
        read: Read,
        cell: Cell<'_>,
        column: &mut ColumnBuilder,
    ) -> Result<Option<Note>, Fault> {
        match cell {
            Cell::Null if op.key => Err(Fault::NullKey),
            Cell::Null => {
                column.push_null()?;
                Ok(None)
            }
            Cell::Int(n) => self.number(read, i128::from(n), column),
            Cell::UInt(n) => self.number(read, i128::from(n), column),
            Cell::Float(n) => match &mut column.values {
                Values::F32(values) => done(values, n),
                _ => Err(Fault::Type),
            },
            Cell::Double(n) => match &mut column.values {
                Values::F64(values) => done(values, n),
                _ => Err(Fault::Type),
            },
            Cell::Bytes(bytes) => self.bytes(op, read, bytes, column),
            Cell::Date(parts) => date(read, op.losses, parts, column),
            Cell::Time(parts) => time(read, parts, column),
        }
    }

    /// Integers, YEAR, TINYINT(1), and the numbers of ENUM and SET values.
    #[inline]
    fn number(&self, read: Read, n: i128, column: &mut ColumnBuilder) -> Result<Option<Note>, Fault> {
        match read {
            Read::TinyBoolean => {
                let Values::Bool(values) = &mut column.values else { return Err(Fault::Type) };
                values.append(n != 0);
                return Ok((n != 0 && n != 1).then_some(Note::WideBoolean));
            }
            Read::Enum { labels, .. } => {
                let out = value::bytes_of(column)?;
                let index = usize::try_from(n).map_err(|_| Fault::Label)?;
                value::write_label(index, self.labels(labels), out.open())?;
                out.end()?;
                return Ok(None);
            }
            Read::Set { labels, .. } => {
                let out = value::bytes_of(column)?;
                let mask = u64::try_from(n).map_err(|_| Fault::Label)?;
                value::write_set(mask, self.labels(labels), out.open())?;
                out.end()?;
                return Ok(None);
            }
            _ => {}
        }
        match &mut column.values {
            Values::I16(values) => done(values, i16::try_from(n).map_err(|_| Fault::Type)?),
            Values::I32(values) => done(values, i32::try_from(n).map_err(|_| Fault::Type)?),
            Values::I64(values) => done(values, i64::try_from(n).map_err(|_| Fault::Type)?),
            Values::I128(values) => done(values, n),
            _ => Err(Fault::Type),
        }
    }

    /// Text, bytes, and what travels as such.
    #[inline]
    fn bytes(
        &self,
        op: &ColumnOp,
        read: Read,
        bytes: &[u8],
        column: &mut ColumnBuilder,
    ) -> Result<Option<Note>, Fault> {
        match read {
            Read::Utf8 { .. } | Read::Binary { .. } => {
                value::bytes_of(column)?.push(bytes)?;
                Ok(None)
            }
            Read::Decimal(shape) => {
                let Values::I128(values) = &mut column.values else { return Err(Fault::Type) };
                done(values, shape.unscaled_text(bytes).map_err(|_| Fault::Corrupt)?)
            }
            Read::BitBoolean => {
                let Values::Bool(values) = &mut column.values else { return Err(Fault::Type) };
                values.append(big_endian(bytes)? != 0);
                Ok(None)
            }
            Read::Bit { .. } => {
                let Values::I64(values) = &mut column.values else { return Err(Fault::Type) };
                done(values, big_endian(bytes)? as i64)
            }
            Read::BitWide => {
                let Values::I128(values) = &mut column.values else { return Err(Fault::Type) };
                done(values, i128::from(big_endian(bytes)?))
            }
            _ => self.text(op, read, bytes, column),
        }
    }

    fn text(&self, op: &ColumnOp, read: Read, bytes: &[u8], column: &mut ColumnBuilder) -> Result<Option<Note>, Fault> {
        let out = value::bytes_of(column)?;
        let (mut note, mut strings_cut) = (None, false);
        match read {
            Read::Utf8Strict { .. } => {
                std::str::from_utf8(bytes).map_err(|_| Fault::InvalidText)?;
                out.open().extend_from_slice(bytes);
            }
            Read::Text { charset, .. } => {
                let charset = self.charset(charset).ok_or(Fault::Type)?;
                let replaced = charset.decode_into(bytes, out.open()).replaced();
                note = match (replaced, op.losses.invalid_text) {
                    (false, _) => None,
                    (true, InvalidText::Replace) => Some(Note::InvalidText),
                    (true, InvalidText::Refuse) => return Err(Fault::InvalidText),
                };
            }
            Read::Padded { bytes: width, .. } => {
                let missing = usize::from(width).checked_sub(bytes.len()).ok_or(Fault::Corrupt)?;
                out.open().extend_from_slice(bytes);
                out.open().extend(std::iter::repeat_n(0, missing));
            }
            Read::Utf8Long { .. } | Read::BinaryLong { .. } => out.open().extend_from_slice(bytes),
            Read::Json { .. } => strings_cut = json::text::copy_within(bytes, self.json_string_max, out.open()),
            Read::DecimalText(shape) => shape.normal_text(bytes, out.open()).map_err(|_| Fault::Corrupt)?,
            _ => return Err(Fault::Type),
        }
        if strings_cut || out.unfinished() > op.losses.bytes_max as usize {
            let text = !matches!(read, Read::BinaryLong { .. } | Read::Json { .. });
            return long::give_way(op.losses, text, strings_cut, column).map(Some);
        }
        out.end()?;
        Ok(note)
    }
}

#[inline]
fn done<T>(values: &mut Vec<T>, value: T) -> Result<Option<Note>, Fault> {
    values.push(value);
    Ok(None)
}

/// Up to eight bytes, most significant first.
fn big_endian(bytes: &[u8]) -> Result<u64, Fault> {
    if bytes.len() > 8 {
        return Err(Fault::Type);
    }
    Ok(bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
}

fn date(read: Read, losses: Losses, parts: DateParts, column: &mut ColumnBuilder) -> Result<Option<Note>, Fault> {
    let day = (u32::from(parts.year), u32::from(parts.month), u32::from(parts.day));
    let clock = (u32::from(parts.hour), u32::from(parts.minute), u32::from(parts.second));
    let none = match (read, &mut column.values) {
        (Read::Date, Values::I32(values)) => match temporal::days(day.0, day.1, day.2) {
            Ok(days) => return done(values, days),
            Err(none) => none,
        },
        (Read::DateTime { .. } | Read::Timestamp { .. }, Values::I64(values)) => {
            match temporal::wall_clock(day, clock, i64::from(parts.micros)) {
                Ok(micros) => return done(values, micros),
                Err(none) => none,
            }
        }
        _ => return Err(Fault::Type),
    };
    let note = match none {
        NoDate::Corrupt => return Err(Fault::Corrupt),
        NoDate::Zero => Note::ZeroDate,
        NoDate::Partial => Note::PartialDate,
    };
    if losses.zero_dates == ZeroDates::Refuse {
        return Err(Fault::NoDate);
    }
    column.push_null()?;
    Ok(Some(note))
}

fn time(read: Read, parts: TimeParts, column: &mut ColumnBuilder) -> Result<Option<Note>, Fault> {
    let Read::Time { fsp } = read else { return Err(Fault::Type) };
    let out = value::bytes_of(column)?;
    let clock = (parts.hours, u32::from(parts.minutes), u32::from(parts.seconds));
    temporal::write_time_of(parts.negative, clock, parts.micros, fsp, out.open()).map_err(|_| Fault::Corrupt)?;
    out.end()?;
    Ok(None)
}
