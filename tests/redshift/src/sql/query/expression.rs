//! Expressions: which there are, and what becomes of them.

use sqlparser::ast::{BinaryOperator, CastKind, DataType, Expr, Ident, UnaryOperator, Value, ValueWithSpan};

use super::{Parameters, Walk, not_served};
use crate::catalog::{Scope, quote_literal};
use crate::sql::cursor::Cursor;
use crate::sql::reserved::{is_expression, is_reserved};
use crate::sql::types;
use crate::{ColumnType, Refusal};

/// Most bytes of a literal: it is a VARCHAR (L6).
const TEXT_BYTES_MAX: usize = 65_535;

/// Types of PostgreSQL's catalog that casts may name.
const CATALOG_TYPES: &[&str] = &["regtype", "regclass", "oid", "name"];

impl Walk<'_> {
    pub(super) fn check_expression(&mut self, expr: &Expr) -> Result<(), Refusal> {
        match expr {
            Expr::Identifier(ident) => self.check_ident(ident),
            Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. })
                if text.len() > TEXT_BYTES_MAX =>
            {
                let message = format!("String value exceeds the max size of {TEXT_BYTES_MAX} bytes");
                Err(Refusal::engine(8001, message, "literal"))
            }
            Expr::CompoundIdentifier(parts) => parts.iter().try_for_each(|part| self.check_ident(part)),
            Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_)
            | Expr::InSubquery { .. }
            | Expr::InList { .. }
            | Expr::Between { .. }
            | Expr::Extract { .. }
            | Expr::Ceil { .. }
            | Expr::Floor { .. }
            | Expr::Position { .. }
            | Expr::Trim { .. }
            | Expr::Substring { .. }
            | Expr::AtTimeZone { .. }
            | Expr::Nested(_)
            | Expr::Value(_)
            | Expr::Case { .. }
            | Expr::Exists { .. }
            | Expr::Subquery(_)
            | Expr::GroupingSets(_)
            | Expr::Cube(_)
            | Expr::Rollup(_)
            | Expr::SimilarTo { .. }
            | Expr::Tuple(_)
            | Expr::Interval(_)
            | Expr::Wildcard(_)
            | Expr::QualifiedWildcard(..) => Ok(()),
            Expr::TypedString(typed) => self.check_type(&typed.data_type).map(drop),
            Expr::Like { any, .. } | Expr::ILike { any, .. } if !any => Ok(()),
            Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) => Err(self.refuse("distinct")),
            Expr::BinaryOp { op, .. } => self.check_operator(op),
            Expr::UnaryOp { op: UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not, .. } => Ok(()),
            Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } if matches!(**right, Expr::Subquery(_)) => Ok(()),
            Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, data_type, format: None, .. } => {
                self.check_type(data_type).map(drop)
            }
            Expr::Convert { is_try: false, data_type: Some(data_type), .. } => self.check_type(data_type).map(drop),
            Expr::Function(function) => self.check_function(function),
            Expr::Array(_) => Err(Refusal::new("0A000", "ARRAY[] is not supported on Redshift tables")),
            Expr::Collate { .. } => Err(self.refuse("collate")),
            Expr::CompoundFieldAccess { .. } | Expr::JsonAccess { .. } => Err(not_served("PartiQL navigation")),
            Expr::OuterJoin(_) => Err(not_served("the outer join operator (+)")),
            _ => Err(Refusal::new("42601", "syntax error in an expression that Redshift does not have")),
        }
    }

    /// L5: a reserved word is no name without quotes.
    fn check_ident(&self, ident: &Ident) -> Result<(), Refusal> {
        let reserved = ident.quote_style.is_none() && is_reserved(&ident.value) && !is_expression(&ident.value);
        if reserved { Err(self.refuse(&ident.value)) } else { Ok(()) }
    }

    fn check_operator(&self, op: &BinaryOperator) -> Result<(), Refusal> {
        use BinaryOperator as Op;
        match op {
            Op::Plus
            | Op::Minus
            | Op::Multiply
            | Op::Divide
            | Op::Modulo
            | Op::StringConcat
            | Op::Gt
            | Op::Lt
            | Op::GtEq
            | Op::LtEq
            | Op::Eq
            | Op::NotEq
            | Op::And
            | Op::Or
            | Op::BitwiseAnd
            | Op::BitwiseOr
            | Op::PGBitwiseXor
            | Op::PGBitwiseShiftLeft
            | Op::PGBitwiseShiftRight
            | Op::PGExp
            | Op::PGRegexMatch
            | Op::PGRegexIMatch
            | Op::PGRegexNotMatch
            | Op::PGRegexNotIMatch
            | Op::PGOverlap => Ok(()),
            _ => Err(Refusal::new("42883", format!("operator does not exist: {op}"))),
        }
    }

    /// The type that a cast names; `None` for those of the catalog.
    fn check_type(&self, data_type: &DataType) -> Result<Option<types::Written>, Refusal> {
        let text = data_type.to_string();
        if CATALOG_TYPES.contains(&text.to_ascii_lowercase().as_str()) {
            return Ok(None);
        }
        if matches!(data_type, DataType::Array(_)) {
            return Err(Refusal::new("42704", format!("type \"{}\" does not exist", text.to_ascii_lowercase())));
        }
        let mut cursor = Cursor::new(&text, &Scope::default())?;
        let written = types::parse(&mut cursor)?;
        cursor.end().map_err(|_| self.refuse(text.split(['(', ' ']).next().unwrap_or_default()))?;
        Ok(Some(written))
    }

    pub(super) fn rewrite_expression(&mut self, expr: &mut Expr) -> Result<(), Refusal> {
        let text = match expr {
            Expr::Identifier(ident) if ident.quote_style.is_none() => match ident.value.as_str() {
                "sysdate" => "redshift.sysdate()".to_owned(),
                "current_user_id" => {
                    "(SELECT usesysid FROM pg_catalog.pg_user WHERE usename = current_user)".to_owned()
                }
                _ => return Ok(()),
            },
            Expr::Cast { expr, data_type, .. } => self.cast(expr, data_type)?,
            Expr::Convert { expr, data_type: Some(data_type), .. } => self.cast(expr, data_type)?,
            // Redshift answers with whole numbers.
            Expr::Extract { .. } => format!("CAST(floor({expr}) AS bigint)"),
            Expr::Function(function) => match self.function(function)? {
                Some(text) => text,
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        *expr = raw(text);
        Ok(())
    }

    fn cast(&self, expr: &Expr, data_type: &DataType) -> Result<String, Refusal> {
        let Some(types::Written { column_type, sized }) = self.check_type(data_type)? else {
            return Ok(format!("CAST({expr} AS {data_type})"));
        };
        let length = |n: u32| if sized { n.to_string() } else { "NULL::integer".to_owned() };
        Ok(match column_type {
            ColumnType::Varchar(_) if expr.to_string().to_ascii_lowercase().ends_with(" as regtype)") => {
                return Err(Refusal::new("42846", "cannot cast type regtype to character varying"));
            }
            ColumnType::Varchar(n) => format!("redshift.as_varchar({expr}, {})", length(n)),
            ColumnType::Super => format!("redshift.to_super({expr})"),
            ColumnType::Varbyte(n) => format!("redshift.as_varbyte({expr}, {})", length(n)),
            other => format!("CAST({expr} AS {other})"),
        })
    }

    /// Literals and parameters.
    pub(super) fn value(&self, value: &mut ValueWithSpan) -> Result<(), Refusal> {
        let text = match &value.value {
            Value::Number(..) | Value::Boolean(_) | Value::Null => return Ok(()),
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => literal(text)?,
            Value::DollarQuotedString(quoted) => literal(&quoted.value)?,
            Value::Placeholder(name) => self.parameter(name)?,
            _ => return Err(Refusal::new("42601", "syntax error in a literal that Redshift does not have")),
        };
        value.value = Value::Placeholder(text);
        Ok(())
    }

    fn parameter(&self, name: &str) -> Result<String, Refusal> {
        let number: usize = name.strip_prefix('$').and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let missing = || Refusal::new("42P02", format!("there is no parameter {name}"));
        let index = number.checked_sub(1).ok_or_else(missing)?;
        match &self.values.parameters {
            Parameters::None => Err(missing()),
            Parameters::Types(types) => Ok(match types.get(index).copied().flatten() {
                Some(known) => format!("CAST({name} AS {known})"),
                None => name.to_owned(),
            }),
            Parameters::Values(values) => {
                let (known, value) = values.get(index).ok_or_else(missing)?;
                let value = value.as_deref().map_or_else(|| Ok("NULL".to_owned()), literal)?;
                Ok(format!("CAST({value} AS {known})"))
            }
        }
    }
}

/// A text literal for PostgreSQL.
fn literal(text: &str) -> Result<String, Refusal> {
    if text.contains('\0') {
        return Err(Refusal::new("22021", "invalid byte sequence for encoding \"UTF8\": 0x00"));
    }
    Ok(quote_literal(text))
}

/// Text that is printed as it is: no other expression is.
pub(super) fn raw(text: String) -> Expr {
    Expr::Value(Value::Placeholder(text).with_empty_span())
}
