//! What the verbs `pause`, `resume` and `unpark` share: how shards and tables are named, and how the outcome is told.

use super::{Failure, outcome};
use crate::{
    config::Pattern,
    exit::Exit,
    pipeline::{
        control::{ControlError, Effect, Selection},
        run::RunError,
    },
};

/// Tables that one line names; the rest is counted.
const NAMED: usize = 5;

/// Shards or tables.
#[derive(Debug, clap::Args)]
pub(super) struct SelectionArgs {
    /// Tables, by their names on the source such as 'shop.orders*'; repeat for more.
    #[arg(id = "selected_tables", long = "table", value_name = "PATTERN")]
    tables: Vec<Pattern>,
    /// This shard as a whole; with --table, the tables of this shard alone. Repeat for more.
    #[arg(id = "selected_shards", long = "shard", value_name = "NAME")]
    shards: Vec<String>,
}

impl SelectionArgs {
    pub(super) fn selection(self) -> Selection {
        Selection { tables: self.tables, shards: self.shards }
    }
}

/// The failure that a control command's error is.
pub(super) fn explain(error: ControlError) -> Failure {
    match error {
        ControlError::Store(e) => outcome::explain(RunError::Store(e)),
        ControlError::Shards(_) | ControlError::Unreachable(_) => Failure::new(Exit::Unavailable, error),
        ControlError::Nothing => Failure::new(Exit::Usage, error).hint("name what is meant by --table or --shard"),
        ControlError::NoTable { .. } => {
            Failure::new(Exit::Usage, error).hint("`tailwater status` lists the tables that the lake has")
        }
        ControlError::NoShard { .. } | ControlError::NotPaused { .. } => Failure::new(Exit::Usage, error),
    }
}

/// What was done and is noticed by running processes, a line each; `nothing` where nothing was.
pub(super) fn report_or(effects: &[Effect], nothing: &str) -> String {
    let noticed = "running processes notice within ten seconds; where none runs, the next one does";
    report(effects, if effects.is_empty() { nothing } else { noticed })
}

/// What was done, a line each; `after` says when it shows.
pub(super) fn report(effects: &[Effect], after: &str) -> String {
    let line = |effect: &Effect| {
        let mut tables: Vec<&str> = effect.tables.iter().take(NAMED).map(String::as_str).collect();
        let more = format!("and {} more", effect.tables.len().saturating_sub(NAMED));
        if effect.tables.len() > NAMED {
            tables.push(&more);
        }
        let tables = if tables.is_empty() { String::new() } else { format!(" ({})", tables.join(", ")) };
        format!("{} {}{tables}\n", effect.what, effect.done)
    };
    effects.iter().map(line).chain([format!("{after}\n")]).collect()
}
