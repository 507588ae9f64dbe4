//! Last change per key: which rows of a batch a later row of the same batch makes superfluous.
//!
//! Rows are in `_tw_seq` order, so walking from the end, the first row met for a key is its last change. Keys are compared
//! by value bytes ('a' and 'A' are two keys, as in the warehouse), never by collation. An update that changed its key was
//! decoded as a delete and an insert, so a key's history inside the batch is complete.

use std::hash::Hash;

use ahash::{HashSet, HashSetExt};
use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder},
    datatypes::{DataType, Decimal128Type, Int16Type, Int32Type, Int64Type},
    error::ArrowError,
    row::{RowConverter, Rows, SortField},
};

/// For each chunk of key columns, the rows to keep; `None` where all of them stay.
///
/// `chunks[c][k]` is key column `k` of chunk `c`; chunks and rows are in `_tw_seq` order. Key columns hold no NULL.
///
/// # Errors
/// When a key column's type has no row encoding, which no type of `schemas/types.toml` lacks.
pub(super) fn survivors(chunks: &[Vec<ArrayRef>]) -> Result<Vec<Option<BooleanArray>>, ArrowError> {
    let Some(first) = chunks.first() else { return Ok(Vec::new()) };
    match first.as_slice() {
        [one] => match one.data_type() {
            DataType::Int16 => Ok(walk(chunks, |c| c[0].as_primitive::<Int16Type>().values().as_ref())),
            DataType::Int32 => Ok(walk(chunks, |c| c[0].as_primitive::<Int32Type>().values().as_ref())),
            DataType::Int64 => Ok(walk(chunks, |c| c[0].as_primitive::<Int64Type>().values().as_ref())),
            DataType::Decimal128(..) => Ok(walk(chunks, |c| c[0].as_primitive::<Decimal128Type>().values().as_ref())),
            _ => encoded(chunks, first),
        },
        _ => encoded(chunks, first),
    }
}

/// The fast path: one fixed-width key column.
fn walk<'a, T: Eq + Hash + Copy + 'a>(
    chunks: &'a [Vec<ArrayRef>],
    values: impl Fn(&'a Vec<ArrayRef>) -> &'a [T],
) -> Vec<Option<BooleanArray>> {
    let columns: Vec<&[T]> = chunks.iter().map(values).collect();
    keep_last(columns.len(), |c| columns[c].len(), |c, r| columns[c][r])
}

/// Any other key: rows in Arrow's row format, equal exactly when all key values are.
fn encoded(chunks: &[Vec<ArrayRef>], first: &[ArrayRef]) -> Result<Vec<Option<BooleanArray>>, ArrowError> {
    let fields = first.iter().map(|c| SortField::new(c.data_type().clone())).collect();
    let converter = RowConverter::new(fields)?;
    let rows: Vec<Rows> = chunks.iter().map(|c| converter.convert_columns(c)).collect::<Result<_, _>>()?;
    Ok(keep_last(rows.len(), |c| rows[c].num_rows(), |c, r| rows[c].row(r)))
}

fn keep_last<K: Eq + Hash>(
    chunks: usize,
    len: impl Fn(usize) -> usize,
    key: impl Fn(usize, usize) -> K,
) -> Vec<Option<BooleanArray>> {
    let mut seen = HashSet::with_capacity((0..chunks).map(&len).sum());
    let mut masks = vec![None; chunks];
    for c in (0..chunks).rev() {
        let rows = len(c);
        let mut dead = Vec::new();
        for r in (0..rows).rev() {
            if !seen.insert(key(c, r)) {
                dead.push(r);
            }
        }
        if !dead.is_empty() {
            let mut keep = BooleanBufferBuilder::new(rows);
            keep.append_n(rows, true);
            for r in dead {
                keep.set_bit(r, false);
            }
            masks[c] = Some(BooleanArray::new(keep.finish(), None));
        }
    }
    masks
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use arrow::array::{Int64Array, StringArray};
    use proptest::prelude::*;

    use super::*;

    fn kept(mask: &Option<BooleanArray>, rows: usize) -> Vec<bool> {
        mask.as_ref().map_or(vec![true; rows], |m| m.iter().map(|b| b.unwrap()).collect())
    }

    proptest! {
        /// The survivors are exactly the last position of each distinct key, for the fast path and for the encoded one.
        #[test]
        fn keeps_the_last_row_of_each_key(keys in prop::collection::vec(0i64..12, 0..60), cut in 1usize..9) {
            let mut last = BTreeMap::new();
            for (i, k) in keys.iter().enumerate() { last.insert(*k, i); }
            let want: Vec<bool> = keys.iter().enumerate().map(|(i, k)| last[k] == i).collect();
            let ints: Vec<Vec<ArrayRef>> = keys.chunks(cut).map(|c| vec![Arc::new(Int64Array::from(c.to_vec())) as ArrayRef]).collect();
            let pairs: Vec<Vec<ArrayRef>> = keys.chunks(cut).map(|c| vec![
                Arc::new(Int64Array::from(c.iter().map(|k| k / 4).collect::<Vec<_>>())) as ArrayRef,
                Arc::new(StringArray::from(c.iter().map(|k| ["a", "A", "", "a "][(k % 4) as usize]).collect::<Vec<_>>())) as ArrayRef,
            ]).collect();
            for chunks in [ints, pairs] {
                let masks = survivors(&chunks).unwrap();
                let got: Vec<bool> = masks.iter().zip(&chunks).flat_map(|(m, c)| kept(m, c[0].len())).collect();
                prop_assert_eq!(&got, &want);
            }
        }
    }
}
