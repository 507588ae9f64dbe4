//! Many schedules side by side through one target of a real warehouse.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use tailwater::{
    model::{Column, ColumnType, Op, Origin, Shard},
    warehouse::{Deletes, KeyMode, WarehouseError},
};

use crate::warehouse::{
    applier::{Applier, Change, floor},
    world::{Files, LakeRow, World, column, plan, schema},
};

use super::{
    schedule::Tick,
    source::{Config, Event, EventKind},
};

/// Keys of one schedule are `number * KEYS + key`.
const KEYS: i64 = 100;
/// Model times are tens; microseconds around this instant.
const EPOCH: i64 = 1_700_000_000_000_000;

/// A row that the target shows: shard, value, deleted. Keyed by the key, and by the shard where shards have own rows.
pub(crate) type View = BTreeMap<(usize, i64), (usize, i64, bool)>;

/// What a schedule ended in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) rows: View,
    /// Rows in the side table.
    pub(crate) side: usize,
}

fn shard_name(shard: usize) -> String {
    ["A", "B", "C"][shard].to_owned()
}

fn origin(shard: usize, number: usize) -> Origin {
    Origin::new(&Shard::new(shard_name(shard)), format!("h{number}"), "t")
}

fn columns() -> Vec<Column> {
    vec![
        column("id", ColumnType::Int64, Some(0)),
        column("value", ColumnType::Int64, None),
        column("updated_at", ColumnType::Timestamp, None),
    ]
}

fn lake_row(event: &Event, number: usize) -> LakeRow {
    let op = match event.kind {
        EventKind::Insert => Op::Insert,
        EventKind::Update => Op::Update,
        EventKind::Delete => Op::Delete,
        _ => Op::Snapshot,
    };
    let values = vec![
        Some((number as i64 * KEYS + event.key).to_string()),
        Some(event.value.to_string()),
        event.updated_at.map(|at| (EPOCH + at * 1_000).to_string()),
    ];
    let committed_at = EPOCH + event.committed_at * 1_000;
    LakeRow { origin: origin(event.shard, number), seq: event.seq, op, committed_at, values }
}

/// Runs all schedules to their end; answers what each shows.
pub(crate) async fn replay(world: &dyn World, config: &Config, schedules: &[Vec<Tick>], seed: u64) -> Vec<Shown> {
    const TARGET: &str = "shop.rows";
    let mut rng = StdRng::seed_from_u64(seed);
    let columns = columns();
    let key_mode = match (config.global, config.updated_at) {
        (false, _) => KeyMode::PerOrigin,
        (true, true) => KeyMode::Global { updated_at: Some("updated_at".to_owned()) },
        (true, false) => KeyMode::Global { updated_at: None },
    };
    let deletes = if config.soft { Deletes::Soft } else { Deletes::Hard };
    let mut applier = Applier::open(world, "model").await;
    applier.ensure(&plan(TARGET, &columns, key_mode, deletes)).await.unwrap();
    let schema = schema(&columns);
    for turn in 0..schedules.iter().map(Vec::len).max().unwrap_or_default() {
        let mut rows = Vec::new();
        let mut change = Change { target: TARGET.to_owned(), ..Change::default() };
        for (number, ticks) in schedules.iter().enumerate() {
            let Some(tick) = ticks.get(turn) else { continue };
            rows.extend(tick.rows.iter().map(|e| lake_row(e, number)));
            change.floors.extend(tick.floors.iter().map(|(s, seq)| floor(TARGET, &origin(*s, number), *seq)));
        }
        // Within a tick rows arrive in any order and in any number of files.
        rows.shuffle(&mut rng);
        let mut files = Files::default();
        let per_file = rows.len().div_ceil(rng.random_range(1..4)).max(1);
        change.files = rows.chunks(per_file).map(|c| files.add(&schema, c)).collect();
        tick(&mut applier, &files, &change, &mut rng).await;
    }
    show(world, TARGET, config, schedules.len()).await
}

/// One tick, sometimes given up or told a lie, sometimes repeated after its commit.
async fn tick(applier: &mut Applier, files: &Files, change: &Change, rng: &mut StdRng) {
    let changes = std::slice::from_ref(change);
    if rng.random_bool(0.1) {
        let mut merge = applier.stage(files, changes).await.unwrap();
        merge.tick.fence.epoch += 1;
        // Another epoch is another tick: whether the fence is seen first or that nothing is staged for it, nothing is applied.
        let refused = applier.warehouse.merge(&merge).await;
        let right = matches!(refused, Err(WarehouseError::Fenced { .. } | WarehouseError::Transient { .. }));
        assert!(right, "{refused:?}");
    }
    let merge = applier.stage(files, changes).await.unwrap();
    applier.merge(&merge).await.unwrap();
    if rng.random_bool(0.1) {
        // A repetition stages the same rows again and is found out by the watermark.
        let mut again = applier.stage(files, changes).await.unwrap();
        again.moves = merge.moves;
        assert!(matches!(applier.warehouse.merge(&again).await, Err(WarehouseError::Moved { .. })));
    }
}

async fn show(world: &dyn World, target: &str, config: &Config, schedules: usize) -> Vec<Shown> {
    let mut shown = vec![Shown::default(); schedules];
    let deleted = if config.soft { "_tw_deleted" } else { "1 = 0" };
    let sql =
        format!("SELECT _tw_origin, id, value, CASE WHEN {deleted} THEN 1 ELSE 0 END FROM {}", world.table(target));
    for row in world.query(&sql).await {
        let [origin, id, value, deleted] = row.map_texts();
        let shard = usize::from(origin.as_bytes()[0] - b'A');
        let id: i64 = id.parse().unwrap();
        let (number, key) = (id.div_euclid(KEYS), id.rem_euclid(KEYS));
        let place = if config.global { (0, key) } else { (shard, key) };
        let row = (shard, value.parse().unwrap(), deleted == "1");
        assert_eq!(shown[number as usize].rows.insert(place, row), None, "two rows for {place:?}");
    }
    for side in world.private("side_").await {
        for row in world.query(&format!("SELECT id FROM {side}")).await {
            let id: i64 = row[0].as_ref().unwrap().parse().unwrap();
            shown[id.div_euclid(KEYS) as usize].side += 1;
        }
    }
    shown
}

trait Texts {
    fn map_texts(self) -> [String; 4];
}

impl Texts for Vec<Option<String>> {
    fn map_texts(self) -> [String; 4] {
        let texts: Vec<String> = self.into_iter().map(|c| c.unwrap()).collect();
        texts.try_into().unwrap()
    }
}
