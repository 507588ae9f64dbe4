//! What one tick asks of Redshift: statements, COPYs and commits, counted by the stand-in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tailwater_redshift::{Executed, Kind};
use tailwater_servers::{Mysql, MysqlOptions};

use crate::place::{Place, Product};

/// Changed tables of the ticks. The number of shards changes nothing but the length of a statement, as a test of the
/// warehouse counts with 64 of them.
const TABLES: [usize; 3] = [1, 10, 50];

/// Prints the table.
pub(crate) fn report(quick: bool) -> Result<()> {
    println!(
        "\n| tables | statements | COPYs | most COPYs on a connection | staging commits | merge commits | s |\n\
         |---|---|---|---|---|---|---|"
    );
    for tables in &TABLES[..if quick { 2 } else { TABLES.len() }] {
        println!("{}", tick(*tables)?);
    }
    Ok(())
}

/// One tick in which every table has news.
fn tick(tables: usize) -> Result<String> {
    let mysql = Mysql::start(MysqlOptions::default())?;
    let each = |sql: &dyn Fn(usize) -> String| (0..tables).map(sql).collect::<Vec<_>>().join(";");
    mysql.sql(&format!(
        "CREATE DATABASE wide; {}",
        each(&|n| format!(
            "CREATE TABLE wide.t{n} (id INT PRIMARY KEY, note VARCHAR(40)); INSERT INTO wide.t{n} VALUES (1, 'one'), (2, 'two')"
        ))
    ))?;
    let sources = [("s1", &mysql)];
    // So few rows would go by INSERT otherwise.
    let mut place = Place::start(Product::Redshift)?.configured("insert_rows_max = 0");
    let warehouse = place.fresh_warehouse()?;
    let apply = |place: &Place| -> Result<()> {
        let status = place.apply(&sources, "wide.*", &warehouse)?.status()?;
        ensure!(status.success(), "tailwater apply ended with {status}: {}", place.said());
        Ok(())
    };
    // The first tick makes the targets, which no later one does.
    place.extract(&sources, "wide.*")?;
    apply(&place)?;
    mysql.sql(&each(&|n| format!("UPDATE wide.t{n} SET note = CONCAT(note, '!')")))?;
    place.extract(&sources, "wide.*")?;
    let redshift = place.redshift().context("it is Redshift's stand-in")?;
    let before = redshift.statements().len();
    let started = Instant::now();
    apply(&place)?;
    let seconds = started.elapsed().as_secs_f64();
    let seen = redshift.statements();
    let counts = Counts::of(&seen[before..]);
    Ok(format!(
        "| {tables} | {} | {} | {} | {} | {} | {seconds:.2} |",
        counts.statements, counts.copies, counts.copies_in_a_row, counts.staging_commits, counts.merge_commits
    ))
}

#[derive(Default)]
struct Counts {
    /// Of the transactions that stage and merge; a session's own begin and end are left out.
    statements: usize,
    copies: usize,
    copies_in_a_row: usize,
    staging_commits: usize,
    merge_commits: usize,
}

impl Counts {
    /// A transaction with COPY stages; one that deletes from or inserts into `wide` merges.
    fn of(seen: &[Executed]) -> Self {
        let mut counts = Self::default();
        let mut open: BTreeMap<i32, Vec<&Executed>> = BTreeMap::new();
        let mut copies: BTreeMap<i32, usize> = BTreeMap::new();
        let connections: BTreeSet<i32> = seen.iter().map(|s| s.connection).collect();
        for connection in connections {
            for statement in seen.iter().filter(|s| s.connection == connection) {
                let transaction = open.entry(connection).or_default();
                transaction.push(statement);
                if !statement.committed {
                    continue;
                }
                let copied = transaction.iter().filter(|s| s.kind == Kind::Copy).count();
                let merges = transaction.iter().any(|s| s.kind == Kind::Insert && s.text.contains("\"wide\"."));
                if copied > 0 || merges {
                    counts.statements += transaction.iter().filter(|s| s.kind != Kind::Other).count();
                }
                if copied > 0 {
                    counts.staging_commits += 1;
                    *copies.entry(connection).or_default() += copied;
                } else if merges {
                    counts.merge_commits += 1;
                }
                transaction.clear();
            }
        }
        counts.copies = copies.values().sum();
        counts.copies_in_a_row = copies.values().copied().max().unwrap_or(0);
        counts
    }
}
