//! Mending what differs: the extractors are asked to read just those rows anew.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{Instant, sleep};

use super::{Request, VerifyError};
use crate::{
    lake::{Clock, ObjectPath, Store, SystemClock, requests},
    model::{Origin, TableOutcome, Verification, checksum::Key},
};

/// How often it is looked whether requests are fulfilled.
const POLL: Duration = Duration::from_millis(500);

/// Rows of each source table that differ.
pub(super) fn different(found: &Verification) -> BTreeMap<Origin, Vec<Key>> {
    let keys = |outcome: &TableOutcome| match outcome {
        TableOutcome::Differs { differences, .. } => differences.iter().map(|d| d.tokens.clone()).collect(),
        TableOutcome::Equal | TableOutcome::NotCompared { .. } => Vec::new(),
    };
    let tables = found.tables.iter().filter_map(|table| Some((table.origin.parse().ok()?, keys(&table.outcome))));
    tables.filter(|(_, keys): &(Origin, Vec<Key>)| !keys.is_empty()).collect()
}

/// Asks for the rows and waits until the extractors have read them.
pub(super) async fn ask(
    store: &dyn Store,
    rows: &BTreeMap<Origin, Vec<Key>>,
    request: &Request,
) -> Result<(), VerifyError> {
    let now = SystemClock::new().unix_micros();
    let mut asked = Vec::new();
    for (origin, keys) in rows {
        for keys in keys.chunks(requests::ROWS_MAX) {
            asked.push(requests::Request::rows(origin, keys.to_vec(), now).leave(store).await?);
        }
    }
    fulfilled(store, asked, request).await
}

/// Waits until no request is left. Those that nobody fulfils in time stay for the next extractor.
async fn fulfilled(store: &dyn Store, mut asked: Vec<ObjectPath>, request: &Request) -> Result<(), VerifyError> {
    let deadline = Instant::now() + request.patience;
    while let Some(path) = asked.last() {
        if store.size(path).await?.is_none() {
            asked.pop();
            continue;
        }
        if Instant::now() >= deadline || *request.stop.borrow() {
            let reason = format!(
                "{} requests to read rows anew wait for an extractor: run `tailwater run`, then verify again",
                asked.len()
            );
            return Err(VerifyError::NotFollowed(reason));
        }
        sleep(POLL).await;
    }
    Ok(())
}
