//! Hashing in Redshift: SHA2 of a VARCHAR, STRTOL for numbers, no CONCAT_WS, no bits of a double.
//!
//! Facts: AWS, Redshift Database Developer Guide: SHA2, STRTOL, TO_HEX, VARBYTE operators, JSON_TYPEOF. Not measured on a
//! cluster: SHA2 over VARBYTE, and that POWER is exact for powers of two.

use crate::{
    model::{
        ColumnType,
        checksum::{ComparedColumn, Form, float_of, text_of},
    },
    warehouse::redshift::sql,
};

use super::{Hashing, Literals};

/// Redshift.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RedshiftHashing;

/// Bits of a double's mantissa, as a power of two.
const MANTISSA: &str = "4503599627370496";

impl RedshiftHashing {
    /// The bits of a double, by arithmetic that loses nothing: dividing by a power of two only changes the exponent, and a
    /// mantissa of 53 bits is an exact BIGINT. The logarithm may be off by one at a power of two, which is put right.
    fn float(column: &str) -> String {
        // Zero has no logarithm, and no branch of a CASE is sure not to be computed.
        let x = format!("NULLIF(ABS({column}::FLOAT8), 0)");
        // Kept inside of what POWER can answer: the greatest doubles round up to 2^1024, the least have no power of their own.
        let guess = format!("LEAST(GREATEST(FLOOR(LN({x}) / LN(2.0::FLOAT8)), -1022), 1023)");
        let exponent = format!(
            "GREATEST({guess} + CASE WHEN {x} / POWER(2.0::FLOAT8, {guess}) >= 2 THEN 1 \
             WHEN {x} / POWER(2.0::FLOAT8, {guess}) < 1 THEN -1 ELSE 0 END, -1022)"
        );
        // Numbers below 2^-1022 have the least exponent and no leading one; 2^52 is taken off and added with the exponent.
        let mantissa = format!("({x} / POWER(2.0::FLOAT8, {exponent}) * {MANTISSA})::BIGINT");
        let magnitude = format!("{mantissa} + (({exponent})::BIGINT + 1022) * {MANTISSA}");
        // The sign is the greatest bit: adding the least BIGINT sets it.
        format!(
            "CASE WHEN {column} = 0 THEN '0000000000000000' WHEN {column} < 0 \
             THEN TO_HEX({magnitude} + (-9223372036854775807 - 1)) WHEN {column} > 0 THEN LPAD(TO_HEX({magnitude}), 16, '0') END"
        )
    }
}

impl Literals for RedshiftHashing {
    fn name(&self, name: &str) -> String {
        sql::name(name)
    }

    fn text(&self, text: &str) -> String {
        sql::text_literal(text)
    }

    fn literal(&self, column: &ComparedColumn, token: &str) -> String {
        match Form::of_key(column.ty) {
            Form::Boolean => if token == "1" { "TRUE" } else { "FALSE" }.to_owned(),
            Form::Integer | Form::Decimal { .. } => token.to_owned(),
            Form::Float => format!("{:e}::FLOAT8", float_of(token).unwrap_or_default()),
            Form::Date => format!("'{token}'::DATE"),
            Form::Instant if column.ty == ColumnType::TimestampTz => format!("'{token}+00'::TIMESTAMPTZ"),
            Form::Instant => format!("'{token}'::TIMESTAMP"),
            Form::Bytes => format!("FROM_HEX('{token}')"),
            _ => self.text(text_of(token)),
        }
    }
}

impl Hashing for RedshiftHashing {
    fn token(&self, column: &str, form: Form) -> String {
        match form {
            Form::Boolean => format!("CASE WHEN {column} THEN '1' WHEN NOT {column} THEN '0' END"),
            Form::Integer | Form::Decimal { .. } => format!("{column}::VARCHAR"),
            Form::Float => Self::float(column),
            Form::Date => format!("TO_CHAR({column}, 'YYYY-MM-DD')"),
            Form::Instant => format!("TO_CHAR({column}, 'YYYY-MM-DD HH24:MI:SS.US')"),
            Form::Text => format!("OCTET_LENGTH({column})::VARCHAR || ':' || {column}"),
            Form::TextDigest => self.sha256(column),
            // Parsed JSON has no text that could be compared: its kind alone is.
            Form::JsonText | Form::JsonKind => format!(
                "CASE JSON_TYPEOF({column}) WHEN 'object' THEN 'o' WHEN 'array' THEN 'a' WHEN 'string' THEN 's' \
                 WHEN 'number' THEN 'n' WHEN 'boolean' THEN 'b' WHEN 'null' THEN 'z' END"
            ),
            Form::Bytes => format!("TO_HEX({column})"),
            Form::BytesDigest => self.sha256(column),
        }
    }

    fn whole(&self, column: &str, form: Form) -> String {
        match form {
            // TO_HEX of 32 KiB fills a VARCHAR; longer values are told apart by their digests.
            Form::Text => format!("TO_HEX({column}::VARBYTE)"),
            Form::TextDigest => format!("TO_HEX({column}::VARBYTE(16777216))"),
            other => self.token(column, other),
        }
    }

    fn sha256(&self, text: &str) -> String {
        format!("SHA2({text}, 256)")
    }

    fn number(&self, digits: &str) -> String {
        format!("STRTOL({digits}, 16)")
    }

    fn sum(&self, number: &str) -> String {
        // SUM of BIGINT is a BIGINT-wide NUMERIC there and could overflow: 38 digits hold 10^19 rows.
        format!("COALESCE(SUM({number}::DECIMAL(38, 0)), 0)::VARCHAR")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The arithmetic of [`RedshiftHashing::float`], step by step.
    fn bits(value: f64) -> u64 {
        let x = value.abs();
        let mut exponent = (x.ln() / 2f64.ln()).floor().clamp(-1022.0, 1023.0);
        let scaled = |e: f64| x / 2f64.powf(e);
        exponent += if scaled(exponent) >= 2.0 {
            1.0
        } else if scaled(exponent) < 1.0 {
            -1.0
        } else {
            0.0
        };
        exponent = exponent.max(-1022.0);
        let mantissa = (scaled(exponent) * 4_503_599_627_370_496.0) as i64;
        let magnitude = mantissa + (exponent as i64 + 1022) * 4_503_599_627_370_496;
        (if value < 0.0 { magnitude.wrapping_add(i64::MIN) } else { magnitude }) as u64
    }

    #[test]
    fn the_arithmetic_gives_the_bits_of_a_double() {
        let some = [0.1, 1.0, 2.0, 3.0, 0.5, 1e300, f64::MAX, f64::MIN_POSITIVE, f64::MIN_POSITIVE / 4.0, 5e-324, 1e15];
        for value in some.into_iter().flat_map(|v| [v, -v]) {
            assert_eq!(bits(value), value.to_bits(), "{value:e}");
        }
        for e in -1022..=1023 {
            let power = 2f64.powi(e);
            assert_eq!(bits(power), power.to_bits(), "2^{e}");
            let below = f64::from_bits(power.to_bits() - 1);
            assert_eq!(bits(below), below.to_bits(), "just below 2^{e}");
        }
    }

    #[test]
    fn literals_cannot_end_their_statement() {
        let column = |ty| ComparedColumn { name: "k".to_owned(), ty, source: String::new() };
        let text = RedshiftHashing.literal(&column(ColumnType::Text { bytes_max: None }), "4:a\\'b");
        assert_eq!(text, "'a\\\\''b'");
        let bytes = RedshiftHashing.literal(&column(ColumnType::Binary { bytes_max: None }), "00ff");
        assert_eq!(bytes, "FROM_HEX('00ff')");
    }

    #[test]
    fn expressions_are_of_its_dialect() {
        let h = RedshiftHashing;
        assert_eq!(h.number("LEFT(d, 15)"), "STRTOL(LEFT(d, 15), 16)");
        assert_eq!(h.token("\"c\"", Form::Text), "OCTET_LENGTH(\"c\")::VARCHAR || ':' || \"c\"");
        assert!(h.token("\"c\"", Form::JsonKind).starts_with("CASE JSON_TYPEOF(\"c\")"));
    }
}
