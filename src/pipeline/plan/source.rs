//! One shard: where reading would begin, and what would be done with each captured table.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{Action, Captured, Lake, ShardForecast, TableForecast};
use crate::{
    config::{self, Config, KeyScope, MadeFor, Pattern, Polls, Source, TableMode, TablePolicy},
    decode::Policies,
    errors::chain,
    lake::log::Head,
    model::{Known, Origin, Shard, TableSchema},
    pipeline::{extract, open, status},
    source::mysql::{
        catalog::{CatalogReader, ListedTable},
        snapshot::{Shape, ShapeError},
        start::{self, StartPoint},
        table_map::Flavor,
    },
};

/// Longest time for everything that is asked of one server: a few statements for each of some thousand tables.
const ASKING_MAX: Duration = Duration::from_secs(120);

/// Looks at one source.
pub(super) async fn look(config: &Config, source: &Source, lake: &Lake) -> (ShardForecast, Vec<Captured>) {
    let shard = source.shard();
    let head = lake.heads.get(&shard);
    let mut forecast = ShardForecast {
        shard: shard.to_string(),
        entry: head.map(|h| h.newest.entry.number),
        begins: begins(config, source, head),
        ..ShardForecast::default()
    };
    let mut captured = Vec::new();
    let asking = ask(config, source, lake, &mut forecast, &mut captured);
    let trouble = match timeout(ASKING_MAX, asking).await {
        Ok(answer) => answer.err(),
        Err(_) => Some(format!("no answer within {} s", ASKING_MAX.as_secs())),
    };
    forecast.trouble = forecast.trouble.or(trouble);
    (forecast, captured)
}

fn begins(config: &Config, source: &Source, head: Option<&Head>) -> String {
    if config.polls(source).is_some() {
        return "its tables are asked again and again; its binlog is not followed".to_owned();
    }
    let position = head.map(|h| status::place(&h.newest.entry.position)).filter(|p| !p.is_empty());
    position.unwrap_or_else(|| match head {
        Some(_) => "a new place in the binlog".to_owned(),
        None => source.start.to_string(),
    })
}

async fn ask(
    config: &Config,
    source: &Source,
    lake: &Lake,
    forecast: &mut ShardForecast,
    captured: &mut Vec<Captured>,
) -> Result<(), String> {
    let (shard, address) = (source.shard(), open::address(source));
    let head = lake.heads.get(&shard);
    let position = head.map(|h| &h.newest.entry.position).filter(|p| p.gtid_set.is_some() || p.file.is_some());
    let from = position.map_or_else(|| open::start(source), |p| StartPoint::Resume(p.clone()));
    let mut conn = address.connect().await.map_err(|e| chain(&e))?;
    let polls = config.polls(source);
    if polls.is_none() {
        // What keeps it from being read does not keep its tables from being looked at.
        forecast.trouble = start::resolve(&mut conn, &from).await.err().map(|e| chain(&e));
    }
    let flavor = start::flavor(&mut conn).await.map_err(|e| chain(&e))?;
    // The server may have gone away already; nothing depends on a polite goodbye.
    let _ = conn.disconnect().await;
    let mut catalog = CatalogReader::new(address);
    let rules = config.table_rules();
    // A log that knows tables and no place: they are all read anew.
    let anew = polls.is_none() && position.is_none();
    let asked: Vec<Pattern> = lake.asked.get(&shard).into_iter().flatten().filter_map(|p| p.parse().ok()).collect();
    for listed in catalog.tables().await.map_err(|e| chain(&e))? {
        let Some(rule) = rules.resolve(&listed.name.database, &listed.name.table) else { continue };
        let origin = Origin::new(&shard, &listed.name.database, &listed.name.table);
        let known = head.and_then(|h| h.catalog.origins.get(&origin));
        let asked =
            (anew && known.is_some()) || asked.iter().any(|p| p.matches(&listed.name.database, &listed.name.table));
        let one = Table { config, source, polls, rule, origin, listed, flavor };
        let (table, schema) = one.look(&mut catalog, known, asked, position.is_some()).await;
        captured.push(Captured { origin: one.origin, target: one.rule.target, schema });
        forecast.tables.push(table);
    }
    forecast.tables.extend(gone(&shard, head, captured));
    Ok(())
}

/// Tables that wait for an operator and are no longer there.
fn gone(shard: &Shard, head: Option<&Head>, captured: &[Captured]) -> Vec<TableForecast> {
    let origins = head.into_iter().flat_map(|h| &h.catalog.origins);
    let gone = origins.filter(|(origin, known)| {
        origin.shard == *shard && known.parked.is_some() && !captured.iter().any(|c| c.origin == **origin)
    });
    gone.map(|(origin, known)| TableForecast {
        origin: origin.to_string(),
        target: known.target.to_string(),
        action: Action::Park,
        rows: 0,
        bytes: 0,
        notes: known.parked.iter().cloned().chain(["it is not on the source any more".to_owned()]).collect(),
    })
    .collect()
}

/// One captured table.
struct Table<'a> {
    config: &'a Config,
    source: &'a Source,
    /// How it is asked, where its binlog is not followed.
    polls: Option<Polls>,
    rule: TablePolicy,
    origin: Origin,
    listed: ListedTable,
    flavor: Flavor,
}

impl Table<'_> {
    async fn look(
        &self,
        catalog: &mut CatalogReader,
        known: Option<&Known>,
        asked: bool,
        resumes: bool,
    ) -> (TableForecast, Option<Arc<TableSchema>>) {
        let mut notes = Vec::new();
        let mut action = self.action(known, asked, resumes, &mut notes);
        let (database, table) = (&self.listed.name.database, &self.listed.name.table);
        let schema = match catalog.shape(database, table, self.flavor).await {
            Ok(Some(shape)) => match self.compiled(&shape, &mut notes) {
                Ok(schema) => Some(schema),
                Err(reason) => {
                    // The log has told why already.
                    if action != Action::Park {
                        notes.push(reason);
                    }
                    action = Action::Park;
                    None
                }
            },
            // Dropped since it was listed.
            Ok(None) => None,
            Err(e) => {
                // A snapshot alone needs the rows in this form.
                let reads = action != Action::Follow;
                if reads || !matches!(e, ShapeError::Type { .. }) {
                    action = Action::Park;
                }
                notes.push(chain(&e));
                None
            }
        };
        let forecast = TableForecast {
            origin: self.origin.to_string(),
            target: self.rule.target.to_string(),
            action,
            rows: self.listed.rows,
            bytes: self.listed.bytes,
            notes,
        };
        (forecast, schema)
    }

    fn action(&self, known: Option<&Known>, asked: bool, resumes: bool, notes: &mut Vec<String>) -> Action {
        let snapshots = self.source.start == config::StartPoint::Snapshot;
        match known {
            _ if asked => {
                notes.push("a snapshot was asked for".to_owned());
                Action::Snapshot
            }
            Some(Known { parked: Some(reason), .. }) => {
                notes.push(reason.clone());
                Action::Park
            }
            _ if self.polls.is_some() => {
                let how = self.polls.map(|polls| polls.of(&self.rule));
                notes.extend(how.as_ref().map(|how| {
                    let every = humantime::format_duration(how.interval);
                    format!("every {every}; not seen: {}", how.cannot_see())
                }));
                if how.is_some_and(|how| how.mode == TableMode::Full) { Action::Copy } else { Action::Ask }
            }
            Some(Known { snapshot: Some(_), .. }) => Action::ResumeSnapshot,
            Some(Known { needs_snapshot, .. }) => {
                let told = needs_snapshot.as_ref();
                notes.extend(told.map(|why| format!("needs a snapshot: {why}")));
                Action::Follow
            }
            None if snapshots => Action::Snapshot,
            None => {
                if resumes {
                    notes.push("new to the log; rows that it has already are not read".to_owned());
                }
                Action::Follow
            }
        }
    }

    /// The rows as the lake would have them, and what is done to their values.
    fn compiled(&self, shape: &Shape, notes: &mut Vec<String>) -> Result<Arc<TableSchema>, String> {
        let for_copy = self.config.made_for() == MadeFor::Redshift;
        let policies = extract::policies(&self.rule, for_copy);
        let plan = extract::compile(shape, &policies).map_err(|e| e.to_string())?;
        if !plan.has_key() {
            let what = "it has neither a primary key nor a UNIQUE key without NULL";
            const MEND: &str = "ALTER TABLE … ADD PRIMARY KEY (…)";
            // Rounds for what is new walk the key.
            let asked = self.polls.is_some_and(|polls| polls.of(&self.rule).mode == TableMode::Incremental);
            if asked || self.rule.no_key == config::NoKey::Park {
                return Err(format!("{what}; {MEND}"));
            }
            notes.push(format!(
                "{what}: its changes are appended as a history, and a snapshot of it is one long read; {MEND}"
            ));
        }
        notes.extend(self.struck(shape, plan.schema(), policies));
        Ok(Arc::clone(plan.schema()))
    }

    /// Policies that may change values.
    fn struck(&self, shape: &Shape, schema: &TableSchema, mut policies: Policies) -> Vec<String> {
        let mut notes = Vec::new();
        let limits: Vec<_> = schema.columns.iter().map(|c| policies.of(&c.name)).collect();
        policies.table.text_bytes_max = None;
        policies.columns.values_mut().for_each(|p| p.text_bytes_max = None);
        // Where the type is another one without the limit, the limit can strike.
        let unlimited = extract::compile(shape, &policies).ok();
        let wide = unlimited.as_ref().map(|plan| plan.schema().columns.as_slice()).unwrap_or_default();
        for ((column, free), policy) in schema.columns.iter().zip(wide).zip(&limits) {
            if let (true, Some(max)) = (column.ty != free.ty, policy.text_bytes_max) {
                let fate = match policy.long_values {
                    crate::decode::LongValues::Cut => "are cut",
                    crate::decode::LongValues::Null => "become NULL",
                    crate::decode::LongValues::Refuse => "park the table",
                };
                notes.push(format!("{} ({}): values of more than {max} bytes {fate}", column.name, column.source));
            }
        }
        if self.rule.key == KeyScope::Global {
            let by = self.rule.updated_at.as_deref().unwrap_or("the time of the commit");
            notes.push(format!("one row per primary key across shards, the newest by {by}"));
        }
        notes
    }
}
