//! Staging a tick: tables side by side on several connections, each connection with one transaction.

use futures::{StreamExt, future::join_all, stream};
use tokio::time::sleep;

use crate::{
    lake::{ObjectPath, Store, paths},
    model::Target,
    warehouse::{
        Fence, ReadFiles, StageOutcome, StageReport, TableFiles, TableMerge, TickId, WarehouseError,
        error::FailureKind, stage::outcome,
    },
};

use super::{
    CONFLICT_TRIES_MAX, Inner, Redshift, client, conflict_pause, data_api,
    errors::{Class, Trouble, trimmed},
    load::{Load, Planner, REQUESTS_AT_ONCE},
    merge::{Staged, effective},
    script::{About, Answer, Channel, Expect, Halt, Script, query},
    sql::{catalog, copy::Access, stage::keys_of},
};

/// Pages of manifests that are looked through when a group is opened; the rest waits for the next time.
const MANIFEST_PAGES_MAX: usize = 10;

/// What became of one load: the number of contended keys, or the table's error.
type Done = Result<i64, WarehouseError>;

/// What became of the loads of one connection: the channel, unless it broke, and either all outcomes or what ended all.
struct Lane {
    channel: Option<Box<dyn Channel>>,
    done: Result<Vec<(usize, Done)>, WarehouseError>,
    /// Tables whose failure nobody foresaw.
    unknown: Option<Target>,
}

impl Redshift {
    /// Stages all tables of a tick.
    pub(super) async fn stage_tables(
        &self,
        inner: &mut Inner,
        tick: &TickId,
        tables: &[TableFiles],
        reader: &dyn ReadFiles,
    ) -> Result<Vec<StageOutcome>, WarehouseError> {
        let mut outcomes: Vec<Option<StageOutcome>> = tables.iter().map(|_| None).collect();
        let loads = self.plan(inner, tick, tables, reader, &mut outcomes).await?;
        let done = self.load(inner, &loads).await;
        self.forget_manifests(&loads).await;
        for (place, done) in done? {
            let Some(load) = loads.iter().find(|l| l.place == place) else { continue };
            let target = &load.layout.target;
            let report = done.map(|contended| {
                inner.staged.insert(target.clone(), staged(tick, load, contended));
                inner.unknown.remove(target);
                StageReport { rows: load.rows, replaced_zero_bytes: 0 }
            });
            if let Some(slot) = outcomes.get_mut(place) {
                *slot = Some(outcome(report)?);
            }
        }
        outcomes
            .into_iter()
            .map(|outcome| outcome.ok_or_else(|| WarehouseError::fatal("tell what became of a table's files")))
            .collect()
    }

    /// Finds, for global keys, what floors touch in tables that have no rows in this tick.
    pub(super) async fn look_below_floors(
        &self,
        inner: &mut Inner,
        tick: &TickId,
        tables: &[TableMerge],
    ) -> Result<(), WarehouseError> {
        let mut loads = Vec::with_capacity(tables.len());
        for (place, table) in tables.iter().enumerate() {
            let layout = inner.context(&self.names).layout(&table.target)?.clone();
            let stage = self.stage_name(&tick.fence);
            let floors = effective(&layout, &table.floors);
            let previous = inner.replace_litter(&self.names, &table.target, &stage);
            let (staged, parts, lists) = (layout.clone(), Vec::new(), Vec::new());
            loads.push(Load { place, layout, staged, stage, previous, parts, lists, floors, rows: 0, bytes: 0 });
        }
        for (place, done) in self.load(inner, &loads).await? {
            if let Some(load) = loads.iter().find(|l| l.place == place) {
                inner.staged.insert(load.layout.target.clone(), staged(tick, load, done?));
            }
        }
        Ok(())
    }

    /// Plans the loads; tables that cannot be loaded get their outcome at once.
    async fn plan(
        &self,
        inner: &mut Inner,
        tick: &TickId,
        tables: &[TableFiles],
        reader: &dyn ReadFiles,
        outcomes: &mut [Option<StageOutcome>],
    ) -> Result<Vec<Load>, WarehouseError> {
        let planner = Planner {
            store: &*self.store,
            names: &self.names,
            fence: &tick.fence,
            insert_rows_max: self.connector.options.insert_rows_max,
            text_bytes_max: match self.connector.options.data_api {
                Some(_) => data_api::TEXT_BYTES_MAX,
                None => client::TEXT_BYTES_MAX,
            },
        };
        let mut wanted = Vec::with_capacity(tables.len());
        for (place, table) in tables.iter().enumerate() {
            let target = &table.target;
            let unknown = || WarehouseError::fatal(format!("stage rows of {target}, which was not ensured"));
            let layout = inner.layouts.get(target).cloned().ok_or_else(unknown)?;
            let stage = self.stage_name(&tick.fence);
            inner.staged.remove(target);
            let previous = inner.replace_litter(&self.names, target, &stage);
            wanted.push((place, layout, table, stage, previous));
        }
        let planner = &planner;
        let plans = wanted.into_iter().map(|(place, layout, table, stage, previous)| async move {
            (place, planner.plan(place, &layout, table, stage, previous, reader).await)
        });
        let planned: Vec<_> = stream::iter(plans.collect::<Vec<_>>()).buffered(REQUESTS_AT_ONCE).collect().await;
        let mut loads = Vec::with_capacity(planned.len());
        let mut failed = None;
        for (place, plan) in planned {
            match plan {
                Ok(load) => loads.push(load),
                Err(error @ WarehouseError::Table { .. }) => {
                    if let Some(slot) = outcomes.get_mut(place) {
                        *slot = Some(Err(error));
                    }
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            None => Ok(loads),
            Some(error) => {
                self.forget_manifests(&loads).await;
                Err(error)
            }
        }
    }

    /// Runs the loads on as many connections as are worth it.
    async fn load(&self, inner: &mut Inner, loads: &[Load]) -> Result<Vec<(usize, Done)>, WarehouseError> {
        if loads.is_empty() {
            return Ok(Vec::new());
        }
        let access = self.connector.access().await.map_err(|t| t.failure.doing("find the keys of the lake"))?;
        let lanes = spread(loads, self.connector.options.connections.max(1));
        let work = lanes.into_iter().map(|loads| self.lane(inner.idle.take(), loads, &access));
        let mut all = Vec::with_capacity(loads.len());
        let mut failed = None;
        for lane in join_all(work.collect::<Vec<_>>()).await {
            if let Some(channel) = lane.channel {
                inner.idle.give(channel);
            }
            match (lane.done, lane.unknown) {
                (Ok(done), _) => all.extend(done),
                (Err(error), Some(target)) => failed = Some(inner.unforeseen(&target, error)),
                (Err(error), None) => failed = Some(error),
            }
        }
        failed.map_or(Ok(all), Err)
    }

    /// One connection's loads.
    async fn lane(&self, channel: Option<Box<dyn Channel>>, loads: Vec<&Load>, access: &Access) -> Lane {
        let opened = match channel {
            Some(channel) => Ok(channel),
            None => self.connector.open().await,
        };
        let mut channel = match opened {
            Ok(channel) => channel,
            Err(trouble) => {
                return Lane { channel: None, done: Err(trouble.failure.doing("connect")), unknown: None };
            }
        };
        let mut run = Run { redshift: self, channel: channel.as_mut(), access, done: Vec::new(), unknown: None };
        let result = run.all(loads).await;
        let Run { done, unknown, .. } = run;
        Lane { channel: Some(channel), done: result.map(|()| done), unknown }
    }

    /// Removes manifests that were used. What stays behind is removed when the group is opened the next time.
    async fn forget_manifests(&self, loads: &[Load]) {
        delete(&*self.store, loads.iter().flat_map(Load::manifests).cloned().collect()).await;
    }
}

/// The loads of one connection under way.
struct Run<'a> {
    redshift: &'a Redshift,
    channel: &'a mut dyn Channel,
    access: &'a Access,
    done: Vec<(usize, Done)>,
    unknown: Option<Target>,
}

impl Run<'_> {
    /// All of them, in as few transactions as the channel allows: usually one.
    async fn all(&mut self, loads: Vec<&Load>) -> Result<(), WarehouseError> {
        let names = &self.redshift.names;
        let scripts: Vec<(&Load, Script)> = loads.into_iter().map(|l| (l, l.script(names, self.access))).collect();
        let mut part: Vec<(&Load, Script)> = Vec::new();
        for (load, script) in scripts {
            let steps: usize = part.iter().map(|(_, s)| s.steps.len()).sum();
            if !part.is_empty() && steps + script.steps.len() > self.channel.steps_max() {
                self.together(std::mem::take(&mut part)).await?;
            }
            part.push((load, script));
        }
        self.together(part).await
    }

    /// One transaction. A table that fails is left out and the others are loaded again.
    async fn together(&mut self, mut loads: Vec<(&Load, Script)>) -> Result<(), WarehouseError> {
        let mut tries = 0;
        while !loads.is_empty() {
            let script =
                Script { steps: loads.iter().flat_map(|(_, s)| s.steps.clone()).collect(), statement_max: None };
            let (about, trouble) = match self.channel.transact(&script).await {
                Ok(answers) => {
                    let mut rest = answers.as_slice();
                    for (load, script) in &loads {
                        let (own, others) = rest.split_at(script.steps.len().min(rest.len()));
                        self.done.push((load.place, Ok(told(script, own))));
                        rest = others;
                    }
                    return Ok(());
                }
                Err(Halt::Unmet { about: About::Table(target), found, expected, otherwise }) => {
                    let found = found.map_or_else(|| "another number".to_owned(), |n| n.to_string());
                    let reason = format!("{otherwise}: {found} instead of {expected}");
                    self.park(&mut loads, &target, WarehouseError::table(&target, reason));
                    continue;
                }
                Err(Halt::Unmet { otherwise, .. }) => return Err(WarehouseError::fatal(otherwise)),
                Err(Halt::Failed { about, trouble }) => (Some(about), trouble),
                Err(Halt::Transaction { trouble, .. }) => (None, trouble),
            };
            // Nobody reads staging but us: what may have been committed is made anew by the next tick.
            if trouble.class == Class::Conflict && tries < CONFLICT_TRIES_MAX {
                tries += 1;
                sleep(conflict_pause(tries)).await;
                continue;
            }
            match about {
                Some(About::Table(target)) => self.failed(&mut loads, target, trouble).await?,
                _ => return Err(trouble.failure.doing("stage rows")),
            }
        }
        Ok(())
    }

    /// A statement about a table failed: it is the table's own error, or everybody's.
    async fn failed(
        &mut self,
        loads: &mut Vec<(&Load, Script)>,
        target: Target,
        mut trouble: Trouble,
    ) -> Result<(), WarehouseError> {
        if trouble.class == Class::Load
            && let Some(more) = self.load_error().await
        {
            trouble.failure.text = format!("{}; {more}", trouble.failure.text);
        }
        if trouble.class == Class::Unknown {
            self.unknown = Some(target.clone());
        }
        let definite = matches!(trouble.failure.kind, FailureKind::Data | FailureKind::Denied);
        let error = trouble.failure.in_table(&target, "stage rows");
        if !definite {
            return Err(error);
        }
        self.park(loads, &target, error);
        Ok(())
    }

    fn park(&mut self, loads: &mut Vec<(&Load, Script)>, target: &Target, error: WarehouseError) {
        if let Some(at) = loads.iter().position(|(load, _)| load.layout.target == *target) {
            let (load, _) = loads.remove(at);
            self.done.push((load.place, Err(error)));
        }
    }

    /// What Redshift noted of the load that has just failed. A help, not a need: whatever goes wrong is passed over.
    async fn load_error(&mut self) -> Option<String> {
        let backend = query(&mut *self.channel, catalog::backend()).await.ok()?.first()?.first()?.int()?;
        let rows = query(&mut *self.channel, catalog::load_error(backend)).await.ok()?;
        let [file, column, ty, message] = rows.first()?.as_slice() else { return None };
        let text = |v: &crate::warehouse::session::Value| v.text().map(trimmed).filter(|t| !t.is_empty());
        let part = |name: &str, v| text(v).map(|t| format!("{name} {t} ")).unwrap_or_default();
        Some(format!("{}{}{}{}", part("file", file), part("column", column), part("type", ty), text(message)?))
    }
}

/// What the one step that tells something told.
fn told(script: &Script, answers: &[Answer]) -> i64 {
    let tells = script.steps.iter().zip(answers).filter(|(step, _)| step.expect == Expect::Tell);
    tells.filter_map(|(_, answer)| answer.integer()).next_back().unwrap_or_default()
}

fn staged(tick: &TickId, load: &Load, contended: i64) -> Staged {
    Staged {
        tick: tick.clone(),
        rows: load.rows,
        lists: load.lists.clone(),
        floors: load.floors.clone(),
        stage: load.stage.clone(),
        contended,
    }
}

/// The loads in at most `lanes` parts: the largest first, each to the part that has least.
fn spread(loads: &[Load], lanes: usize) -> Vec<Vec<&Load>> {
    /// What a COPY costs before it has read anything, as bytes that it could have loaded meanwhile.
    const START_BYTES: u64 = 16 << 20;
    let mut parts: Vec<(u64, Vec<&Load>)> = (0..lanes.min(loads.len())).map(|_| (0, Vec::new())).collect();
    let mut sorted: Vec<&Load> = loads.iter().collect();
    sorted.sort_by_key(|load| std::cmp::Reverse(load.bytes));
    for load in sorted {
        if let Some((bytes, part)) = parts.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            *bytes += load.bytes + START_BYTES;
            part.push(load);
        }
    }
    parts.into_iter().map(|(_, part)| part).collect()
}

impl Inner {
    /// Remembers the private tables that a load is going to make; answers those that it replaces.
    fn replace_litter(&mut self, names: &super::Names, target: &Target, stage: &str) -> Vec<String> {
        let tables = [stage.to_owned(), keys_of(stage)].map(|table| names.private(&table)).to_vec();
        self.litter.insert(target.clone(), tables).unwrap_or_default()
    }
}

/// Removes the manifests that earlier epochs of the group left behind.
pub(super) async fn remove_manifests(store: &dyn Store, fence: &Fence) {
    let prefix = paths::manifests(&fence.group);
    let mut after: Option<ObjectPath> = None;
    for _ in 0..MANIFEST_PAGES_MAX {
        let Ok(page) = store.list(&prefix, after.as_ref()).await else { return };
        let old = |path: &ObjectPath| paths::manifest_epoch(&fence.group, path).is_some_and(|e| e < fence.epoch);
        delete(store, page.objects.into_iter().map(|o| o.path).filter(old).collect()).await;
        match page.next {
            Some(next) => after = Some(next),
            None => return,
        }
    }
}

/// Removes objects that nobody needs; those that stay harm nobody.
async fn delete(store: &dyn Store, paths: Vec<ObjectPath>) {
    stream::iter(paths)
        .for_each_concurrent(REQUESTS_AT_ONCE, |path| async move {
            if let Err(error) = store.delete(&path).await {
                tracing::debug!(%path, %error, "a used manifest was not removed");
            }
        })
        .await;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::warehouse::{Deletes, KeyMode, redshift::sql::table::tests::layout};

    fn load(place: usize, bytes: u64) -> Load {
        Load {
            place,
            layout: layout(KeyMode::PerOrigin, Deletes::Hard),
            staged: layout(KeyMode::PerOrigin, Deletes::Hard),
            stage: format!("stage_{place}"),
            previous: Vec::new(),
            parts: Vec::new(),
            lists: Vec::new(),
            floors: Vec::new(),
            rows: 1,
            bytes,
        }
    }

    #[test]
    fn tables_are_spread_evenly() {
        let loads: Vec<Load> = (0..50).map(|n| load(n, if n == 7 { 1 << 30 } else { 1 })).collect();
        let lanes = spread(&loads, 4);
        assert_eq!(lanes.iter().map(Vec::len).sum::<usize>(), 50);
        // The large one has a connection to itself.
        assert!(lanes.iter().any(|lane| lane.len() == 1 && lane[0].place == 7));
        assert_eq!(spread(&loads[..2], 4).len(), 2);
        assert_eq!(spread(&loads, 1).len(), 1);
    }
}
