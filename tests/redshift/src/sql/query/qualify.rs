//! QUALIFY: a condition on window functions, which PostgreSQL does not have.

use sqlparser::ast::{Expr, Ident, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::not_served;
use crate::Refusal;

/// The names in between; a user who chooses the same is out of luck.
const RESULT: &str = "tw_qualify";
const SOURCE: &str = "tw_qualified";

/// Turns `SELECT a, b … QUALIFY c` into `SELECT a, b FROM (SELECT a, b, c AS tw_qualify …) WHERE tw_qualify`.
pub(super) fn unfold(select: &mut Select) -> Result<(), Refusal> {
    let Some(condition) = select.qualify.take() else { return Ok(()) };
    let mut inner = select.clone();
    let mut outer = Vec::with_capacity(inner.projection.len());
    for (index, item) in inner.projection.iter_mut().enumerate() {
        let (expr, name) = match item {
            SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), Some(alias.clone())),
            SelectItem::UnnamedExpr(expr) => (expr.clone(), own_name(expr)),
            _ => return Err(not_served("QUALIFY behind SELECT *")),
        };
        let between = Ident::new(format!("tw_{index}"));
        *item = SelectItem::ExprWithAlias { expr, alias: between.clone() };
        outer.push(match name {
            Some(alias) => SelectItem::ExprWithAlias { expr: Expr::Identifier(between), alias },
            None => SelectItem::UnnamedExpr(Expr::Identifier(between)),
        });
    }
    inner.projection.push(SelectItem::ExprWithAlias { expr: condition, alias: Ident::new(RESULT) });
    let mut subquery = skeleton()?;
    let SetExpr::Select(empty) = subquery.body.as_ref() else { return Err(not_served("QUALIFY")) };
    let mut result = empty.as_ref().clone();
    *subquery.body = SetExpr::Select(Box::new(inner));
    let alias = TableAlias { explicit: true, name: Ident::new(SOURCE), columns: Vec::new(), at: None };
    let relation = TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None };
    result.projection = outer;
    result.from = vec![TableWithJoins { relation, joins: Vec::new() }];
    result.selection = Some(Expr::Identifier(Ident::new(RESULT)));
    *select = result;
    Ok(())
}

/// The name that a column without an alias has.
fn own_name(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Identifier(ident) => Some(ident.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().cloned(),
        _ => None,
    }
}

/// A query with nothing in it.
fn skeleton() -> Result<Box<Query>, Refusal> {
    let dialect = PostgreSqlDialect {};
    let parser = Parser::new(&dialect).try_with_sql("SELECT 1");
    parser.and_then(|mut parser| parser.parse_query()).map_err(|_| not_served("QUALIFY"))
}
