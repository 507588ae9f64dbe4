//! One value of a row that was read by SELECT, as the server sends it in the binary protocol.

/// A borrowed value. Text is in the column's own character set: nothing was converted on the way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// A signed integer, YEAR included.
    Int(i64),
    /// An unsigned integer; also the number of an ENUM or SET value.
    UInt(u64),
    /// FLOAT, with all its bits.
    Float(f32),
    /// DOUBLE.
    Double(f64),
    /// Text, bytes, DECIMAL as text, BIT as big-endian bytes, JSON as the server prints it.
    Bytes(&'a [u8]),
    /// DATE, DATETIME, TIMESTAMP (in UTC). Any part may be zero.
    Date(DateParts),
    /// TIME.
    Time(TimeParts),
}

/// A calendar date and a time of day, as stored: perhaps in no calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateParts {
    /// 0 to 9999.
    pub year: u16,
    /// 0 to 12.
    pub month: u8,
    /// 0 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// Microseconds.
    pub micros: u32,
}

/// A span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeParts {
    /// Below zero.
    pub negative: bool,
    /// Hours, up to 838.
    pub hours: u32,
    /// 0 to 59.
    pub minutes: u8,
    /// 0 to 59.
    pub seconds: u8,
    /// Microseconds.
    pub micros: u32,
}
