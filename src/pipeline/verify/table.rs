//! Comparing one source table.

use std::{sync::Arc, time::Instant};

use super::{
    compare::{Comparing, Cut, Findings, ranges_max},
    coverage::{Coverage, Reached},
    error::VerifyError,
    explain,
    settle::{Pace, Suspect},
    shard::ShardVerifier,
    sides::{MysqlSide, Side, TargetSide},
};
use crate::{
    decode::Policies,
    lake::{Clock, SystemClock},
    model::{
        Difference, DifferenceKind, Known, OpenRange, Origin, TableOutcome, TableSchema, VerifiedTable,
        VerifiedThrough,
        checksum::{ComparedColumn, Comparison, Form, Key, KeyRange, float_of, text_of},
    },
    pipeline::status,
    source::mysql::checksum::SourceTable,
    warehouse::{ComparedTarget, Deletes},
};

/// Differences that are named per table. What differs in more rows is not mended row by row.
pub(super) const DIFFERENCES_MAX: usize = 1000;

/// What is compared and what is left out.
struct Scope {
    comparison: Arc<Comparison>,
    target: ComparedTarget,
    notes: Vec<String>,
}

impl ShardVerifier<'_> {
    /// Compares one table; what keeps it from being compared is an outcome too, unless it concerns the whole shard.
    pub(super) async fn table(&mut self, origin: &Origin, known: &Known) -> Result<VerifiedTable, VerifyError> {
        let began = Instant::now();
        let before = self.reader.load();
        let mut report = VerifiedTable::new(origin, &known.target, TableOutcome::Equal);
        match self.compared(origin, known, &mut report).await {
            Ok(()) => {}
            Err(e) if e.ends_shard() => return Err(e),
            Err(e) => report.outcome = TableOutcome::NotCompared { reason: crate::errors::chain(&e) },
        }
        let load = self.reader.load();
        report.statements = load.statements - before.statements;
        report.longest_statement_ms = millis(load.longest);
        report.elapsed_ms = millis(began.elapsed());
        Ok(report)
    }

    async fn compared(
        &mut self,
        origin: &Origin,
        known: &Known,
        report: &mut VerifiedTable,
    ) -> Result<(), VerifyError> {
        if let Some(reason) = &known.parked {
            return Err(VerifyError::NotFollowed(format!("it is parked: {reason}")));
        }
        let rule = self.rules.resolve(&origin.database, &origin.table);
        let rule = rule.ok_or_else(|| VerifyError::NotFollowed("no [[table]] rule matches it any more".to_owned()))?;
        let policies = crate::pipeline::extract::policies(&rule, self.for_redshift);
        let Scope { comparison, target, notes } = self.scope(origin, known).await?;
        report.notes = notes;
        let group = crate::pipeline::open::group(self.pipeline, &rule.group);
        let (warehouse, store) = (Arc::clone(&self.warehouse), Arc::clone(&self.store));
        let mut coverage = Coverage::new(warehouse, store, group, origin.clone(), self.patience);
        let reached = coverage.reached().await?;
        let key: Vec<&str> = target.key.iter().map(String::as_str).collect();
        let source = SourceTable {
            database: origin.database.clone(),
            table: origin.table.clone(),
            index: self.reader.index(&origin.database, &origin.table, &key).await?,
            comparison: Arc::clone(&comparison),
        };
        let rows = self.reader.estimated_rows(&origin.database, &origin.table).await?;
        let cut = cut(&source, &target, rows);
        let mut mysql = MysqlSide { reader: &mut *self.reader, table: &source };
        let mut side =
            TargetSide { checksums: &mut **self.checksums, target: &known.target, origin, comparison: &comparison };
        let findings = Comparing {
            source: &mut mysql,
            warehouse: &mut side,
            follower: &mut coverage,
            throttle: &mut *self.throttle,
            pace: Pace::new(self.patience),
            ranges_max: ranges_max(rows),
            extra_rows_stay: target.deletes == Deletes::Ignore,
            differences_max: DIFFERENCES_MAX,
            findings: Findings::default(),
            suspected: Vec::new(),
            suspects: Vec::new(),
        }
        .run(cut)
        .await?;
        report.rows = findings.rows;
        report.ranges = findings.ranges;
        report.rows_one_by_one = findings.rows_one_by_one;
        report.in_flight = findings.in_flight;
        report.through = Some(through(reached));
        report.outcome = judge(&mut mysql, &mut side, &comparison, &policies, findings, &mut report.explained).await?;
        Ok(())
    }

    /// Which columns are compared: those that both sides and the lake's newest schema have.
    async fn scope(&mut self, origin: &Origin, known: &Known) -> Result<Scope, VerifyError> {
        let nothing = |what: &str| VerifyError::NotFollowed(format!("{what}; nothing can be compared"));
        let Some(schema) = &known.schema else { return Err(nothing("no row of it was read yet")) };
        let schema = self.schemas.load(&known.target, schema).await?;
        let target = self.checksums.target(&known.target).await?;
        let target = target.ok_or_else(|| nothing("the warehouse has no such table yet"))?;
        if target.key.is_empty() {
            return Err(nothing("it has no key, so the warehouse has a history of it"));
        }
        let now = self.reader.columns(&origin.database, &origin.table).await?;
        if now.is_empty() {
            return Err(nothing("the source has no such table any more"));
        }
        let mut notes = Vec::new();
        let columns = shared_columns(&schema, &target, &now, &mut notes);
        let place = |name: &String| columns.iter().position(|c| c.name == *name);
        let key: Option<Vec<usize>> = target.key.iter().map(place).collect();
        let key = key.ok_or_else(|| nothing("a column of its key is not on both sides"))?;
        if !target.json_text && columns.iter().any(|c| c.ty == crate::model::ColumnType::Json) {
            notes.push(
                "of JSON only the kind of the outermost value is compared: the warehouse keeps it parsed".to_owned(),
            );
        }
        let comparison = Arc::new(Comparison { columns, key, json_text: target.json_text });
        Ok(Scope { comparison, target, notes })
    }
}

fn cut(source: &SourceTable, target: &ComparedTarget, rows: u64) -> Cut {
    let comparison = &source.comparison;
    let alike = comparison.prefix_that_orders_alike().min(target.ordered);
    if alike > 0 {
        return Cut::Ranges(alike);
    }
    // Without an index a walk would sort the table for every range.
    let walk = match source.index {
        Some(_) => comparison.key_columns().take_while(|c| is_walkable(c)).count(),
        None => 0,
    };
    Cut::Buckets { walk, rows }
}

/// Whether a literal of the column's value stands where the server sorts the value: labels sort by their numbers, and singles
/// and bits have no exact literals.
fn is_walkable(column: &ComparedColumn) -> bool {
    !["enum", "set", "float", "double", "bit"].iter().any(|ty| column.source.starts_with(ty))
}

fn shared_columns(
    schema: &TableSchema,
    target: &ComparedTarget,
    now: &[String],
    notes: &mut Vec<String>,
) -> Vec<ComparedColumn> {
    let mut columns = Vec::with_capacity(schema.columns.len());
    for column in &schema.columns {
        let Some((_, ty)) = target.columns.iter().find(|(name, _)| *name == column.name) else {
            notes.push(format!("column {} is not in the warehouse yet and was left out", column.name));
            continue;
        };
        if !now.contains(&column.name) {
            notes.push(format!("column {} is not on the source any more and was left out", column.name));
            continue;
        }
        columns.push(ComparedColumn { name: column.name.clone(), ty: *ty, source: column.source.clone() });
    }
    for name in now.iter().filter(|name| schema.column(name).is_none()) {
        notes.push(format!("column {name} is new on the source and was left out: no row with it was read yet"));
    }
    columns
}

/// Looks at the rows that differ once more, whole: which columns, and whether a policy explains it.
async fn judge(
    source: &mut MysqlSide<'_>,
    warehouse: &mut TargetSide<'_>,
    comparison: &Comparison,
    policies: &Policies,
    findings: Findings,
    explained: &mut u64,
) -> Result<TableOutcome, VerifyError> {
    let mut differences = Vec::new();
    let mut skipped = 0;
    for (suspect, range) in findings.different {
        if differences.len() >= DIFFERENCES_MAX {
            skipped += 1;
            continue;
        }
        let mut columns = Vec::new();
        if suspect.source.is_some() && suspect.warehouse.is_some() {
            let (here, there) = tokio::join!(source.values_of(&suspect.key), warehouse.values_of(&suspect.key));
            if let (Some(here), Some(there)) = (here?, there?) {
                let compared = explain::compare(&comparison.columns, &here, &there, policies);
                if compared.explained && compared.columns.is_empty() {
                    *explained += 1;
                    continue;
                }
                columns = compared.columns;
            }
        }
        differences.push(difference(comparison, suspect, &range, columns));
    }
    let mut open: Vec<OpenRange> = findings
        .unsearched
        .into_iter()
        .map(|u| OpenRange {
            range: range_text(comparison, &u.range),
            source_rows: u.source_rows,
            warehouse_rows: u.warehouse_rows,
        })
        .collect();
    if skipped > 0 {
        let range = format!("{skipped} more rows");
        open.push(OpenRange { range, source_rows: skipped, warehouse_rows: skipped });
    }
    if differences.is_empty() && open.is_empty() {
        return Ok(TableOutcome::Equal);
    }
    differences.sort_by(|a, b| (a.kind, &a.key).cmp(&(b.kind, &b.key)));
    Ok(TableOutcome::Differs { differences, open })
}

fn difference(comparison: &Comparison, suspect: Suspect, range: &KeyRange, columns: Vec<String>) -> Difference {
    let kind = match (suspect.source, suspect.warehouse) {
        (Some(_), Some(_)) => DifferenceKind::Changed,
        (Some(_), None) => DifferenceKind::Missing,
        (None, _) => DifferenceKind::Extra,
    };
    let key = comparison.key_columns().zip(&suspect.key).map(|(c, token)| (c.name.clone(), value_text(c, token)));
    Difference { kind, key: key.collect(), columns, range: range_text(comparison, range), tokens: suspect.key }
}

/// A key column's value for people.
fn value_text(column: &ComparedColumn, token: &str) -> String {
    match Form::of_key(column.ty) {
        Form::Text => text_of(token).to_owned(),
        Form::Bytes => format!("0x{token}"),
        Form::Float => float_of(token).map(|value| value.to_string()).unwrap_or_default(),
        _ => token.to_owned(),
    }
}

/// A range for people, such as `id in (20000, 40000]`.
fn range_text(comparison: &Comparison, range: &KeyRange) -> String {
    let bound = |key: &Option<Key>| {
        key.as_ref().map(|key| {
            let values: Vec<String> = comparison.key_columns().zip(key).map(|(c, t)| value_text(c, t)).collect();
            values.join(", ")
        })
    };
    let columns = range.after.as_ref().or(range.through.as_ref()).map_or(0, Vec::len);
    let names: Vec<&str> = comparison.key_columns().take(columns).map(|c| c.name.as_str()).collect();
    match (bound(&range.after), bound(&range.through)) {
        (None, None) => "all keys".to_owned(),
        (after, through) => {
            let (after, through) = (after.unwrap_or_else(|| "…".to_owned()), through.unwrap_or_else(|| "…".to_owned()));
            format!("{} in ({after} .. {through}]", names.join(", "))
        }
    }
}

fn through(reached: Reached) -> VerifiedThrough {
    VerifiedThrough {
        position: status::place(&reached.position),
        committed_at: reached.committed_at,
        entry: reached.entry,
        verified_at: SystemClock::new().unix_micros(),
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
