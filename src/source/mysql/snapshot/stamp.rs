//! Columns that tell when a row was changed, and times of theirs as numbers.
//!
//! A time is counted in microseconds from 1970 as the column shows it: UTC for TIMESTAMP (sessions of readers are set to UTC), and
//! whatever clock its writers use for DATETIME.

use mysql_async::Value;

use super::{
    cell::{Cell, DateParts},
    key::{KeyColumn, KeyKind},
};

/// A column that tells when a row was changed.
#[derive(Clone, Debug)]
pub struct Stamp {
    pub(super) column: KeyColumn,
    /// An index that begins with it; without one every look reads the whole table.
    pub index: Option<String>,
    /// TIMESTAMP: always UTC.
    pub zoned: bool,
}

impl Stamp {
    pub(super) fn new(name: &str, index: Option<String>, zoned: bool) -> Self {
        Self { column: KeyColumn { name: name.to_owned(), kind: KeyKind::Plain }, index, zoned }
    }
}

/// What the source's clock shows, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerTime {
    /// In UTC.
    pub utc: i64,
    /// In the server's own time zone, which `NOW()` writes into DATETIME columns unless a session chose another one.
    pub zone: i64,
}

impl ServerTime {
    /// What the clock of the column's writers shows, as far as the server can tell.
    pub fn of(&self, stamp: &Stamp) -> i64 {
        if stamp.zoned { self.utc } else { self.zone }
    }

    /// A time that no writer's clock has reached yet.
    pub fn latest(&self, stamp: &Stamp) -> i64 {
        if stamp.zoned { self.utc } else { self.utc.max(self.zone) }
    }
}

const DAY_MICROS: i64 = 86_400_000_000;

/// The time as a number; `None` for zero dates and what is no time.
pub fn micros(cell: Cell<'_>) -> Option<i64> {
    let Cell::Date(d) = cell else { return None };
    if d.month == 0 || d.day == 0 {
        return None;
    }
    let seconds = i64::from(d.hour) * 3600 + i64::from(d.minute) * 60 + i64::from(d.second);
    Some(days(&d) * DAY_MICROS + seconds * 1_000_000 + i64::from(d.micros))
}

/// Days since 1970-01-01 (years that begin in March, eras of 400 of them).
fn days(d: &DateParts) -> i64 {
    let year = i64::from(d.year) - i64::from(d.month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month = (i64::from(d.month) + 9) % 12;
    let of_year = (153 * month + 2) / 5 + i64::from(d.day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The parameter for a time; times outside of the years 1 to 9999 become the nearest that the server takes.
pub(super) fn value(micros: i64) -> Value {
    const YEAR_1: i64 = -719_162 * DAY_MICROS;
    const YEAR_10000: i64 = 2_932_897 * DAY_MICROS;
    let micros = micros.clamp(YEAR_1, YEAR_10000 - 1);
    let (day, rest) = (micros.div_euclid(DAY_MICROS) + 719_468, micros.rem_euclid(DAY_MICROS));
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let of_400 = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * of_400 + of_400 / 4 - of_400 / 100);
    let shifted = (5 * of_year + 2) / 153;
    let date = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + of_400 + i64::from(month <= 2);
    let seconds = rest / 1_000_000;
    // All of them are within their bounds by the arithmetic above.
    let small = |n: i64| u8::try_from(n).unwrap_or_default();
    Value::Date(
        u16::try_from(year).unwrap_or_default(),
        small(month),
        small(date),
        small(seconds / 3600),
        small(seconds / 60 % 60),
        small(seconds % 60),
        u32::try_from(rest % 1_000_000).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(value: Value) -> Option<i64> {
        let Value::Date(year, month, day, hour, minute, second, micros) = value else { return None };
        super::micros(Cell::Date(DateParts { year, month, day, hour, minute, second, micros }))
    }

    #[test]
    fn times_survive_their_number() {
        assert_eq!(back(Value::Date(1970, 1, 1, 0, 0, 0, 0)), Some(0));
        assert_eq!(back(Value::Date(2000, 2, 29, 23, 59, 59, 999_999)), Some(951_868_799_999_999));
        for micros in
            [0, -1, 1, 951_868_799_999_999, 4_102_444_800_000_000, -62_135_596_800_000_000, 253_402_300_799_999_999]
        {
            assert_eq!(back(value(micros)), Some(micros));
        }
        assert_eq!(back(value(i64::MIN)), Some(-62_135_596_800_000_000));
        assert_eq!(back(value(i64::MAX)), Some(253_402_300_799_999_999));
        assert_eq!(back(Value::Date(0, 0, 0, 0, 0, 0, 0)), None);
    }
}
