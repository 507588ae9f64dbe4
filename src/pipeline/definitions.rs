//! What the targets of a lake are to be, by its newest schemas. Reads the lake alone.

use std::{collections::BTreeMap, sync::Arc};

use super::{open, status};
use crate::{
    config::{Config, TableRules},
    lake::{SchemaError, Schemas, StoreError, log},
    model::{Column, Digest, Origin, Target},
    warehouse::{TablePlan, WarehouseError},
};

/// Why the lake's schemas could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionsError {
    /// There is no way to the lake.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The logs of the lake could not be listed.
    #[error("the lake's logs cannot be listed")]
    Shards(#[source] log::LogError),
    /// A log could not be read.
    #[error("the log of shard {shard} cannot be read: {reason}")]
    Log {
        /// The shard.
        shard: String,
        /// Why.
        reason: String,
    },
    /// A schema could not be read.
    #[error("a schema of {origin} cannot be read")]
    Schema {
        /// Whose rows have it.
        origin: Origin,
        /// Why.
        #[source]
        source: SchemaError,
    },
}

/// What one target is to be.
#[derive(Debug)]
pub struct Definition {
    /// The target.
    pub target: Target,
    /// Source tables that feed it, in order.
    pub origins: Vec<Origin>,
    /// The plan, or why there is none.
    pub plan: Result<TablePlan, String>,
}

/// Every target that the lake has rows for, in the order of their names.
///
/// # Errors
/// When the lake cannot be read. What keeps a single target from having a plan is told with it.
pub async fn read(config: &Config) -> Result<Vec<Definition>, DefinitionsError> {
    let store = open::store(config).await?;
    let shards = log::shards(&*store).await.map_err(DefinitionsError::Shards)?;
    let schemas = Schemas::new(Arc::clone(&store));
    let rules = config.table_rules();
    let mut found: BTreeMap<Target, Vec<(Origin, Option<Digest>)>> = BTreeMap::new();
    for (shard, head) in status::heads(&*store, &shards).await {
        let head = head.map_err(|reason| DefinitionsError::Log { shard: shard.to_string(), reason })?;
        for (origin, known) in head.into_iter().flat_map(|head| head.catalog.origins) {
            found.entry(known.target).or_default().push((origin, known.schema));
        }
    }
    let mut definitions = Vec::with_capacity(found.len());
    for (target, origins) in found {
        let mut plan = None;
        for (origin, schema) in &origins {
            let Some(schema) = schema else { continue };
            let failed = |source| DefinitionsError::Schema { origin: origin.clone(), source };
            let schema = schemas.load(&target, schema).await.map_err(failed)?;
            plan = Some(extend(plan, &rules, &target, origin, &schema.columns));
        }
        let plan = plan.unwrap_or_else(|| Err("no row of it is in the lake yet".to_owned()));
        let origins = origins.into_iter().map(|(origin, _)| origin).collect();
        definitions.push(Definition { target, origins, plan });
    }
    Ok(definitions)
}

/// The plan with one more origin's columns. A target that failed stays failed.
pub(super) fn extend(
    plan: Option<Result<TablePlan, String>>,
    rules: &TableRules,
    target: &Target,
    origin: &Origin,
    columns: &[Column],
) -> Result<TablePlan, String> {
    let none = BTreeMap::new();
    let reason = |e: WarehouseError| match e {
        WarehouseError::Table { reason, .. } => reason,
        other => other.to_string(),
    };
    match plan {
        Some(plan) => plan?.with(columns, &none).map_err(reason),
        None => {
            let rule = rules.resolve(&origin.database, &origin.table).filter(|r| r.target == *target);
            let rule = rule.ok_or_else(|| format!("no [[table]] rule sends {origin} there any more"))?;
            TablePlan::begin(&rule, columns, &none).map_err(reason)
        }
    }
}
