//! Queries and data manipulation: parsed by `sqlparser`, walked once, printed for PostgreSQL.

mod check;
mod dml;
mod expression;
mod functions;
mod label;
mod qualify;
mod relations;

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, ObjectName, Query, Select, Statement, TableFactor, ValueWithSpan, VisitMut, VisitorMut,
};
use sqlparser::dialect::RedshiftSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token};

use super::cursor::Cursor;
use super::ddl::Name;
use crate::catalog::{Table, sql_name};
use crate::{ColumnType, Refusal};

/// A parsed query or data manipulation.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    statement: Statement,
    cursor: Cursor,
    /// Table that is written to, and whether values go into it by INSERT or UPDATE.
    pub(crate) target: Option<Name>,
    /// Table that MERGE reads.
    pub(crate) merge_source: Option<Name>,
}

/// What the text depends on besides the statement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    /// Rows of the session's last COPY.
    pub(crate) last_copy_count: u64,
    /// Number of the session's last COPY, or -1.
    pub(crate) last_copy_id: i64,
    /// Number of the session's last query.
    pub(crate) last_query_id: i64,
    /// The session's process id.
    pub(crate) backend_pid: i32,
    /// Parameters.
    pub(crate) parameters: Parameters,
}

/// What stands for `$1`, `$2` ….
#[derive(Clone, Debug, Default)]
pub(crate) enum Parameters {
    /// Nothing may: the simple protocol.
    #[default]
    None,
    /// Their types where known, for describing.
    Types(Vec<Option<&'static str>>),
    /// Their types and values as text.
    Values(Vec<(&'static str, Option<String>)>),
}

/// A statement for PostgreSQL.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rewritten {
    /// Its text.
    pub(crate) sql: String,
    /// Whether it inserts a query's rows rather than VALUES.
    pub(crate) from_query: bool,
}

/// Parses the tokens of a query or data manipulation.
pub(crate) fn parse(cursor: &Cursor) -> Result<Parsed, Refusal> {
    let dialect = RedshiftSqlDialect {};
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(cursor.rest().to_vec());
    let statement = parser.parse_statement().map_err(|error| syntax_error(cursor, &error))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        return Err(cursor.syntax_error_on(next.span.start));
    }
    let (target, merge_source) = dml::targets(&statement, cursor)?;
    Ok(Parsed { statement, cursor: cursor.clone(), target, merge_source })
}

/// Turns the parser's message into Redshift's.
fn syntax_error(cursor: &Cursor, error: &ParserError) -> Refusal {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
        ParserError::RecursionLimitExceeded => return Refusal::new("54001", "stack depth limit exceeded"),
    };
    let location = message.rsplit_once(" at Line: ").and_then(|(_, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some(Location::new(line.trim().parse().ok()?, column.trim().parse().ok()?))
    });
    cursor.syntax_error_on(location.unwrap_or(Location::new(0, 0)))
}

/// Checks a statement and prints it for PostgreSQL. `table` is the target, if it has one.
pub(crate) fn rewrite(parsed: &Parsed, table: Option<&Table>, values: &Values) -> Result<Rewritten, Refusal> {
    let mut statement = parsed.statement.clone();
    let mut walk = Walk {
        cursor: &parsed.cursor,
        values,
        source_of_insert: matches!(statement, Statement::Insert(_)),
        from_query: false,
        ctes: HashSet::new(),
        has_user_relation: false,
        leader_only: false,
    };
    if let ControlFlow::Break(refusal) = statement.visit(&mut walk) {
        return Err(refusal);
    }
    if walk.leader_only && walk.has_user_relation {
        return Err(Refusal::new(
            "0A000",
            "Specified types or functions (one per INFO message) not supported on Redshift tables.",
        ));
    }
    let from_query = walk.from_query;
    if let Some(table) = table {
        dml::fit_literals(&mut statement, table);
    }
    Ok(Rewritten { sql: statement.to_string(), from_query })
}

/// The walk over one statement.
struct Walk<'a> {
    cursor: &'a Cursor,
    values: &'a Values,
    /// The next query is the source of an INSERT, where VALUES is allowed.
    source_of_insert: bool,
    from_query: bool,
    ctes: HashSet<String>,
    /// Whether a table or view of a user is named.
    has_user_relation: bool,
    /// A function was met that only the leader node has.
    leader_only: bool,
}

type Flow = ControlFlow<Refusal>;

fn flow(result: Result<(), Refusal>) -> Flow {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(refusal) => ControlFlow::Break(refusal),
    }
}

impl VisitorMut for Walk<'_> {
    type Break = Refusal;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        flow(self.check_query(query))
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        label::keep(select);
        flow(self.check_select(select))
    }

    fn post_visit_select(&mut self, select: &mut Select) -> Flow {
        flow(qualify::unfold(select))
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        flow(self.check_table_factor(factor))
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> Flow {
        flow(self.relation(relation))
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        flow(self.check_expression(expr))
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        flow(self.rewrite_expression(expr))
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> Flow {
        flow(self.value(value))
    }

    fn pre_visit_ident(&mut self, ident: &mut Ident) -> Flow {
        ident.value = sql_name(&ident.value);
        // What is a word for Redshift (`#temporary`) or was shortened need not be one for PostgreSQL.
        if ident.value.chars().any(|c| !(c.is_alphanumeric() || matches!(c, '_' | '$'))) {
            ident.quote_style = Some('"');
        }
        ControlFlow::Continue(())
    }
}

impl Walk<'_> {
    /// A clause or word that Redshift does not have.
    fn refuse(&self, word: &str) -> Refusal {
        self.cursor.syntax_error_near(word)
    }
}

/// Something that Redshift has and the stand-in does not.
fn not_served(what: &str) -> Refusal {
    Refusal::new("0A000", format!("{what} is not served by the stand-in"))
}

/// How a text literal gets into a column of this type, which PostgreSQL would read differently.
fn literal_function(column_type: ColumnType) -> Option<&'static str> {
    match column_type {
        ColumnType::Super => Some("redshift.to_super"),
        ColumnType::Varbyte(_) => Some("redshift.as_varbyte"),
        _ => None,
    }
}
