use super::*;

/// The number that PostgreSQL reads from a field: sign, groups weighted, digits behind the point.
fn read_numeric(field: &[u8]) -> String {
    let at = |i: usize| u16::from_be_bytes([field[4 + 2 * i], field[5 + 2 * i]]);
    assert_eq!(u32::from_be_bytes(field[..4].try_into().unwrap()) as usize, field.len() - 4);
    let (count, weight, sign, scale) = (at(0), at(1) as i16, at(2), usize::from(at(3)));
    let group = |power: i16| {
        let index = weight - power;
        if (0..count as i16).contains(&index) { at(4 + index as usize) } else { 0 }
    };
    let whole: String = (0..=weight.max(0)).rev().map(|power| format!("{:04}", group(power))).collect();
    let behind: String = (0..scale.div_ceil(4)).map(|i| format!("{:04}", group(-1 - i as i16))).collect();
    let whole = whole.trim_start_matches('0');
    let sign = if sign == 0 { "" } else { "-" };
    format!("{sign}{}.{}", if whole.is_empty() { "0" } else { whole }, &behind[..scale])
}

#[test]
fn decimals_keep_every_digit() {
    let nines = 10_i128.pow(38) - 1;
    let cases: [(i128, u8, &str); 14] = [
        (0, 0, "0."),
        (0, 2, "0.00"),
        (1, 0, "1."),
        (-1, 2, "-0.01"),
        (12345, 2, "123.45"),
        (10_000, 0, "10000."),
        (10_000, 4, "1.0000"),
        (1, 5, "0.00001"),
        (100_000_000, 3, "100000.000"),
        (-99_990_000, 4, "-9999.0000"),
        (nines, 0, "99999999999999999999999999999999999999."),
        (nines, 37, "9.9999999999999999999999999999999999999"),
        (-nines, 38, "-0.99999999999999999999999999999999999999"),
        (1, 37, "0.0000000000000000000000000000000000001"),
    ];
    for (value, scale, expected) in cases {
        let mut out = Vec::new();
        numeric(&mut out, value, scale);
        assert_eq!(read_numeric(&out), expected);
    }
}

#[test]
fn decimals_are_read_from_every_width() {
    assert_eq!(unscaled(Value::Bytes(&[0xff])), Ok(-1));
    assert_eq!(unscaled(Value::Bytes(&[0x00, 0xff])), Ok(255));
    assert_eq!(unscaled(Value::Bytes(&i128::MIN.to_be_bytes())), Ok(i128::MIN));
    assert_eq!(unscaled(Value::Bytes(&[0; 17])), Err(Unfit::Corrupt));
    assert_eq!(unscaled(Value::Bytes(&[])), Err(Unfit::Corrupt));
    let conversion = Conversion::Decimal { scale: 0, limit: 99 };
    assert_eq!(write(&mut Vec::new(), Value::Int32(-100), conversion, None), Err(Unfit::OutOfRange));
}

#[test]
fn text_is_measured_in_bytes_and_repaired_on_request() {
    let text = |bytes: &[u8], accept| {
        let mut out = Vec::new();
        write(&mut out, Value::Bytes(bytes), Conversion::Text { bytes_max: 4 }, accept).map(|()| out[4..].to_vec())
    };
    assert_eq!(text("éé".as_bytes(), None), Ok("éé".as_bytes().to_vec()));
    assert_eq!(text("ééa".as_bytes(), None), Err(Unfit::TooLong(5)));
    assert_eq!(text(b"a\xffb", None), Err(Unfit::InvalidUtf8(0xff)));
    assert_eq!(text(b"a\xe2\x82b", Some('^')), Ok(b"a^^b".to_vec()));
    assert_eq!(text(b"a\0", Some('?')), Err(Unfit::ZeroByte));
    let char = |bytes: &[u8]| write(&mut Vec::new(), Value::Bytes(bytes), Conversion::Char { bytes_max: 2 }, Some('?'));
    assert_eq!(
        (char(b"ab"), char(b"abc"), char("é".as_bytes())),
        (Ok(()), Err(Unfit::TooLong(3)), Err(Unfit::Multibyte))
    );
}

#[test]
fn days_and_times_count_from_the_epoch_of_postgresql() {
    let mut out = Vec::new();
    write(&mut out, Value::Int32(EPOCH_DAYS + 1), Conversion::Date, None).unwrap();
    assert_eq!(out, [0, 0, 0, 4, 0, 0, 0, 1]);
    assert_eq!(write(&mut out, Value::Int32(i32::MIN), Conversion::Date, None), Err(Unfit::OutOfRange));
    out.clear();
    let millis = Conversion::Timestamp { micros: 1000 };
    write(&mut out, Value::Int64(EPOCH_MICROS / 1000 + 2), millis, None).unwrap();
    assert_eq!(out, [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 7, 208]);
    assert_eq!(write(&mut out, Value::Int64(i64::MAX), millis, None), Err(Unfit::OutOfRange));
}

#[test]
fn super_takes_texts_as_scalars_and_documents_as_they_are() {
    let json = |bytes: &[u8], conversion| {
        let mut out = Vec::new();
        write(&mut out, Value::Bytes(bytes), conversion, None).map(|()| String::from_utf8(out[5..].to_vec()).unwrap())
    };
    assert_eq!(json(b"{\"a\":1}", Conversion::JsonText), Ok("\"{\\\"a\\\":1}\"".to_owned()));
    assert_eq!(json(b"{\"a\":1}", Conversion::JsonDocument), Ok("{\"a\":1}".to_owned()));
    assert_eq!(json(b"{\"a\":", Conversion::JsonDocument), Err(Unfit::NotJson));
    assert_eq!(json(b"[\"\\u0000\"]", Conversion::JsonDocument), Err(Unfit::ZeroByte));
    assert_eq!(json(&[b'x'; 65_536], Conversion::JsonText), Err(Unfit::SuperText));
}
