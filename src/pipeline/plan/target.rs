//! Targets: what the lake and the sources say they should be, against what the warehouse has.

use std::collections::BTreeMap;

use super::{Captured, Change, Lake, TargetForecast};
use crate::{
    config::{Config, TableRules},
    errors::chain,
    model::{Column, Origin, Target},
    pipeline::{definitions::extend, open},
    warehouse::{Product, TablePlan, Warehouse, WarehouseError},
};

/// What is known of one target.
#[derive(Default)]
struct Wanted {
    origins: Vec<Origin>,
    plan: Option<Result<TablePlan, String>>,
}

/// Looks at all targets that captured tables, or rows in the lake, go to.
pub(super) async fn look(
    config: &Config,
    lake: &Lake,
    captured: Vec<Captured>,
    trouble: &mut Vec<String>,
) -> Vec<TargetForecast> {
    let rules = config.table_rules();
    let mut wanted: BTreeMap<Target, Wanted> = BTreeMap::new();
    // In the order in which an applier meets them: the lake's schemas first.
    for head in lake.heads.values() {
        for (origin, known) in &head.catalog.origins {
            let (Some(schema), Some(schemas)) = (&known.schema, &lake.schemas) else { continue };
            match schemas.load(&known.target, schema).await {
                Ok(schema) => {
                    wanted.entry(known.target.clone()).or_default().add(&rules, origin, &known.target, &schema.columns)
                }
                Err(e) => trouble.push(format!("a schema of {origin} cannot be read: {}", chain(&e))),
            }
        }
    }
    for Captured { origin, target, schema } in captured {
        if let Some(schema) = schema {
            wanted.entry(target.clone()).or_default().add(&rules, &origin, &target, &schema.columns);
        }
    }
    let warehouse = open(config, trouble).await;
    let mut reachable = warehouse.is_some();
    let mut targets = Vec::with_capacity(wanted.len());
    for (target, wanted) in wanted {
        let Some(plan) = wanted.plan else { continue };
        let group = wanted.origins.first().and_then(|o| rules.resolve(&o.database, &o.table)).map(|r| r.group);
        let group = group.unwrap_or_default();
        let place = open::group(&config.pipeline, &group);
        let change = match (plan, warehouse.as_ref().filter(|_| reachable)) {
            (Err(reason), _) => Change::Refuse { reason },
            (Ok(_), None) => Change::Unknown,
            (Ok(plan), Some((warehouse, product))) => match change(&**warehouse, product, &place, &plan).await {
                Ok(change) => change,
                Err(e) => {
                    trouble.push(format!("warehouse: {}", chain(&e)));
                    // Every other question would wait as long.
                    reachable = false;
                    Change::Unknown
                }
            },
        };
        let mut origins: Vec<String> = wanted.origins.iter().map(ToString::to_string).collect();
        origins.sort_unstable();
        targets.push(TargetForecast { target: target.to_string(), group, origins, change });
    }
    targets
}

impl Wanted {
    fn add(&mut self, rules: &TableRules, origin: &Origin, target: &Target, columns: &[Column]) {
        if !self.origins.contains(origin) {
            self.origins.push(origin.clone());
        }
        self.plan = Some(extend(self.plan.take(), rules, target, origin, columns));
    }
}

async fn open(config: &Config, trouble: &mut Vec<String>) -> Option<(std::sync::Arc<dyn Warehouse>, Product)> {
    let target = config.warehouse.as_ref()?;
    // The statements of Redshift alone name the lake.
    let store = match &config.lake.url {
        crate::config::LakeUrl::Folder(_) => None,
        crate::config::LakeUrl::S3 { .. } => open::store(config).await.ok(),
    };
    match open::warehouse(target, store.as_ref()) {
        Ok(warehouse) => Some((warehouse, open::product(target))),
        Err(e) => {
            trouble.push(format!("warehouse: {}", chain(&e)));
            None
        }
    }
}

async fn change(
    warehouse: &dyn Warehouse,
    product: &Product,
    group: &str,
    plan: &TablePlan,
) -> Result<Change, WarehouseError> {
    let refused = |e: WarehouseError| match e {
        WarehouseError::Table { reason, .. } => Ok(Change::Refuse { reason }),
        other => Err(other),
    };
    let state = match warehouse.preview_table(group, plan).await {
        Ok(state) => state,
        Err(e) => return refused(e),
    };
    if state.created {
        return match product.target(plan) {
            Ok(ddl) => Ok(Change::Create { statements: ddl.schema.into_iter().chain(ddl.tables).collect() }),
            Err(e) => refused(e),
        };
    }
    if state.added.is_empty() && state.widened.is_empty() {
        return Ok(Change::Keep { place: state.place });
    }
    let source = |name: &String| plan.columns.iter().find(|c| c.column.name == *name).map(|c| &c.column.source);
    let added = state.added.iter().map(|n| source(n).map_or_else(|| n.clone(), |source| format!("{n} ({source})")));
    Ok(Change::Alter { place: state.place, added: added.collect(), widened: state.widened })
}
