//! How many statements, commits and round trips a tick takes, as a function of shards and tables.

use tailwater::{
    model::{Shard, Target},
    warehouse::{Merge, Move, TableFiles, TableMerge},
};

use super::world::RedshiftWorld;
use crate::warehouse::{
    applier::{Applier, at},
    contract::{notes, orders},
    world::Files,
};

/// What the stand-in saw of one tick.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    staging_statements: usize,
    staging_commits: usize,
    staging_connections: usize,
    merge_statements: usize,
    merge_commits: usize,
}

/// One tick over so many tables and shards.
async fn tick(world: &RedshiftWorld, tables: usize, shards: usize) -> Seen {
    let mut applier = Applier::over(Box::new(world.uploading(world.options())), "one").await;
    let mut files = Files::default();
    let targets: Vec<String> = (0..tables).map(|n| format!("shop.t{n}")).collect();
    for target in &targets {
        applier.ensure(&orders(target)).await.unwrap();
    }
    let staged: Vec<TableFiles> = targets
        .iter()
        .map(|t| TableFiles { target: Target::new(t), files: notes(&mut files, 1, &["a", "b"]), floors: Vec::new() })
        .collect();
    let id = applier.tick();
    let statements =
        || -> Vec<_> { world.server().statements().into_iter().filter(|s| s.database == world.database).collect() };
    let before = statements().len();
    for outcome in applier.warehouse.stage(&id, &staged, &files).await.unwrap() {
        outcome.unwrap();
    }
    let between = statements().len();
    let table =
        |t: &String| TableMerge { target: Target::new(t), fills: Vec::new(), floors: Vec::new(), staged_rows: 2 };
    let step = |n: usize| Move { shard: Shard::new(format!("s{n}")), from: None, to: at(1, 0), committed_at: Some(1) };
    let merge = Merge {
        tick: id,
        tables: targets.iter().map(table).collect(),
        moves: (0..shards).map(step).collect(),
        exceptions: Vec::new(),
        rebuilds: Vec::new(),
    };
    applier.warehouse.merge(&merge).await.unwrap();
    let all = statements();
    let (staging, merging) = (&all[before..between], &all[between..]);
    let mut connections: Vec<_> = staging.iter().map(|s| s.connection).collect();
    connections.sort_unstable();
    connections.dedup();
    // What a new connection sets belongs to no tick.
    let own = |s: &&tailwater_redshift::Executed| !s.text.to_ascii_lowercase().starts_with("set ");
    Seen {
        staging_statements: staging.iter().filter(own).count(),
        staging_commits: staging.iter().filter(|s| s.committed).count(),
        staging_connections: connections.len(),
        merge_statements: merging.iter().filter(own).count(),
        merge_commits: merging.iter().filter(|s| s.committed).count(),
    }
}

#[tokio::test]
async fn a_tick_takes_few_statements_and_commits() {
    for (tables, shards) in [(1, 1), (1, 64), (2, 8), (50, 1), (50, 64)] {
        let seen = tick(&RedshiftWorld::new(), tables, shards).await;
        println!("{tables} tables, {shards} shards: {seen:?}");
        let connections = tables.min(2);
        assert_eq!(seen.staging_connections, connections);
        assert_eq!(seen.staging_commits, connections, "one per connection");
        assert_eq!(seen.merge_commits, 1);
        // CREATE, COPY and its count, dedupe and its proof, what is stale; BEGIN and COMMIT.
        assert_eq!(seen.staging_statements, 6 * tables + 2 * connections);
        // Two per table; BEGIN, LOCK, epoch, sign of life, count and move of all watermarks, COMMIT.
        assert_eq!(seen.merge_statements, 2 * tables + 7);
    }
}
