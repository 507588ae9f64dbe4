//! What the exposition says.

use std::time::Duration;

use super::*;
use crate::model::OpCounts;

#[test]
fn counters_and_lags_appear_in_the_exposition() {
    let metrics = Metrics::new();
    let shard = metrics.shard(&Shard::new("s1"));
    shard.read(2, 1000, OpCounts { i: 3, u: 1, d: 0, s: 0 });
    shard.read_up_to(5_000_000);
    shard.stored(1, 4, 500, 4_000_000);
    shard.applied("main", 1, 4, 2_500_000);
    metrics.target(&Target::new("shop.orders")).applied(OpCounts { d: 2, ..OpCounts::default() });
    metrics.values(&Target::new("shop.orders"), "note", ValuePolicy::Cut, 7);
    let times = TickTimes { merge: Duration::from_millis(30), ..TickTimes::default() };
    metrics.group("main").ticked(times, 4, 500, 6_000_000);
    metrics.error(Stage::Lake, ErrorKind::Transient);
    let text = metrics.exposition(6_000_000);
    for line in [
        "tailwater_extract_row_changes_total{shard=\"s1\",op=\"insert\"} 3",
        "tailwater_lag_read_seconds{shard=\"s1\"} 1.0",
        "tailwater_lag_stored_seconds{shard=\"s1\"} 1.0",
        "tailwater_lag_applied_seconds{shard=\"s1\"} 1.5",
        "tailwater_apply_rows_total{table=\"shop.orders\",op=\"delete\"} 2",
        "tailwater_extract_changed_values_total{table=\"shop.orders\",column=\"note\",policy=\"cut\"} 7",
        "tailwater_apply_ticks_total{group=\"main\"} 1",
        "tailwater_errors_total{stage=\"lake\",kind=\"transient\"} 1",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    let snapshot = metrics.snapshot(6_000_000);
    assert_eq!((snapshot.shards[0].rows_read, snapshot.shards[0].lag_seconds()), (4, Some(3.5)));
}

#[test]
fn one_shard_has_one_set_of_counters_and_no_lag_before_it_begins() {
    let metrics = Metrics::new();
    metrics.shard(&Shard::new("s1")).reconnected();
    metrics.shard(&Shard::new("s1")).reconnected();
    let text = metrics.exposition(1);
    assert!(text.contains("tailwater_extract_reconnects_total{shard=\"s1\"} 2"), "{text}");
    assert!(!text.contains("tailwater_lag_read_seconds{"), "{text}");
}
