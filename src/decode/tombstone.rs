//! Rows that are known by their key alone and are gone.

use super::{
    ChunkBuilder, DecodeError, Plan,
    column::{ColumnBuilder, Values},
    rows::Fault,
    temporal,
};
use crate::model::{
    ColumnType, Op, Seq,
    checksum::{float_of, text_of, unhex},
};

impl Plan {
    /// Appends the delete of a row by the canonical tokens of its key ([`crate::model::checksum`]), in key order.
    ///
    /// # Errors
    /// When a token is no value of its column; `out` is then as before the call.
    pub fn append_deleted(
        &self,
        key: &[String],
        out: &mut ChunkBuilder,
        seq: Seq,
        committed_at: i64,
    ) -> Result<(), DecodeError> {
        if out.columns.len() != self.schema().columns.len() {
            return Err(DecodeError::Schema);
        }
        for (column, builder) in self.schema().columns.iter().zip(&mut out.columns) {
            let token = column.key.map(|place| key.get(usize::from(place)).map_or("", String::as_str));
            let pushed = match token {
                None => builder.push_null().map_err(Fault::from),
                Some(token) => push(builder, column.ty, token),
            };
            if let Err(fault) = pushed {
                out.abandon_row();
                return Err(DecodeError::Value {
                    column: column.name.clone(),
                    source_type: column.source.clone(),
                    fault,
                });
            }
        }
        out.end_row(seq.0, Op::Delete, committed_at);
        Ok(())
    }
}

fn push(builder: &mut ColumnBuilder, ty: ColumnType, token: &str) -> Result<(), Fault> {
    let scale = if let ColumnType::Decimal { scale, .. } = ty { scale } else { 0 };
    match (&mut builder.values, ty) {
        (Values::Bool(v), _) => v.append(token == "1"),
        (Values::I16(v), _) => v.push(number(token, 0)?.try_into().map_err(|_| Fault::Corrupt)?),
        (Values::I32(v), ColumnType::Date) => v.push(date(token)?),
        (Values::I32(v), _) => v.push(number(token, 0)?.try_into().map_err(|_| Fault::Corrupt)?),
        (Values::I64(v), ColumnType::Int64) => v.push(number(token, 0)?.try_into().map_err(|_| Fault::Corrupt)?),
        (Values::I64(v), _) => v.push(instant(token)?),
        (Values::I128(v), _) => v.push(number(token, scale)?),
        (Values::F32(v), _) => v.push(float_of(token).ok_or(Fault::Corrupt)? as f32),
        (Values::F64(v), _) => v.push(float_of(token).ok_or(Fault::Corrupt)?),
        (Values::Bytes(v), ColumnType::Binary { .. }) => v.push(&unhex(token).ok_or(Fault::Corrupt)?)?,
        (Values::Bytes(v), _) => v.push(text_of(token).as_bytes())?,
    }
    Ok(())
}

/// The unscaled value of a number with any number of decimals, those beyond `scale` being zeros.
fn number(token: &str, scale: u8) -> Result<i128, Fault> {
    let scale = usize::from(scale);
    let (whole, fraction) = token.split_once('.').unwrap_or((token, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > scale {
        return Err(Fault::Corrupt);
    }
    format!("{whole}{fraction:0<scale$}").parse().map_err(|_| Fault::Corrupt)
}

fn part(token: &str, from: usize, to: usize) -> Result<u32, Fault> {
    token.get(from..to).and_then(|digits| digits.parse().ok()).ok_or(Fault::Corrupt)
}

/// `YYYY-MM-DD`.
fn date(token: &str) -> Result<i32, Fault> {
    let day = (part(token, 0, 4)?, part(token, 5, 7)?, part(token, 8, 10)?);
    temporal::days(day.0, day.1, day.2).map_err(|_| Fault::Corrupt)
}

/// `YYYY-MM-DD hh:mm:ss.ffffff`.
fn instant(token: &str) -> Result<i64, Fault> {
    let day = (part(token, 0, 4)?, part(token, 5, 7)?, part(token, 8, 10)?);
    let time = (part(token, 11, 13)?, part(token, 14, 16)?, part(token, 17, 19)?);
    temporal::wall_clock(day, time, part(token, 20, 26)?.into()).map_err(|_| Fault::Corrupt)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tokens_become_the_values_they_stand_for() {
        assert_eq!(number("-5", 0).unwrap(), -5);
        assert_eq!(number("5.00", 0).unwrap(), 5);
        assert_eq!(number("-0.50", 2).unwrap(), -50);
        assert_eq!(number("18446744073709551615", 0).unwrap(), i128::from(u64::MAX));
        assert!(number("0.5", 0).is_err() && number("x", 0).is_err());
        assert_eq!(date("1970-01-02").unwrap(), 1);
        assert_eq!(instant("1970-01-01 00:00:01.000005").unwrap(), 1_000_005);
        assert!(date("1970").is_err() && instant("1970-01-01").is_err());
    }
}
