//! Asking the appliers of groups to make tables anew from the lake.

use std::collections::{BTreeMap, BTreeSet};

use super::{open, status};
use crate::{
    config::{Config, Pattern},
    errors::chain,
    lake::{Clock, StoreError, SystemClock, log, rebuilds::Rebuild},
    model::{Origin, Target},
};

/// Parked source tables that an error names; `status` lists them all.
const NAMED_MAX: usize = 5;

/// A table that an applier was asked to rebuild.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The target.
    pub target: Target,
    /// The group whose applier does it.
    pub group: String,
    /// Source tables that feed it.
    pub origins: usize,
    /// Whether it was not asked before.
    pub new: bool,
}

/// Why nobody was asked.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The lake.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A log in the lake cannot be read.
    #[error("the lake's logs cannot be read: {0}")]
    Head(String),
    /// The patterns match nothing.
    #[error("no table in the lake matches {0}")]
    NoTable(String),
    /// The lake lacks rows.
    #[error("rows are missing in the lake since these source tables were parked: {0}")]
    Parked(String),
}

/// Asks for the tables that any of `patterns` matches by their names on the source, in any of `groups`.
///
/// # Errors
/// Nobody is asked when rows of a table are missing in the lake: it could only be made worse.
pub async fn ask(config: &Config, groups: &[String], patterns: &[Pattern]) -> Result<Vec<Asked>, RebuildError> {
    let store = open::store(config).await?;
    let shards: Vec<_> = log::shards(&*store).await.map_err(|e| RebuildError::Head(chain(&e)))?;
    let rules = config.table_rules();
    let mut wanted: BTreeMap<Target, (String, usize)> = BTreeMap::new();
    let mut parked: BTreeSet<Origin> = BTreeSet::new();
    let mut others = Vec::new();
    for head in status::heads(&*store, &shards).await.into_values() {
        for (origin, known) in head.map_err(RebuildError::Head)?.into_iter().flat_map(|head| head.catalog.origins) {
            let rule = rules.resolve(&origin.database, &origin.table).filter(|rule| groups.contains(&rule.group));
            let Some(rule) = rule else { continue };
            others.push((rule.target.clone(), origin.clone(), known.parked.is_some()));
            if patterns.iter().any(|p| p.matches(&origin.database, &origin.table)) {
                wanted.insert(rule.target, (rule.group, 0));
            }
        }
    }
    // A target is rebuilt as a whole, also where the patterns match only some of what feeds it.
    for (target, origin, is_parked) in others {
        let Some((_, origins)) = wanted.get_mut(&target) else { continue };
        *origins += 1;
        parked.extend(is_parked.then_some(origin));
    }
    if wanted.is_empty() {
        return Err(RebuildError::NoTable(patterns.iter().map(Pattern::to_string).collect::<Vec<_>>().join(", ")));
    }
    if !parked.is_empty() {
        let named: Vec<String> = parked.iter().take(NAMED_MAX).map(Origin::to_string).collect();
        let more = if parked.len() > NAMED_MAX { ", …" } else { "" };
        return Err(RebuildError::Parked(format!("{}{more}", named.join(", "))));
    }
    let now = SystemClock::new().unix_micros();
    let mut asked = Vec::with_capacity(wanted.len());
    for (target, (group, origins)) in wanted {
        let new = Rebuild::new(group.clone(), target.clone(), now).leave(&*store).await?;
        asked.push(Asked { target, group, origins, new });
    }
    Ok(asked)
}
