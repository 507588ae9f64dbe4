//! Every family is seen with a value that its situation gives it.

use anyhow::{Result, ensure};
use tailwater::metrics::Metrics;
use tailwater_servers::Prometheus;

use super::super::scene::LIMIT;
use super::{scrape::Scrape, situations::Situations};

/// What a family has to say when everything has happened: name without prefix, labels, least value.
const SAID: &[(&str, &[&str], f64)] = &[
    ("build_info", &["version="], 1.0),
    ("process_resident_memory_bytes", &[], 1e6),
    ("process_virtual_memory_bytes", &[], 1e6),
    ("process_threads", &[], 2.0),
    ("process_open_fds", &[], 5.0),
    ("process_max_fds", &[], 64.0),
    ("process_cpu_seconds_total", &[], 0.01),
    ("process_start_time_seconds", &[], 1.7e9),
    ("memory_limit_bytes", &[], 1e8),
    ("batch_memory_bytes", &[], 0.0),
    ("batch_memory_max_bytes", &[], 1e6),
    ("lag_read_seconds", &["shard=\"s2\""], 0.0),
    ("lag_stored_seconds", &["shard=\"s1\""], 0.0),
    ("lag_applied_seconds", &["shard=\"s1\""], 0.0),
    ("lag_seconds", &["shard=\"s2\""], 0.0),
    ("end_to_end_seconds_count", &["shard=\"s1\""], 2.0),
    ("end_to_end_last_seconds", &["shard=\"s2\""], 0.0),
    ("read_backs_total", &["group=\"main\""], 1.0),
    ("read_back_timestamp_seconds", &["group=\"main\""], 1.7e9),
    ("source_info", &["shard=\"s1\"", "family=\"MySQL\"", "server="], 1.0),
    ("source_look_timestamp_seconds", &["shard=\"s2\""], 1.7e9),
    ("source_behind_bytes", &["shard=\"s1\""], 0.0),
    ("source_behind_transactions", &["shard=\"s1\""], 0.0),
    ("source_binlog_bytes", &["shard=\"s1\""], 1000.0),
    ("source_retention_seconds", &["shard=\"s1\""], 3600.0),
    ("source_runway_seconds", &["shard=\"s1\""], 3000.0),
    ("extract_row_changes_total", &["shard=\"s1\"", "op=\"insert\""], 3.0),
    ("extract_row_changes_total", &["shard=\"s2\"", "op=\"update\""], 1.0),
    ("extract_row_changes_total", &["shard=\"s2\"", "op=\"snapshot\""], 3000.0),
    ("extract_binlog_bytes_total", &["shard=\"s1\""], 500.0),
    ("extract_transactions_total", &["shard=\"s1\""], 3.0),
    ("extract_schema_changes_total", &["shard=\"s1\""], 4.0),
    ("extract_reconnects_total", &["shard=\"s1\""], 1.0),
    ("extract_connected", &["shard=\"s1\""], 1.0),
    ("log_claims_total", &["shard=\"s1\""], 1.0),
    ("extract_wait_seconds_total", &["shard=\"s1\"", "on=\"source\""], 0.1),
    ("extract_queue_bytes", &["shard=\"s1\""], 0.0),
    ("extract_queue_entries", &["shard=\"s1\""], 0.0),
    ("parked_tables", &["shard=\"s1\""], 1.0),
    ("stale_tables", &["shard=\"s1\""], 1.0),
    ("store_files_total", &["shard=\"s2\""], 10.0),
    ("store_file_bytes_total", &["shard=\"s2\""], 1000.0),
    ("store_file_rows_total", &["shard=\"s2\""], 3000.0),
    ("store_batch_rows_count", &[], 10.0),
    ("store_batch_bytes_count", &[], 10.0),
    ("store_entries_total", &["shard=\"s1\""], 2.0),
    ("apply_entries_total", &["shard=\"s1\""], 2.0),
    ("apply_session_open", &["group=\"main\""], 1.0),
    ("apply_claims_total", &["group=\"main\""], 1.0),
    ("apply_ticks_total", &["group=\"main\""], 3.0),
    ("apply_tick_timestamp_seconds", &["group=\"main\""], 1.7e9),
    ("apply_merge_seconds_count", &["group=\"main\"", "phase=\"schema\""], 3.0),
    ("apply_merge_seconds_count", &["group=\"main\"", "phase=\"merge\""], 3.0),
    ("apply_tick_rows_count", &["group=\"main\""], 3.0),
    ("apply_tick_bytes_count", &["group=\"main\""], 3.0),
    ("apply_written_rows_total", &["group=\"main\""], 3000.0),
    ("apply_removed_rows_total", &["group=\"main\""], 2.0),
    ("apply_schema_changes_total", &["group=\"main\""], 3.0),
    ("apply_waiting_entries", &["group=\"main\""], 0.0),
    ("apply_parked_tables", &["group=\"main\""], 2.0),
    ("apply_held_tables", &["group=\"main\""], 0.0),
    ("apply_rows_total", &["op=\"insert\"", ".orders\""], 4.0),
    // The table that is somebody else's waits since the beginning.
    ("table_lag_seconds", &[".clash\""], 1.0),
    ("parked_table", &["shard=\"s1\"", ".strict\"", "half=\"extract\""], 1.0),
    ("parked_table", &["shard=\"s2\"", ".clash\"", "half=\"apply\""], 1.0),
    ("shard_paused", &["shard=\"s1\""], 0.0),
    ("extract_changed_values_total", &[".notes\"", "column=\"note\"", "policy=\"cut\""], 1.0),
    ("errors_total", &["stage=\"source\"", "kind=\"transient\""], 1.0),
    ("errors_total", &["stage=\"decode\"", "kind=\"table\""], 1.0),
    ("errors_total", &["stage=\"warehouse\"", "kind=\"table\""], 1.0),
    ("retries_total", &["stage=\"source\"", "kind=\"transient\""], 1.0),
    ("snapshots_begun_total", &["shard=\"s2\""], 4.0),
    ("verified_through_timestamp_seconds", &["shard=\"s1\"", ".orders\""], 1.7e9),
    ("verified_timestamp_seconds", &["shard=\"s2\"", ".orders\""], 1.7e9),
    ("verify_different_rows", &["shard=\"s1\"", ".orders\""], 1.0),
    ("verify_compared", &["shard=\"s1\"", ".orders\""], 1.0),
    ("verify_rows_total", &["shard=\"s1\""], 3.0),
    ("verify_rounds_total", &[], 2.0),
    ("verify_round_timestamp_seconds", &[], 1.7e9),
];

/// While the snapshot is under way.
const SAID_MEANWHILE: &[(&str, &[&str], f64)] = &[
    ("snapshot_rows", &["shard=\"s2\"", ".big\""], 1.0),
    ("snapshot_estimated_rows", &["shard=\"s2\"", ".big\""], 1000.0),
    ("snapshots_running", &["shard=\"s2\""], 1.0),
    ("apply_held_tables", &["group=\"main\""], 1.0),
];

/// Proven beside the code: `metrics::source::tests` (a server does not change its identity while a test looks on),
/// `metrics::polls::tests` (no source of this test is asked), `metrics::lag::tests`, `metrics::paused::tests` (nothing is paused),
/// `metrics::gc::tests` (the lake of this test keeps everything), `metrics::rebuilds::tests` and `pipeline::idle` (no group of this test is idle for long).
const SAID_ELSEWHERE: &[&str] = &[
    "gc_entries_total",
    "gc_files_total",
    "gc_bytes_total",
    "gc_oldest_entry_timestamp_seconds",
    "gc_blocked_entries",
    "apply_idle_commits_total",
    "source_server_changes_total",
    "poll_rounds_total",
    "poll_failures_total",
    "poll_rows_total",
    "poll_age_seconds",
    "poll_interval_seconds",
    "shard_paused_timestamp_seconds",
    "table_paused",
    "table_paused_timestamp_seconds",
    "rebuild_rows",
    "rebuild_expected_rows",
];

fn full(name: &str) -> String {
    if name.starts_with("process_") { name.to_owned() } else { format!("tailwater_{name}") }
}

/// What is not said yet.
fn missing(scrape: &Scrape, said: &[(&str, &[&str], f64)]) -> Vec<String> {
    let lacks =
        said.iter().filter(|(name, labels, least)| scrape.most(&full(name), labels).is_none_or(|most| most < *least));
    lacks.map(|(name, labels, least)| format!("{name}{labels:?} is not at least {least}")).collect()
}

#[test]
fn every_family_is_produced_and_documented() -> Result<()> {
    let described = Metrics::new().described().to_vec();
    for family in &described {
        let bare = family.name.trim_start_matches("tailwater_");
        let named = |name: &str| name == bare || name.strip_prefix(bare) == Some("_count");
        let known = SAID.iter().chain(SAID_MEANWHILE).any(|(name, ..)| named(name));
        ensure!(known || SAID_ELSEWHERE.contains(&bare), "no test produces {}", family.name);
        ensure!(family.meaning.len() > 15, "{} is not described", family.name);
    }
    let mut world = Situations::begin("metrics_all")?;
    world.until("a snapshot under way", |s| missing(s, SAID_MEANWHILE).is_empty())?;
    world.happen()?;
    // A round of comparisons comes to what was proven last at its end, so it is waited for by itself.
    let differs = |s: &Scrape| {
        s.most("tailwater_verify_different_rows", &["shard=\"s1\"", ".orders\""]).is_some_and(|rows| rows >= 1.0)
    };
    world.until("a difference", differs)?;
    for id in 100..120 {
        // What comes while a table catches up with its snapshot is not measured from end to end.
        world.scene.sql_all(&format!("INSERT INTO orders VALUES ({id}, 'more')"))?;
    }
    let mut lacks = Vec::new();
    let said = world.until("every figure", |s| {
        lacks = missing(s, SAID);
        lacks.is_empty()
    });
    let scrape = said.map_err(|e| e.context(format!("{lacks:#?}")))?;
    // What is exposed is what is described, and no more.
    for line in scrape.text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap_or_default();
        ensure!(described.iter().any(|family| family.name == name), "{name} is exposed and not described");
    }
    let (shard, other) = (scrape.all("tailwater_lag_seconds", &[]).len(), scrape.text.contains("(other)"));
    ensure!(shard == 2 && !other, "{}", scrape.text);
    let problems = Prometheus::promtool_with(&["check", "metrics"], scrape.text.as_bytes())?;
    ensure!(problems.trim().is_empty(), "promtool: {problems}");
    world.running.terminate(LIMIT)
}
