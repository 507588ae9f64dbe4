//! Comparing in the background, at a bounded rate, for as long as the process runs.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::{At, Request};
use crate::{
    config::Config,
    errors::chain,
    lake::{Clock as _, SystemClock},
    metrics::{ErrorKind, Metrics, Stage},
    model::{Origin, Shard, TableOutcome, VerifiedTable},
};

/// How long the warehouse is waited for each time it is behind. What takes longer is looked at in the next round.
const PATIENCE: Duration = Duration::from_secs(300);

/// Rounds over all tables.
#[derive(Debug)]
pub struct Background {
    /// The configuration.
    pub config: Config,
    /// Shards of this process.
    pub shards: Vec<Shard>,
    /// Becomes true when the process shall end.
    pub stop: watch::Receiver<bool>,
    /// Where figures go.
    pub metrics: Arc<Metrics>,
}

/// Compares round after round until it is told to stop. What goes wrong is told and tried again in the next round: copying must not
/// suffer from being watched.
pub async fn run(background: Background) {
    let Background { config, shards, stop, metrics } = background;
    let mut stopped = stop.clone();
    loop {
        tokio::select! {
            () = sleep(config.verify.pause.get()) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        let request = Request {
            tables: Vec::new(),
            shards: shards.clone(),
            at: At::Applied,
            rows_per_second: Some(config.verify.rows_per_second),
            patience: PATIENCE,
            stop: stop.clone(),
        };
        let round = round(&config, &request, &metrics);
        tokio::select! {
            () = round => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

async fn round(config: &Config, request: &Request, metrics: &Arc<Metrics>) {
    let figures = Arc::clone(metrics);
    let done = move |table: &VerifiedTable| tell(&figures, table);
    match super::run(config, request, &done).await {
        Ok(_) => metrics.verify_round(SystemClock::new().unix_micros()),
        Err(error) => {
            metrics.error(Stage::Verify, ErrorKind::Transient);
            tracing::warn!(error = chain(&error), "sources and warehouse could not be compared");
        }
    }
}

fn tell(metrics: &Metrics, table: &VerifiedTable) {
    if let Ok(origin) = table.origin.parse::<Origin>() {
        metrics.verified(&origin, table);
    }
    let (origin, rows) = (&table.origin, table.rows);
    match &table.outcome {
        TableOutcome::Equal => tracing::debug!(origin, rows, "source and warehouse are equal"),
        TableOutcome::Differs { differences, open } => {
            let (different, more) = (differences.len(), !open.is_empty());
            tracing::warn!(
                origin,
                rows,
                different,
                more,
                "source and warehouse differ; `tailwater verify` names the rows"
            );
        }
        TableOutcome::NotCompared { reason } => tracing::info!(origin, reason, "the table could not be compared"),
    }
}
