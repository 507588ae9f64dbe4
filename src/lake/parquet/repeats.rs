//! Whether the values of a column repeat, so that a dictionary of them is worth trying.
//!
//! A column whose values differ fills its dictionary, gives it up and is written plainly in the end: until then every value was
//! hashed for nothing. A look at the first rows tells such columns apart.

use std::hash::Hash;

use ahash::{HashSet, HashSetExt};
use arrow::{
    array::{Array, AsArray, PrimitiveArray},
    datatypes::{
        ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Int16Type, Int32Type, Int64Type, TimeUnit,
        TimestampMicrosecondType,
    },
};

/// Values that are looked at, at most. Where so many of `d` values that are equally frequent show fifteen different ones in
/// sixteen, `d` is about 65,000: more than the dictionary has room for.
const SAMPLE_MAX: usize = 8192;

/// Fewer values tell too little: the dictionary is tried.
const SAMPLE_MIN: usize = 2048;

/// Values after which a column that has each twice is known to repeat.
const EARLY: usize = 512;

/// Whether a dictionary is worth trying, by the first values of the column.
pub(super) fn seen_in(column: &dyn Array) -> bool {
    match column.data_type() {
        DataType::Utf8 => by(column.as_string::<i32>().iter().flatten()),
        DataType::Int16 => numbers::<Int16Type>(column.as_primitive()),
        DataType::Int32 => numbers::<Int32Type>(column.as_primitive()),
        DataType::Int64 => numbers::<Int64Type>(column.as_primitive()),
        DataType::Date32 => numbers::<Date32Type>(column.as_primitive()),
        DataType::Decimal128(..) => numbers::<Decimal128Type>(column.as_primitive()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => numbers::<TimestampMicrosecondType>(column.as_primitive()),
        _ => true,
    }
}

fn numbers<T: ArrowPrimitiveType<Native: Hash + Eq>>(column: &PrimitiveArray<T>) -> bool {
    by(column.iter().flatten())
}

fn by<V: Hash + Eq>(values: impl Iterator<Item = V>) -> bool {
    let mut different = HashSet::with_capacity(EARLY);
    let mut seen = 0;
    for value in values.take(SAMPLE_MAX) {
        different.insert(value);
        seen += 1;
        if seen == EARLY && different.len() <= EARLY / 2 {
            return true;
        }
    }
    seen < SAMPLE_MIN || different.len() <= seen / 16 * 15
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn a_column_that_repeats_is_told_from_one_that_does_not() {
        let numbers = |different: i64| Int64Array::from_iter_values((0..8192).map(|n| n * 7919 % different));
        assert!(seen_in(&numbers(3)));
        assert!(seen_in(&numbers(4000)));
        assert!(!seen_in(&numbers(1 << 40)));
        assert!(!seen_in(&StringArray::from_iter_values((0..8192).map(|n| format!("SO-{n:09}")))));
        assert!(seen_in(&StringArray::from_iter_values((0..8192).map(|n| ["EUR", "USD"][n % 2]))));
    }

    #[test]
    fn a_few_values_and_no_values_tell_nothing() {
        assert!(seen_in(&Int64Array::from_iter_values(0..2000)));
        assert!(seen_in(&Int64Array::new_null(8192)));
        let sparse = Int64Array::from_iter((0..8192).map(|n| (n % 8 == 0).then_some(n)));
        assert!(seen_in(&sparse));
    }
}
