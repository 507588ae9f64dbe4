//! Runs histories by the hundred, compares with the truth, shrinks what fails.

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::warehouse::world::World;

use super::{
    replay::{Shown, View, replay},
    schedule::schedule,
    source::{Config, Kind, Operation, Outcome, generate, interpret},
};

/// Schedules that each history is brought in by.
const SCHEDULES: usize = 4;
/// Histories that share a target: enough to make a tick's fixed costs small, few enough to shrink quickly.
const HISTORIES_AT_ONCE: usize = 250;

const SKEWS: &[i64] = &[0, -25, 25];

#[derive(Debug)]
pub(crate) struct Campaign {
    seed: u64,
    histories: usize,
}

struct History {
    script: Vec<Operation>,
    skew: Vec<i64>,
    seeds: Vec<u64>,
    outcome: Outcome,
}

impl History {
    fn random(rng: &mut StdRng, config: &Config) -> Option<Self> {
        let skew: Vec<i64> =
            (0..config.shards).map(|_| config.skews[rng.random_range(0..config.skews.len())]).collect();
        let script = generate(rng, config);
        let seeds = (0..SCHEDULES).map(|_| rng.random()).collect();
        Self::of(script, skew, seeds, config)
    }

    fn of(script: Vec<Operation>, skew: Vec<i64>, seeds: Vec<u64>, config: &Config) -> Option<Self> {
        let outcome = interpret(&script, config, &skew);
        outcome.complete.then_some(Self { script, skew, seeds, outcome })
    }

    fn truth(&self, config: &Config) -> View {
        let mut truth = View::new();
        for (shard, rows) in self.outcome.live.iter().enumerate() {
            for (key, (value, _)) in rows {
                truth.insert((if config.global { 0 } else { shard }, *key), (shard, *value, false));
            }
        }
        truth
    }

    /// What is wrong with how its schedules ended.
    fn judge(&self, config: &Config, shown: &[Shown]) -> Option<String> {
        let truth = self.truth(config);
        for (number, end) in shown.iter().enumerate() {
            let live: View = end.rows.iter().filter(|(_, row)| !row.2).map(|(k, v)| (*k, *v)).collect();
            if live != truth {
                return Some(format!("schedule {number} shows {live:?}, the truth is {truth:?}"));
            }
            if config.dead_rows_matter && end.rows != shown[0].rows {
                return Some(format!("schedule {number} shows {:?}, the first {:?}", end.rows, shown[0].rows));
            }
            if !config.soft && end.side > 0 {
                return Some(format!("schedule {number} left {} rows in the side table", end.side));
            }
        }
        None
    }
}

impl Campaign {
    pub(crate) fn from_environment(histories: usize) -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|v| v.parse::<u64>().unwrap());
        let histories = number("TAILWATER_HISTORIES").map_or(histories, |n| n as usize);
        Self { seed: number("TAILWATER_SEED").unwrap_or(20_261_121), histories }
    }

    pub(crate) async fn run(&self, configs: &[Config], world: impl Fn() -> Box<dyn World>) {
        let mut total = 0;
        for (number, config) in configs.iter().enumerate() {
            let mut left = self.histories.div_ceil(configs.len());
            let mut rng = StdRng::seed_from_u64(self.seed.wrapping_add(number as u64 * 1_000_003));
            while left > 0 {
                let wanted = left.min(HISTORIES_AT_ONCE);
                let mut histories = Vec::new();
                while histories.len() < wanted {
                    histories.extend(History::random(&mut rng, config));
                }
                let seed = rng.random();
                if let Some((bad, why)) = failure(world().as_ref(), config, &histories, seed).await {
                    let bad = histories.swap_remove(bad);
                    self.explain(config, bad, why, seed, &world).await;
                }
                left -= wanted;
                total += wanted;
            }
        }
        println!("{total} histories, {SCHEDULES} schedules each, seed {}", self.seed);
    }

    /// Finds the shortest script that fails and panics with it.
    async fn explain(
        &self,
        config: &Config,
        mut bad: History,
        mut why: String,
        seed: u64,
        world: &impl Fn() -> Box<dyn World>,
    ) -> ! {
        let mut shorter = true;
        while shorter {
            shorter = false;
            'sizes: for size in [3, 2, 1] {
                for from in 0..(bad.script.len() + 1).saturating_sub(size) {
                    let mut script = bad.script.clone();
                    script.drain(from..from + size);
                    let Some(tried) = History::of(script, bad.skew.clone(), bad.seeds.clone(), config) else {
                        continue;
                    };
                    let one = std::slice::from_ref(&tried);
                    if let Some((_, reason)) = failure(world().as_ref(), config, one, seed).await {
                        (bad, why, shorter) = (tried, reason, true);
                        break 'sizes;
                    }
                }
            }
        }
        let script: Vec<String> = bad.script.iter().map(|o| format!("  {o:?}")).collect();
        let (seed, name) = (self.seed, config.name);
        panic!("TAILWATER_SEED={seed}, {name}, skew {:?}: {why}\n{}", bad.skew, script.join("\n"));
    }
}

/// The first history that does not end right.
async fn failure(world: &dyn World, config: &Config, histories: &[History], seed: u64) -> Option<(usize, String)> {
    let schedules: Vec<_> =
        histories.iter().flat_map(|h| h.seeds.iter().map(|s| schedule(&h.outcome.streams, *s))).collect();
    let shown = replay(world, config, &schedules, seed).await;
    histories.iter().zip(shown.chunks(SCHEDULES)).enumerate().find_map(|(i, (h, s))| Some((i, h.judge(config, s)?)))
}

/// Everything that shards can do to each other.
pub(crate) fn configurations() -> Vec<Config> {
    use Kind::{
        HiddenDelete, HiddenUpdate, SnapshotAgain, SnapshotBegin, SnapshotEnd, SnapshotRead, Truncate, XaCommit,
        XaPrepare,
    };
    let snapshots = [(SnapshotBegin, 1), (SnapshotRead, 2), (SnapshotEnd, 1)];
    let hidden = [(HiddenDelete, 2), (HiddenUpdate, 2), (Truncate, 1)];
    let xa = [(XaPrepare, 4), (XaCommit, 3), (SnapshotBegin, 2), (SnapshotRead, 2), (SnapshotEnd, 1)];
    let mut all = Vec::new();
    for soft in [false, true] {
        let named = |hard: &'static str, softly: &'static str| if soft { softly } else { hard };
        let shard = |name, extra: &[(Kind, u32)]| Config { global: false, ..config(name, soft, 2, extra) };
        all.extend([
            shard(
                named("own rows, hard, unlogged changes", "own rows, soft, unlogged changes"),
                &[&snapshots[..], &hidden[..]].concat(),
            ),
            shard(named("own rows, hard, XA", "own rows, soft, XA"), &xa),
            Config {
                initial: true,
                ..shard(named("own rows, hard, first snapshot", "own rows, soft, first snapshot"), &snapshots)
            },
            // A row that was only ever in a snapshot that began anew leaves a tombstone where it was shown.
            Config {
                dead_rows_matter: false,
                ..shard(
                    named("own rows, hard, snapshots begin anew", "own rows, soft, snapshots begin anew"),
                    &[&snapshots[..], &hidden[..], &[(SnapshotAgain, 2)]].concat(),
                )
            },
            Config {
                dead_rows_matter: false,
                ..config(
                    named("global, hard, snapshots begin anew", "global, soft, snapshots begin anew"),
                    soft,
                    3,
                    &[&snapshots[..], &hidden[..], &[(SnapshotAgain, 2)]].concat(),
                )
            },
            config(named("global, hard", "global, soft"), soft, 2, &[]),
            config(
                named("global, hard, everything", "global, soft, everything"),
                soft,
                3,
                &[&snapshots[..], &[(HiddenDelete, 1), (HiddenUpdate, 1), (Truncate, 1)], &xa[..2]].concat(),
            ),
            Config {
                initial: true,
                ..config(
                    named("global, hard, first snapshot", "global, soft, first snapshot"),
                    soft,
                    3,
                    &[(SnapshotBegin, 2), (SnapshotRead, 2), (SnapshotEnd, 2)],
                )
            },
            Config {
                updated_at: false,
                resolution: 3,
                ..config(named("global, hard, no updated_at", "global, soft, no updated_at"), soft, 3, &[(Truncate, 1)])
            },
        ]);
    }
    all
}

fn config(name: &'static str, soft: bool, shards: usize, extra: &[(Kind, u32)]) -> Config {
    let mut weights = vec![(Kind::Insert, 5), (Kind::Update, 3), (Kind::Rekey, 1), (Kind::Delete, 4)];
    weights.extend_from_slice(extra);
    Config {
        name,
        shards,
        keys: &[1, 2],
        global: true,
        soft,
        updated_at: true,
        initial: false,
        resolution: 1,
        skews: SKEWS,
        weights,
        length_max: if shards > 2 { 24 } else { 14 },
        dead_rows_matter: soft,
    }
}
