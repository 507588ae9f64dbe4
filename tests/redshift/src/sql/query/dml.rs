//! INSERT, UPDATE, DELETE and MERGE: their shapes (R7, R12, R13).

use sqlparser::ast::{
    AssignmentTarget, Delete, FromTable, Insert, Merge, MergeAction, MergeClauseKind, ObjectName, ObjectNamePart,
    SelectItem, SetExpr, Statement, TableFactor, TableObject, TableWithJoins, Update, UpdateTableFromKind,
};

use super::functions::wrap_literal;
use super::literal_function;
use crate::Refusal;
use crate::catalog::Table;
use crate::sql::cursor::Cursor;
use crate::sql::ddl::Name;

/// The table that a statement writes to, and the one that MERGE reads, after a look at the clauses.
pub(super) fn targets(statement: &Statement, cursor: &Cursor) -> Result<(Option<Name>, Option<Name>), Refusal> {
    match statement {
        Statement::Query(_) => Ok((None, None)),
        Statement::Insert(insert) => Ok((Some(check_insert(insert, cursor)?), None)),
        Statement::Update(update) => Ok((Some(check_update(update, cursor)?), None)),
        Statement::Delete(delete) => Ok((Some(check_delete(delete, cursor)?), None)),
        Statement::Merge(merge) => {
            let (target, source) = check_merge(merge, cursor)?;
            Ok((Some(target), Some(source)))
        }
        _ => Err(cursor.syntax_error()),
    }
}

fn check_insert(insert: &Insert, cursor: &Cursor) -> Result<Name, Refusal> {
    if insert.on.is_some() {
        return Err(cursor.syntax_error_near("on"));
    }
    if insert.returning.is_some() {
        return Err(cursor.syntax_error_near("returning"));
    }
    if insert.table_alias.is_some() {
        return Err(cursor.syntax_error_near("as"));
    }
    let unknown = insert.or.is_some()
        || insert.ignore
        || !insert.into
        || insert.overwrite
        || !insert.assignments.is_empty()
        || insert.partitioned.is_some()
        || !insert.after_columns.is_empty()
        || insert.has_table_keyword
        || insert.replace_into
        || insert.priority.is_some()
        || insert.insert_alias.is_some()
        || insert.settings.is_some()
        || insert.format_clause.is_some()
        || insert.output.is_some()
        || insert.multi_table_insert_type.is_some();
    let TableObject::TableName(name) = &insert.table else { return Err(cursor.syntax_error()) };
    if unknown { Err(cursor.syntax_error()) } else { to_name(name, cursor) }
}

fn check_update(update: &Update, cursor: &Cursor) -> Result<Name, Refusal> {
    if update.returning.is_some() {
        return Err(cursor.syntax_error_near("returning"));
    }
    let before = matches!(update.from, Some(UpdateTableFromKind::BeforeSet(_)));
    if before || update.or.is_some() || update.output.is_some() || !update.order_by.is_empty() || update.limit.is_some()
    {
        return Err(cursor.syntax_error());
    }
    for assignment in &update.assignments {
        if matches!(assignment.target, AssignmentTarget::Tuple(_)) {
            return Err(cursor.syntax_error_near("set"));
        }
    }
    target(&update.table, cursor)
}

fn check_delete(delete: &Delete, cursor: &Cursor) -> Result<Name, Refusal> {
    if delete.returning.is_some() {
        return Err(cursor.syntax_error_near("returning"));
    }
    if !delete.tables.is_empty() || delete.output.is_some() || !delete.order_by.is_empty() || delete.limit.is_some() {
        return Err(cursor.syntax_error());
    }
    let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
    match tables.as_slice() {
        [table] => target(table, cursor),
        _ => Err(cursor.syntax_error()),
    }
}

/// The target of UPDATE and DELETE: a table without an alias (R12).
fn target(table: &TableWithJoins, cursor: &Cursor) -> Result<Name, Refusal> {
    if !table.joins.is_empty() {
        return Err(cursor.syntax_error_near("join"));
    }
    plain_table(&table.relation, false, cursor)
}

fn plain_table(factor: &TableFactor, alias_allowed: bool, cursor: &Cursor) -> Result<Name, Refusal> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } if !alias_allowed => {
            Err(cursor.syntax_error_near(&alias.name.value))
        }
        TableFactor::Table { name, .. } => to_name(name, cursor),
        _ => Err(cursor.syntax_error_near("select")),
    }
}

fn check_merge(merge: &Merge, cursor: &Cursor) -> Result<(Name, Name), Refusal> {
    let target = plain_table(&merge.table, false, cursor)?;
    let source = plain_table(&merge.source, true, cursor)?;
    if !merge.into || merge.output.is_some() {
        return Err(cursor.syntax_error_near("merge"));
    }
    let [matched, missing] = merge.clauses.as_slice() else { return Err(cursor.syntax_error_near("when")) };
    if matched.predicate.is_some() || missing.predicate.is_some() {
        return Err(cursor.syntax_error_near("and"));
    }
    let kinds = (&matched.clause_kind, &matched.action, &missing.clause_kind, &missing.action);
    match kinds {
        (
            MergeClauseKind::Matched,
            MergeAction::Update(_) | MergeAction::Delete { .. },
            MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget,
            MergeAction::Insert(_),
        ) => Ok((target, source)),
        _ => Err(cursor.syntax_error_near("when")),
    }
}

fn to_name(name: &ObjectName, cursor: &Cursor) -> Result<Name, Refusal> {
    let mut parts = Vec::new();
    for part in &name.0 {
        let ObjectNamePart::Identifier(ident) = part else { return Err(cursor.syntax_error()) };
        parts.push(ident.value.clone());
    }
    let name = parts.pop().ok_or_else(|| cursor.syntax_error())?;
    Ok(Name { schema: parts.pop(), name })
}

/// Text literals that go into SUPER are strings, and into VARBYTE their bytes; PostgreSQL would parse them.
pub(super) fn fit_literals(statement: &mut Statement, table: &Table) {
    match statement {
        Statement::Insert(insert) => {
            let functions: Vec<_> = if insert.columns.is_empty() {
                table.columns.iter().map(|column| literal_function(column.column_type)).collect()
            } else {
                insert.columns.iter().map(|name| function_of(table, name)).collect()
            };
            if functions.iter().all(Option::is_none) {
                return;
            }
            if let Some(source) = &mut insert.source {
                fit_body(&mut source.body, &functions);
            }
        }
        Statement::Update(update) => {
            for assignment in &mut update.assignments {
                if let AssignmentTarget::ColumnName(name) = &assignment.target
                    && let Some(function) = function_of(table, name)
                {
                    wrap_literal(&mut assignment.value, function);
                }
            }
        }
        _ => {}
    }
}

fn function_of(table: &Table, name: &ObjectName) -> Option<&'static str> {
    let printed = match name.0.last()? {
        ObjectNamePart::Identifier(ident) => crate::catalog::quote_ident(&ident.value),
        ObjectNamePart::Function(_) => return None,
    };
    let column = table.columns.iter().find(|column| column.sql_name == printed)?;
    literal_function(column.column_type)
}

fn fit_body(body: &mut SetExpr, functions: &[Option<&'static str>]) {
    match body {
        SetExpr::Values(values) => {
            for row in &mut values.rows {
                for (expr, function) in row.content.iter_mut().zip(functions) {
                    if let Some(function) = function {
                        wrap_literal(expr, function);
                    }
                }
            }
        }
        SetExpr::Select(select) => {
            for (item, function) in select.projection.iter_mut().zip(functions) {
                if let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }, Some(function)) =
                    (item, function)
                {
                    wrap_literal(expr, function);
                }
            }
        }
        SetExpr::Query(query) => fit_body(&mut query.body, functions),
        SetExpr::SetOperation { left, right, .. } => {
            fit_body(left, functions);
            fit_body(right, functions);
        }
        _ => {}
    }
}
