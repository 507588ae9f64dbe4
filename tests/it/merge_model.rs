//! Random histories of shards that share keys, merged by the real warehouses and compared with the truth.
//!
//! [`source`] interprets a script of source operations: it knows the truth and the stream of each shard. [`schedule`]
//! cuts the streams into entries and ticks in random ways: entries deduplicated or not, origins held during snapshots,
//! ticks given up before their commit, rows in any order. [`replay`] runs many schedules side by side through a
//! warehouse. Whatever the schedule, the target must show the truth, soft-deleted rows must not depend on the schedule,
//! and where deletes are hard the side table must be empty when all moves are finished.
//!
//! `TAILWATER_SEED` and `TAILWATER_HISTORIES` choose the histories; a failure prints its seed and the shortest script
//! that still fails.

mod campaign;
mod replay;
mod schedule;
mod source;

use campaign::{Campaign, configurations};

use crate::warehouse::{
    redshift::world::RedshiftWorld,
    world::{PostgresWorld, SqliteWorld},
};

/// Histories that a campaign runs unless told otherwise.
const SQLITE_HISTORIES: usize = 6_000;
/// PostgreSQL shares the statements; fewer show that it understands them alike.
const POSTGRES_HISTORIES: usize = 700;

#[tokio::test]
async fn histories_end_in_the_truth_on_sqlite() {
    Campaign::from_environment(SQLITE_HISTORIES).run(&configurations(), || Box::new(SqliteWorld::new())).await;
}

/// Redshift has statements of its own. Its stand-in parses each of them anew and keeps its rows in PostgreSQL.
const REDSHIFT_HISTORIES: usize = 420;

#[tokio::test]
async fn histories_end_in_the_truth_on_redshift() {
    Campaign::from_environment(REDSHIFT_HISTORIES)
        .run(&configurations(), || Box::new(RedshiftWorld::inserting()))
        .await;
}

#[tokio::test]
async fn histories_end_in_the_truth_on_postgres() {
    Campaign::from_environment(POSTGRES_HISTORIES).run(&configurations(), || Box::new(PostgresWorld::new())).await;
}
