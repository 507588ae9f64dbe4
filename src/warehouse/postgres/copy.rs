//! Rows in the binary form of COPY, streamed with bounded memory.

use arrow::record_batch::RecordBatch;

use crate::warehouse::{
    cell::{Cells, SystemCells},
    stage::Cast,
};

use super::types::{self, Unfit};

/// Signature, flags and length of the header extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Field count of the trailer.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// Columns before the table's own: row number, column list, origin, seq, op, commit time.
const FIXED: usize = 6;
/// Rows encoded between two sends: keeps one turn on the runtime well below a millisecond for ordinary rows.
const ROWS_PER_CHUNK: usize = 256;

/// Encodes the rows of one file.
#[derive(Debug)]
pub(crate) struct Encoder<'a> {
    casts: &'a [(String, Cast)],
    list: i32,
    /// Number of the next row in the tick.
    pub(crate) row: i64,
    /// Texts whose zero bytes were replaced.
    pub(crate) replaced: u64,
    fields: [u8; 2],
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(casts: &'a [(String, Cast)], list: usize, row: i64) -> Result<Self, String> {
        let fields = i16::try_from(casts.len() + FIXED).map_err(|_| "it has too many columns".to_owned())?;
        let list = i32::try_from(list).map_err(|_| "its files have too many different columns".to_owned())?;
        Ok(Self { casts, list, row, replaced: 0, fields: fields.to_be_bytes() })
    }

    pub(crate) fn header(&self) -> &'static [u8] {
        HEADER
    }

    pub(crate) fn trailer(&self) -> [u8; 2] {
        TRAILER
    }

    /// Ranges of a batch, each to be encoded and sent in one turn.
    pub(crate) fn chunks(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + use<'_> {
        let rows = batch.num_rows();
        (0..rows).step_by(ROWS_PER_CHUNK).map(move |from| batch.slice(from, ROWS_PER_CHUNK.min(rows - from)))
    }

    /// Appends the rows of a chunk. An error says what does not fit, without the value.
    pub(crate) fn encode(&mut self, chunk: &RecordBatch, out: &mut Vec<u8>) -> Result<(), String> {
        let system = SystemCells::of(chunk)?;
        let columns: Vec<Cells<'_>> =
            self.casts.iter().map(|(name, cast)| Cells::of(chunk, name, *cast)).collect::<Result<_, _>>()?;
        let unfit = |name: &str, seq: i64, why: Unfit| {
            let why = match why {
                Unfit::Range => "is out of the range of its type in PostgreSQL",
                Unfit::ZeroByteInKey => "has U+0000 in a key, which PostgreSQL cannot hold",
                Unfit::NullInKey => "is NULL and part of the key",
                Unfit::Length => "is longer than a field may be",
            };
            format!("the value of column {name} with _tw_seq {seq} {why}")
        };
        for row in 0..chunk.num_rows() {
            let seq = system.seq.value(row);
            let committed_at = types::timestamp(system.committed_at.value(row))
                .ok_or_else(|| unfit("_tw_committed_at", seq, Unfit::Range))?;
            out.extend(self.fields);
            let fixed: [&[u8]; FIXED] = [
                &self.row.to_be_bytes(),
                &self.list.to_be_bytes(),
                system.origin.value(row).as_bytes(),
                &seq.to_be_bytes(),
                system.op.value(row).as_bytes(),
                &committed_at.to_be_bytes(),
            ];
            for bytes in fixed {
                types::field(out, bytes).map_err(|why| unfit("_tw_origin", seq, why))?;
            }
            for ((name, cast), cells) in self.casts.iter().zip(&columns) {
                let cell = cells.get(row).ok_or_else(|| unfit(name, seq, Unfit::Range))?;
                let replaced = types::write(out, cell, cast.to, cells.key()).map_err(|why| unfit(name, seq, why))?;
                self.replaced += u64::from(replaced);
            }
            self.row += 1;
        }
        Ok(())
    }
}
