//! Values that are longer than the readers of the lake take, by themselves or with the rest of their row.

use super::{
    ChunkBuilder, Plan,
    chunk::Note,
    column::{ColumnBuilder, Values},
    plan::ColumnOp,
    policy::{InvalidText, LongValues},
    rows::{Failed, Fault},
    value::{Losses, Read},
};
use crate::model::ColumnType;

/// Most bytes of decoded values per byte of a row image, so that small images need no second look. Text of other character
/// sets grows threefold; the tests of the JSON printer hold it to this, which entries with empty keys come near to.
const GROWTH: usize = 40;

/// What a value without bytes of its own is counted as in a row.
const FIXED_BYTES: usize = 16;

/// The read operation and type of a column whose values have a limit; both are as given where none can exceed it.
pub(super) fn bounded(read: Read, ty: ColumnType, text_max: Option<u32>, losses: Losses) -> (Read, ColumnType) {
    let may_exceed = |declared: Option<u32>| declared.is_none_or(|bytes| bytes > losses.bytes_max);
    match (read, ty) {
        // Strict text is looked at value by value anyway, and text of other character sets is too.
        (Read::Utf8 { .. } | Read::Utf8Strict { .. } | Read::Text { .. }, ColumnType::Text { bytes_max }) => {
            let ty = ColumnType::Text { bytes_max: bytes_max.into_iter().chain(text_max).min() };
            match read {
                Read::Utf8 { prefix } if may_exceed(bytes_max) => (Read::Utf8Long { prefix }, ty),
                read => (read, ty),
            }
        }
        (Read::Binary { prefix }, ColumnType::Binary { bytes_max }) if may_exceed(bytes_max) => {
            (Read::BinaryLong { prefix }, ty)
        }
        _ => (read, ty),
    }
}

/// The value under construction is too long, or a document whose strings were cut already: it gives way by its policy.
#[cold]
pub(super) fn give_way(
    losses: Losses,
    text: bool,
    strings_cut: bool,
    column: &mut ColumnBuilder,
) -> Result<Note, Fault> {
    let Values::Bytes(bytes) = &mut column.values else { return Err(Fault::Type) };
    let fits = bytes.unfinished() <= losses.bytes_max as usize;
    match losses.long_values {
        LongValues::Refuse => Err(Fault::Long),
        LongValues::Cut if text || (strings_cut && fits) => {
            bytes.cut(losses.bytes_max as usize);
            bytes.end()?;
            Ok(Note::CutText)
        }
        LongValues::Cut | LongValues::Null => {
            bytes.cut(0);
            column.push_null()?;
            Ok(Note::LongValue)
        }
    }
}

impl Plan {
    /// Whether the row of an image of this size may be longer than a row may be.
    #[inline(always)]
    pub(super) fn may_overflow(&self, image: usize) -> bool {
        image > self.row_bytes_max / GROWTH
    }

    /// Makes the row under construction as short as a row may be: its longest values give way, each by its policy.
    #[cold]
    pub(super) fn fit_row(&self, out: &mut ChunkBuilder) -> Result<(), Failed> {
        let lengths = out.columns.iter().map(ColumnBuilder::last_bytes);
        let mut total: usize = lengths.map(|bytes| bytes + FIXED_BYTES).sum();
        if total <= self.row_bytes_max {
            return Ok(());
        }
        let shown = self.ops.iter().enumerate().filter(|(_, op)| op.read.is_some());
        let mut longest: Vec<(usize, usize, usize, &ColumnOp)> = shown
            .zip(out.columns.iter())
            .enumerate()
            .map(|(slot, ((column, op), values))| (values.last_bytes(), slot, column, op))
            .filter(|(bytes, _, _, op)| *bytes > 0 && !op.key)
            .collect();
        longest.sort_unstable_by_key(|(bytes, ..)| std::cmp::Reverse(*bytes));
        for (bytes, slot, column, op) in longest {
            let excess = total.saturating_sub(self.row_bytes_max);
            if excess == 0 {
                return Ok(());
            }
            let failed = |fault| Failed { column, fault };
            let (note, left) = shorten(op, bytes.saturating_sub(excess), out, slot).map_err(failed)?;
            out.note(slot, note);
            total -= bytes - left;
        }
        if total <= self.row_bytes_max { Ok(()) } else { Err(Failed { column: 0, fault: Fault::LongRow }) }
    }
}

/// Makes the row's value in a column NULL, or cuts it to `keep` bytes; answers the bytes it has left.
fn shorten(op: &ColumnOp, keep: usize, out: &mut ChunkBuilder, slot: usize) -> Result<(Note, usize), Fault> {
    let column = out.columns.get_mut(slot).ok_or(Fault::Type)?;
    let text = !matches!(op.read, Some(Read::Binary { .. } | Read::BinaryLong { .. } | Read::Json { .. }));
    match op.losses.long_values {
        LongValues::Refuse => Err(Fault::LongRow),
        LongValues::Cut if text => {
            let Values::Bytes(values) = &mut column.values else { return Err(Fault::Type) };
            values.reopen();
            values.cut(keep);
            values.end()?;
            Ok((Note::CutText, column.last_bytes()))
        }
        LongValues::Cut | LongValues::Null => {
            column.null_last()?;
            Ok((Note::LongValue, 0))
        }
    }
}

impl Losses {
    /// What no value of a key column may lose: two keys could become one.
    pub(super) fn of_key(bytes_max: u32) -> Self {
        Self {
            zero_dates: super::policy::ZeroDates::Refuse,
            invalid_text: InvalidText::Refuse,
            long_values: LongValues::Refuse,
            bytes_max,
        }
    }
}
