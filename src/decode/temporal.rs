//! MySQL's packed dates and times.
//!
//! Layouts: MySQL source documentation, `my_time_packed`, `TIMEF_INT_OFS`, `DATETIMEF_INT_OFS`.

/// Why a date has no place in a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoDate {
    /// `0000-00-00`, with or without a time.
    Zero,
    /// A part is zero, or the day is not in the month (`2024-02-31` under ALLOW_INVALID_DATES). Year 0 counts as such:
    /// MySQL documents 1000 to 9999, and warehouses have no year 0.
    Partial,
    /// Bits that MySQL never writes.
    Corrupt,
}

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Bytes of the fraction of a value with `fsp` digits.
pub(super) fn fraction_bytes(fsp: u8) -> usize {
    usize::from(fsp).div_ceil(2)
}

/// Microseconds of a fraction stored in `bytes` bytes: hundredths, ten-thousandths or millionths.
fn fraction_micros(bytes: usize, raw: u64) -> i64 {
    let unit = match bytes {
        1 => 10_000,
        2 => 100,
        _ => 1,
    };
    raw as i64 * unit
}

/// Days since 1970-01-01 of a day in the proleptic Gregorian calendar.
#[inline]
pub(super) fn days(year: u32, month: u32, day: u32) -> Result<i32, NoDate> {
    if year == 0 && month == 0 && day == 0 {
        return Err(NoDate::Zero);
    }
    if month > 12 || year > 9999 {
        return Err(NoDate::Corrupt);
    }
    if year == 0 || month == 0 || day == 0 || day > days_in_month(year, month) {
        return Err(NoDate::Partial);
    }
    // Count years from March, so that the leap day is the last day of its year.
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before_year = shifted_year * 365 + shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    let before_month = (shifted_month * 153 + 2) / 5;
    // 719 468 days lie between 0000-03-01 and 1970-01-01.
    Ok((before_year + before_month + day - 1) as i32 - 719_468)
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Microseconds since the epoch of a wall-clock time.
#[inline]
pub(super) fn wall_clock(date: (u32, u32, u32), time: (u32, u32, u32), micros: i64) -> Result<i64, NoDate> {
    let (hour, minute, second) = time;
    if hour > 23 || minute > 59 || second > 59 || micros >= MICROS_PER_SECOND {
        return Err(NoDate::Corrupt);
    }
    let days = days(date.0, date.1, date.2)?;
    let seconds = i64::from(days) * SECONDS_PER_DAY + i64::from(hour * 3600 + minute * 60 + second);
    Ok(seconds * MICROS_PER_SECOND + micros)
}

/// DATE: day 5 bits, month 4 bits, year.
#[inline]
pub(super) fn date(packed: u32) -> Result<i32, NoDate> {
    days(packed >> 9, packed >> 5 & 15, packed & 31)
}

/// DATETIME: 5 bytes big-endian with the sign bit set, `fraction` of `fraction_bytes` bytes behind them.
#[inline]
pub(super) fn datetime(packed: u64, fraction_bytes: usize, fraction: u64) -> Result<i64, NoDate> {
    let Some(v) = packed.checked_sub(0x80_0000_0000) else { return Err(NoDate::Corrupt) };
    let year_month = (v >> 22) as u32;
    let low = v as u32;
    wall_clock(
        (year_month / 13, year_month % 13, low >> 17 & 31),
        (low >> 12 & 31, low >> 6 & 63, low & 63),
        fraction_micros(fraction_bytes, fraction),
    )
}

/// DATETIME as before 5.6: the decimal number YYYYMMDDhhmmss.
pub(super) fn old_datetime(number: u64) -> Result<i64, NoDate> {
    if number > 99_999_999_999_999 {
        return Err(NoDate::Corrupt);
    }
    let (date, time) = ((number / 1_000_000) as u32, (number % 1_000_000) as u32);
    wall_clock((date / 10_000, date / 100 % 100, date % 100), (time / 10_000, time / 100 % 100, time % 100), 0)
}

/// TIMESTAMP: unsigned seconds (MariaDB uses all 32 bits, to 2106) and a fraction. 0 is `0000-00-00 00:00:00`.
#[inline]
pub(super) fn timestamp(seconds: u32, fraction_bytes: usize, fraction: u64) -> Result<i64, NoDate> {
    let micros = fraction_micros(fraction_bytes, fraction);
    if micros >= MICROS_PER_SECOND {
        return Err(NoDate::Corrupt);
    }
    if seconds == 0 && micros == 0 {
        return Err(NoDate::Zero);
    }
    Ok(i64::from(seconds) * MICROS_PER_SECOND + micros)
}

/// Appends TIME as MySQL prints it: `[-]hh:mm:ss[.ffffff]`, hours of two or three digits and `fsp` fractional digits.
/// `raw` is the big-endian integer of the 3 + fraction bytes, so that the fraction borrows from the seconds by itself.
pub(super) fn write_time(raw: u64, fsp: u8, out: &mut Vec<u8>) -> Result<(), NoDate> {
    let bytes = fraction_bytes(fsp);
    let fraction_bits = 8 * bytes as u32;
    let value = raw as i64 - (0x80_0000_i64 << fraction_bits);
    let magnitude = value.unsigned_abs();
    let micros = fraction_micros(bytes, magnitude & ((1 << fraction_bits) - 1));
    let whole = (magnitude >> fraction_bits) as u32;
    if micros >= MICROS_PER_SECOND {
        return Err(NoDate::Corrupt);
    }
    write_time_of(value < 0, (whole >> 12, whole >> 6 & 63, whole & 63), micros as u32, fsp, out)
}

/// Appends TIME from its parts, as [`write_time`].
pub(super) fn write_time_of(
    negative: bool,
    clock: (u32, u32, u32),
    micros: u32,
    fsp: u8,
    out: &mut Vec<u8>,
) -> Result<(), NoDate> {
    if i64::from(micros) >= MICROS_PER_SECOND {
        return Err(NoDate::Corrupt);
    }
    write_clock(negative, clock, out)?;
    if fsp > 0 {
        out.push(b'.');
        let scaled = micros / 10_u32.pow(6 - u32::from(fsp.min(6)));
        write_padded(scaled, usize::from(fsp), out);
    }
    Ok(())
}

/// Appends TIME as before 5.6: the signed decimal number hhmmss.
pub(super) fn write_old_time(number: i32, out: &mut Vec<u8>) -> Result<(), NoDate> {
    let magnitude = number.unsigned_abs();
    write_clock(number < 0, (magnitude / 10_000, magnitude / 100 % 100, magnitude % 100), out)
}

fn write_clock(negative: bool, (hours, minutes, seconds): (u32, u32, u32), out: &mut Vec<u8>) -> Result<(), NoDate> {
    if hours > 838 || minutes > 59 || seconds > 59 {
        return Err(NoDate::Corrupt);
    }
    if negative {
        out.push(b'-');
    }
    write_padded(hours, if hours > 99 { 3 } else { 2 }, out);
    out.push(b':');
    write_padded(minutes, 2, out);
    out.push(b':');
    write_padded(seconds, 2, out);
    Ok(())
}

/// Appends the last `digits` (at most 9) decimal digits of `value`, with leading zeros.
pub(super) fn write_padded(mut value: u32, digits: usize, out: &mut Vec<u8>) {
    let mut text = [b'0'; 9];
    for place in text.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(text.get(text.len().saturating_sub(digits)..).unwrap_or_default());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pack_datetime(y: u64, mo: u64, d: u64, h: u64, mi: u64, s: u64) -> u64 {
        0x80_0000_0000 + (((y * 13 + mo) << 22) | d << 17 | h << 12 | mi << 6 | s)
    }

    fn time(raw: u64, fsp: u8) -> String {
        let mut out = Vec::new();
        write_time(raw, fsp, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn days_agree_with_a_walk_through_the_calendar() {
        let mut expected = days(1, 1, 1).unwrap();
        assert_eq!(expected, -719_162);
        for year in 1..=9999 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    assert_eq!(days(year, month, day), Ok(expected));
                    expected += 1;
                }
            }
        }
        assert_eq!(days(1970, 1, 1), Ok(0));
        assert_eq!(expected - 1, 2_932_896);
    }

    #[test]
    fn dates_without_a_place_are_told_apart() {
        assert_eq!(date(0), Err(NoDate::Zero));
        assert_eq!(date(2024 << 9 | 15), Err(NoDate::Partial));
        assert_eq!(date(2024 << 9 | 2 << 5 | 31), Err(NoDate::Partial));
        assert_eq!(date(1 << 5 | 1), Err(NoDate::Partial));
        assert_eq!(date(2024 << 9 | 13 << 5 | 1), Err(NoDate::Corrupt));
        assert_eq!(date(2024 << 9 | 2 << 5 | 29), Ok(19_782));
    }

    #[test]
    fn datetimes_and_fractions() {
        assert_eq!(datetime(pack_datetime(1970, 1, 1, 0, 0, 1), 3, 5), Ok(1_000_005));
        assert_eq!(datetime(pack_datetime(1970, 1, 1, 0, 0, 0), 1, 99), Ok(990_000));
        assert_eq!(datetime(pack_datetime(1969, 12, 31, 23, 59, 59), 2, 9999), Ok(-100));
        assert_eq!(datetime(0x80_0000_0000, 0, 0), Err(NoDate::Zero));
        assert_eq!(datetime(1, 0, 0), Err(NoDate::Corrupt));
        assert_eq!(datetime(pack_datetime(2024, 1, 1, 24, 0, 0), 0, 0), Err(NoDate::Corrupt));
        assert_eq!(old_datetime(99_991_231_235_959), Ok(253_402_300_799_000_000));
        assert_eq!(old_datetime(0), Err(NoDate::Zero));
        assert_eq!(old_datetime(u64::MAX), Err(NoDate::Corrupt));
        assert_eq!(timestamp(u32::MAX, 0, 0), Ok(4_294_967_295_000_000));
        assert_eq!(timestamp(0, 3, 0), Err(NoDate::Zero));
    }

    #[test]
    fn times_print_as_mysql_prints_them() {
        assert_eq!(time(0x80_0000, 0), "00:00:00");
        assert_eq!(time(0x80_0000 + (838 << 12 | 59 << 6 | 59), 0), "838:59:59");
        assert_eq!(time(0x80_0000 - (838 << 12 | 59 << 6 | 59), 0), "-838:59:59");
        // -00:00:00.50: the fraction borrows from the whole seconds.
        assert_eq!(time((0x80_0000 << 8) - 50, 2), "-00:00:00.50");
        assert_eq!(time((0x80_0000 << 8) + 50, 1), "00:00:00.5");
        assert_eq!(time((0x80_0000 << 16) + 1, 4), "00:00:00.0001");
        assert_eq!(time((0x80_0000 << 24) + ((1 << 12 | 2 << 6 | 3) << 24) + 7, 6), "01:02:03.000007");
        let mut out = Vec::new();
        write_old_time(-8_385_959, &mut out).unwrap();
        assert_eq!(out, b"-838:59:59");
        assert_eq!(write_time(0, 0, &mut out), Err(NoDate::Corrupt));
    }
}
