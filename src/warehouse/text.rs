//! Values as text: dates and times of one width, decimals with all their digits.

use std::fmt::Write as _;

const MICROS_PER_DAY: i64 = 86_400_000_000;
/// 0000-01-01 and 9999-12-31 in days since 1970-01-01.
const DAYS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

/// `YYYY-MM-DD`; `None` outside the years 0 to 9999.
pub(crate) fn date(days: i64) -> Option<String> {
    let mut out = String::with_capacity(10);
    push_date(&mut out, days)?;
    Some(out)
}

/// `YYYY-MM-DD HH:MM:SS.ffffff`; `None` outside the years 0 to 9999.
pub(crate) fn timestamp(micros: i64) -> Option<String> {
    let mut out = String::with_capacity(26);
    push_date(&mut out, micros.div_euclid(MICROS_PER_DAY))?;
    let of_day = micros.rem_euclid(MICROS_PER_DAY);
    let (seconds, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(out, " {hour:02}:{minute:02}:{second:02}.{fraction:06}").ok()?;
    Some(out)
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
fn push_date(out: &mut String, days: i64) -> Option<()> {
    if !DAYS.contains(&days) {
        return None;
    }
    // Eras of 400 years beginning on 1 March of year 0.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    write!(out, "{year:04}-{month:02}-{day:02}").ok()
}

/// `-12.340`: all decimals of the type, so that equal numbers are equal text.
pub(crate) fn decimal(unscaled: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let mut digits = unscaled.unsigned_abs().to_string();
    if digits.len() <= scale {
        digits.insert_str(0, &"0".repeat(scale + 1 - digits.len()));
    }
    if scale > 0 {
        digits.insert(digits.len() - scale, '.');
    }
    if unscaled < 0 {
        digits.insert(0, '-');
    }
    digits
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_width_and_order() {
        assert_eq!(timestamp(0).unwrap(), "1970-01-01 00:00:00.000000");
        assert_eq!(timestamp(-1).unwrap(), "1969-12-31 23:59:59.999999");
        assert_eq!(timestamp(1_709_164_800_000_001).unwrap(), "2024-02-29 00:00:00.000001");
        assert_eq!(date(*DAYS.start()).unwrap(), "0000-01-01");
        assert_eq!(date(*DAYS.end()).unwrap(), "9999-12-31");
        assert_eq!(date(DAYS.end() + 1), None);
        assert_eq!(timestamp(i64::MIN), None);
    }

    #[test]
    fn decimals_keep_their_digits() {
        assert_eq!(decimal(-5, 3), "-0.005");
        assert_eq!(decimal(12_340, 2), "123.40");
        assert_eq!(decimal(u64::MAX.into(), 0), "18446744073709551615");
        assert_eq!(decimal(0, 2), "0.00");
    }
}
