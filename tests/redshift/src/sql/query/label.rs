//! Names of columns without an alias: what is rewritten keeps the name that it had.

use sqlparser::ast::{Expr, Ident, ObjectNamePart, Select, SelectItem};

use crate::catalog::Scope;
use crate::sql::cursor::Cursor;
use crate::sql::types;

/// Gives an alias to every expression that may be rewritten.
pub(super) fn keep(select: &mut Select) {
    for item in &mut select.projection {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let rewritten =
            matches!(expr, Expr::Function(_) | Expr::Cast { .. } | Expr::Convert { .. } | Expr::Extract { .. });
        let is_sysdate =
            matches!(expr, Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value == "sysdate");
        if (rewritten || is_sysdate)
            && let Some(name) = label(expr)
        {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', name) };
        }
    }
}

/// As PostgreSQL has it: a column's or function's name, also under a cast, else the type of the cast.
fn label(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(ident.value.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().map(|part| part.value.clone()),
        Expr::Nested(inner) => label(inner),
        Expr::Function(function) => match function.name.0.last()? {
            ObjectNamePart::Identifier(name) => Some(name.value.to_ascii_lowercase()),
            ObjectNamePart::Function(_) => None,
        },
        Expr::Extract { .. } => Some("date_part".to_owned()),
        Expr::Cast { expr, data_type, .. } | Expr::Convert { expr, data_type: Some(data_type), .. } => {
            label(expr).or_else(|| type_label(&data_type.to_string()))
        }
        _ => None,
    }
}

/// PostgreSQL's short name of a type.
fn type_label(text: &str) -> Option<String> {
    use crate::ColumnType as Type;
    let mut cursor = Cursor::new(text, &Scope::default()).ok()?;
    let name = match types::parse(&mut cursor).ok()?.column_type {
        Type::SmallInt => "int2",
        Type::Integer => "int4",
        Type::BigInt => "int8",
        Type::Decimal(..) => "numeric",
        Type::Real => "float4",
        Type::Double => "float8",
        Type::Boolean => "bool",
        Type::Date => "date",
        Type::Timestamp => "timestamp",
        Type::TimestampTz => "timestamptz",
        Type::Time => "time",
        Type::TimeTz => "timetz",
        Type::Char(_) => "bpchar",
        Type::Varchar(_) => "varchar",
        Type::Varbyte(_) => "varbyte",
        Type::Super => "super",
    };
    Some(name.to_owned())
}
