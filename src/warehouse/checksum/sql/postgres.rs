//! Hashing in PostgreSQL. `sha256` is there since version 11.

use crate::{
    model::{
        ColumnType,
        checksum::{ComparedColumn, Form, float_of, text_of},
    },
    warehouse::sql::{quote, text_literal},
};

use super::{Hashing, Literals};

/// PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PostgresHashing;

impl Literals for PostgresHashing {
    fn name(&self, name: &str) -> String {
        quote(name)
    }

    fn text(&self, text: &str) -> String {
        text_literal(text)
    }

    fn literal(&self, column: &ComparedColumn, token: &str) -> String {
        match Form::of_key(column.ty) {
            Form::Boolean => if token == "1" { "TRUE" } else { "FALSE" }.to_owned(),
            Form::Integer | Form::Decimal { .. } => token.to_owned(),
            Form::Float => format!("{:e}::float8", float_of(token).unwrap_or_default()),
            Form::Date => format!("DATE '{token}'"),
            Form::Instant if column.ty == ColumnType::TimestampTz => format!("TIMESTAMPTZ '{token}+00'"),
            Form::Instant => format!("TIMESTAMP '{token}'"),
            Form::Bytes => format!("'\\x{token}'::bytea"),
            _ => self.text(text_of(token)),
        }
    }
}

impl Hashing for PostgresHashing {
    fn token(&self, column: &str, form: Form) -> String {
        match form {
            Form::Boolean => format!("CASE WHEN {column} THEN '1' WHEN NOT {column} THEN '0' END"),
            Form::Integer | Form::Decimal { .. } => format!("{column}::text"),
            // Adding makes 0.0 of -0.0.
            Form::Float => format!("encode(float8send({column}::float8 + 0.0), 'hex')"),
            Form::Date => format!("to_char({column}, 'YYYY-MM-DD')"),
            // The session's time zone is UTC.
            Form::Instant => format!("to_char({column}, 'YYYY-MM-DD HH24:MI:SS.US')"),
            Form::Text => format!("octet_length({column})::text || ':' || {column}"),
            Form::TextDigest => self.sha256(column),
            Form::JsonText | Form::JsonKind => self.sha256(&format!("{column}::text")),
            Form::Bytes => format!("encode({column}, 'hex')"),
            Form::BytesDigest => format!("encode(sha256({column}), 'hex')"),
        }
    }

    fn whole(&self, column: &str, form: Form) -> String {
        match form {
            Form::Text | Form::TextDigest | Form::JsonText | Form::JsonKind => {
                format!("encode(convert_to({column}::text, 'UTF8'), 'hex')")
            }
            Form::Bytes | Form::BytesDigest => format!("encode({column}, 'hex')"),
            other => self.token(column, other),
        }
    }

    fn sha256(&self, text: &str) -> String {
        format!("encode(sha256(convert_to({text}, 'UTF8')), 'hex')")
    }

    fn number(&self, digits: &str) -> String {
        format!("('x' || {digits})::bit(60)::bigint")
    }

    fn sum(&self, number: &str) -> String {
        format!("COALESCE(SUM({number}), 0)::text")
    }
}
