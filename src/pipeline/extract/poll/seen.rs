//! Rows that the log has already: a round looks at the last ones again, and what is equal makes no change.
//!
//! A row counts as known only where the last content that was written for its key is exactly this one, so a row that changed and
//! changed back within a second is written again. What is not known is written, which is always right and only makes the merge work.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    model::Digest,
    source::mysql::snapshot::{Cell, RowCells},
};

/// Rows that are known at most, the last ones read: 48 characters each in the lake, once a round. A window with more rows has its
/// older ones written again in every round.
pub(super) const ROWS_MAX: usize = 32_768;

/// Digests of rows by digests of their keys. Two keys with one digest only make a row be written again.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Of rounds before.
    last: HashMap<u64, u128, RandomState>,
    /// Of this round, with their places in `order`.
    this: HashMap<u64, (u128, u64), RandomState>,
    order: VecDeque<(u64, u64)>,
    next: u64,
}

impl Seen {
    /// Whether the log has exactly this row for its key.
    pub(super) fn knows(&self, key: u64, row: u128) -> bool {
        let known = self.this.get(&key).map(|(row, _)| row).or_else(|| self.last.get(&key));
        known == Some(&row)
    }

    /// A row of the key is in the log, and nobody says which.
    pub(super) fn forget(&mut self, key: u64) {
        self.last.remove(&key);
        self.this.remove(&key);
    }

    /// The log has this row for its key.
    pub(super) fn note(&mut self, key: u64, row: u128) {
        self.last.remove(&key);
        self.this.insert(key, (row, self.next));
        self.order.push_back((key, self.next));
        self.next += 1;
        if self.order.len() > ROWS_MAX
            && let Some((oldest, place)) = self.order.pop_front()
            && self.this.get(&oldest).is_some_and(|(_, newest)| *newest == place)
        {
            self.this.remove(&oldest);
        }
    }

    /// The round is complete: what it did not meet is outside of the window.
    pub(super) fn turn(&mut self) {
        self.last = std::mem::take(&mut self.this).into_iter().map(|(key, (row, _))| (key, row)).collect();
        self.order.clear();
    }
}

/// Digests of a row and of its key: `key` says which columns that is. `salt` tells apart what is written differently.
pub(super) fn digests(row: &RowCells, key: &[usize], salt: &[u8], buffer: &mut Vec<u8>) -> (u64, u128) {
    buffer.clear();
    key.iter().for_each(|column| write(row.cell(*column), buffer));
    let key = number(&Digest::of(buffer));
    buffer.clear();
    buffer.extend_from_slice(salt);
    (0..row.len()).for_each(|column| write(row.cell(column), buffer));
    let row = Digest::of(buffer);
    (key, u128::from_str_radix(row.as_str().get(..32).unwrap_or_default(), 16).unwrap_or_default())
}

fn number(digest: &Digest) -> u64 {
    u64::from_str_radix(digest.short(), 16).unwrap_or_default()
}

/// Writes a value so that no other one is written in the same way.
fn write(cell: Cell<'_>, out: &mut Vec<u8>) {
    let mut put = |kind: u8, bytes: &[u8]| {
        out.push(kind);
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    match cell {
        Cell::Null => put(0, &[]),
        Cell::Int(n) => put(1, &n.to_le_bytes()),
        Cell::UInt(n) => put(2, &n.to_le_bytes()),
        Cell::Float(n) => put(3, &n.to_bits().to_le_bytes()),
        Cell::Double(n) => put(4, &n.to_bits().to_le_bytes()),
        Cell::Bytes(bytes) => put(5, bytes),
        Cell::Date(d) => {
            let year = d.year.to_le_bytes();
            put(6, &[year[0], year[1], d.month, d.day, d.hour, d.minute, d.second]);
            put(6, &d.micros.to_le_bytes());
        }
        Cell::Time(t) => {
            put(7, &t.hours.to_le_bytes());
            put(7, &[u8::from(t.negative), t.minutes, t.seconds]);
            put(7, &t.micros.to_le_bytes());
        }
    }
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let this = self.this.iter().map(|(key, (row, _))| (*key, *row));
        let room = ROWS_MAX.saturating_sub(self.this.len());
        let last = self.last.iter().take(room).map(|(key, row)| (*key, *row));
        let text: String = this.chain(last).map(|(key, row)| format!("{key:016x}{row:032x}")).collect();
        text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let pair = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok()?;
            let (key, row) = digits.split_at_checked(16)?;
            Some((u64::from_str_radix(key, 16).ok()?, u128::from_str_radix(row, 16).ok()?))
        };
        let last = text.as_bytes().chunks(48).map(pair).collect::<Option<_>>();
        let last = last.ok_or_else(|| de::Error::custom("not a list of digests"))?;
        Ok(Self { last, ..Self::default() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_content_of_a_key_is_known() {
        let mut seen = Seen::default();
        assert!(!seen.knows(1, 10));
        seen.note(1, 10);
        assert!(seen.knows(1, 10));
        seen.note(1, 11);
        assert!(!seen.knows(1, 10), "it changed and changed back");
        seen.note(1, 10);
        seen.turn();
        let mut seen: Seen = serde_json::from_str(&serde_json::to_string(&seen).unwrap()).unwrap();
        assert!(seen.knows(1, 10));
        seen.note(1, 12);
        assert!(!seen.knows(1, 10));
        seen.turn();
        assert!(seen.knows(1, 12));
        seen.turn();
        assert!(!seen.knows(1, 12), "a round did not meet it");
    }

    #[test]
    fn the_newest_rows_stay_known() {
        let mut seen = Seen::default();
        let rows = ROWS_MAX as u64 + 100;
        for key in 0..rows {
            seen.note(key, 1);
        }
        seen.turn();
        assert_eq!(seen.last.len(), ROWS_MAX);
        assert!(!seen.knows(99, 1) && seen.knows(100, 1) && seen.knows(rows - 1, 1));
        seen.forget(100);
        assert!(!seen.knows(100, 1));
        seen.note(100, 1);
        seen.turn();
        seen.last.extend((0..ROWS_MAX as u64).map(|key| (key, 1)));
        assert_eq!(serde_json::to_string(&seen).unwrap().len(), ROWS_MAX * 48 + 2);
    }
}
