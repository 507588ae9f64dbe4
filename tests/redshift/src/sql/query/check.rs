//! Clauses: which there are (R7), one by one.

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Join, JoinConstraint, JoinOperator, LimitClause, OrderByKind, Query, Select,
    SelectFlavor, SetExpr, SetQuantifier, TableFactor, TableWithJoins, Top, TopQuantity, Value,
};

use super::{Walk, not_served};
use crate::Refusal;

impl Walk<'_> {
    pub(super) fn check_query(&mut self, query: &mut Query) -> Result<(), Refusal> {
        let source_of_insert = std::mem::take(&mut self.source_of_insert);
        if let Some(with) = &query.with {
            for cte in &with.cte_tables {
                if cte.materialized.is_some() {
                    return Err(self.refuse("materialized"));
                }
                self.ctes.insert(cte.alias.name.value.clone());
            }
        }
        if !query.locks.is_empty() {
            return Err(self.refuse("for"));
        }
        if query.fetch.is_some() {
            return Err(self.refuse("fetch"));
        }
        let unknown = query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty();
        if unknown {
            return Err(Refusal::new("42601", "syntax error at end of input"));
        }
        if let Some(order_by) = &query.order_by
            && (order_by.interpolate.is_some() || !matches!(order_by.kind, OrderByKind::Expressions(_)))
        {
            return Err(self.refuse("order"));
        }
        self.check_limit(query)?;
        self.from_query |= source_of_insert && !matches!(*query.body, SetExpr::Values(_));
        self.check_body(&query.body, source_of_insert)?;
        self.move_top(query)
    }

    /// A bound parameter is "Not Implemented" here (sqlx #801).
    fn check_limit(&self, query: &Query) -> Result<(), Refusal> {
        let Some(clause) = &query.limit_clause else { return Ok(()) };
        let LimitClause::LimitOffset { limit, offset, limit_by } = clause else { return Err(self.refuse("limit")) };
        if !limit_by.is_empty() {
            return Err(self.refuse("by"));
        }
        for bound in limit.iter().chain(offset.iter().map(|offset| &offset.value)) {
            if let Expr::Value(value) = bound
                && matches!(value.value, Value::Placeholder(_))
            {
                return Err(Refusal::new("0A000", "Not Implemented: parameters in LIMIT and OFFSET"));
            }
        }
        Ok(())
    }

    fn check_body(&self, body: &SetExpr, values: bool) -> Result<(), Refusal> {
        match body {
            SetExpr::Select(_) | SetExpr::Query(_) => Ok(()),
            SetExpr::SetOperation { left, right, set_quantifier, .. } => {
                if !matches!(set_quantifier, SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None) {
                    return Err(self.refuse("name"));
                }
                self.check_body(left, false)?;
                self.check_body(right, false)
            }
            SetExpr::Values(_) if values => Ok(()),
            SetExpr::Values(_) => Err(self.refuse("values")),
            SetExpr::Insert(_) => Err(self.refuse("insert")),
            SetExpr::Update(_) => Err(self.refuse("update")),
            SetExpr::Delete(_) => Err(self.refuse("delete")),
            SetExpr::Merge(_) => Err(self.refuse("merge")),
            SetExpr::Table(_) => Err(self.refuse("table")),
        }
    }

    /// `SELECT TOP n` becomes LIMIT.
    fn move_top(&self, query: &mut Query) -> Result<(), Refusal> {
        let SetExpr::Select(select) = query.body.as_mut() else { return Ok(()) };
        let Some(top) = select.top.take() else { return Ok(()) };
        match top {
            Top { with_ties: false, percent: false, quantity: Some(TopQuantity::Constant(count)) }
                if query.limit_clause.is_none() =>
            {
                let limit = Expr::Value(Value::Number(count.to_string(), false).with_empty_span());
                query.limit_clause =
                    Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by: Vec::new() });
                Ok(())
            }
            _ => Err(self.refuse("top")),
        }
    }

    pub(super) fn check_select(&self, select: &Select) -> Result<(), Refusal> {
        if matches!(select.distinct, Some(Distinct::On(_))) {
            return Err(self.refuse("on"));
        }
        if select.into.is_some() {
            return Err(not_served("SELECT INTO"));
        }
        if !select.connect_by.is_empty() {
            return Err(not_served("CONNECT BY"));
        }
        if !select.lateral_views.is_empty() {
            return Err(self.refuse("lateral"));
        }
        if !select.named_window.is_empty() {
            return Err(self.refuse("window"));
        }
        match &select.group_by {
            GroupByExpr::Expressions(_, modifiers) if modifiers.is_empty() => {}
            GroupByExpr::All(_) => return Err(not_served("GROUP BY ALL")),
            GroupByExpr::Expressions(..) => return Err(self.refuse("with")),
        }
        let unknown = select.select_modifiers.is_some()
            || select.exclude.is_some()
            || select.prewhere.is_some()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || select.value_table_mode.is_some()
            || select.flavor != SelectFlavor::Standard;
        if unknown {
            return Err(self.refuse("select"));
        }
        select.from.iter().try_for_each(|table| self.check_joins(table))
    }

    pub(super) fn check_joins(&self, table: &TableWithJoins) -> Result<(), Refusal> {
        table.joins.iter().try_for_each(|join| self.check_join(join))
    }

    fn check_join(&self, join: &Join) -> Result<(), Refusal> {
        let constraint = match &join.join_operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint)
            | JoinOperator::CrossJoin(constraint) => constraint,
            _ => return Err(self.refuse("join")),
        };
        if join.global {
            return Err(self.refuse("global"));
        }
        match constraint {
            JoinConstraint::On(_) | JoinConstraint::Using(_) | JoinConstraint::Natural | JoinConstraint::None => Ok(()),
        }
    }

    pub(super) fn check_table_factor(&mut self, factor: &TableFactor) -> Result<(), Refusal> {
        match factor {
            TableFactor::Table {
                name,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
                ..
            } => {
                if sample.is_some() {
                    return Err(self.refuse("tablesample"));
                }
                if args.is_some() {
                    return self.check_table_function(&name.to_string());
                }
                if json_path.is_some() {
                    return Err(not_served("PartiQL navigation"));
                }
                if !with_hints.is_empty()
                    || version.is_some()
                    || *with_ordinality
                    || !partitions.is_empty()
                    || !index_hints.is_empty()
                {
                    return Err(self.refuse("with"));
                }
                Ok(())
            }
            TableFactor::Derived { lateral, sample, .. } => {
                if *lateral {
                    return Err(self.refuse("lateral"));
                }
                if sample.is_some() { Err(self.refuse("tablesample")) } else { Ok(()) }
            }
            TableFactor::NestedJoin { table_with_joins, .. } => self.check_joins(table_with_joins),
            TableFactor::Function { lateral: true, .. } => Err(self.refuse("lateral")),
            TableFactor::Function { name, .. } => self.check_table_function(&name.to_string()),
            TableFactor::UNNEST { .. } => Err(not_served("UNNEST")),
            _ => Err(self.refuse("from")),
        }
    }

    /// The only set-returning function; it lives on the leader node.
    fn check_table_function(&mut self, name: &str) -> Result<(), Refusal> {
        if name.eq_ignore_ascii_case("generate_series") {
            self.leader_only = true;
            return Ok(());
        }
        Err(Refusal::new("42883", format!("function {name} does not exist")))
    }
}
