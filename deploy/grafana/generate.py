#!/usr/bin/env python3
"""Writes the dashboards beside this file. Edit here, run it, commit both.

Rows follow what operators ask for: freshness, sources, the way through, the warehouse, correctness, snapshots. A state is never
shown without the lag beside it. Grafana 10 or newer; the data source is asked for when a dashboard is imported.
"""

import json
import pathlib

SHARD = '{shard=~"$shard"}'


def target(expr, legend):
    return {"expr": expr, "legendFormat": legend}


def panel(kind, title, unit, targets, width=8, description="", steps=None, height=7, **options):
    defaults = {"unit": unit, "custom": {"fillOpacity": 8, "lineWidth": 1, "showPoints": "never"}}
    if kind != "timeseries":
        defaults.pop("custom")
    if steps:
        colours = ["green", "yellow", "red"] if steps[0] <= steps[-1] else ["red", "yellow", "green"]
        bounds = [None, *sorted(steps)]
        defaults["thresholds"] = {
            "mode": "absolute",
            "steps": [{"color": c, "value": b} for c, b in zip(colours, bounds)],
        }
        if kind in ("stat", "bargauge", "table"):
            defaults["color"] = {"mode": "thresholds"}
    return {
        "type": kind,
        "title": title,
        "description": description,
        "size": (width, height),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": targets,
        "options": options,
    }


def lines(title, unit, *targets, **rest):
    rest.setdefault("legend", {"displayMode": "list", "placement": "bottom"})
    rest.setdefault("tooltip", {"mode": "multi", "sort": "desc"})
    return panel("timeseries", title, unit, [target(*t) for t in targets], **rest)


def number(title, unit, expr, **rest):
    rest.setdefault("height", 4)
    rest.setdefault("width", 4)
    rest.setdefault("reduceOptions", {"calcs": ["lastNotNull"]})
    return panel("stat", title, unit, [target(expr, "")], **rest)


def table(title, unit, expr, **rest):
    made = panel("table", title, unit, [target(expr, "")], **rest)
    made["targets"][0].update(format="table", instant=True)
    made["transformations"] = [
        {"id": "organize", "options": {"excludeByName": {"Time": True, "job": True, "instance": True, "__name__": True}}}
    ]
    return made


def histogram(quantile, metric, by, where=""):
    return f"histogram_quantile({quantile}, sum by ({by}, le) (rate({metric}_bucket{where}[$__rate_interval])))"


def rate(metric, by, where=""):
    return f"sum by ({by}) (rate({metric}{where}[$__rate_interval]))"


def variable(name, label, metric, multi=True):
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": f"label_values({metric}, {name})", "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": multi,
        "includeAll": multi,
        "allValue": ".*" if multi else None,
        "current": {"text": "All", "value": "$__all"} if multi else {},
    }


def dashboard(uid, title, description, rows, variables=()):
    panels, y, number_of = [], 0, 0
    for row, content in rows:
        number_of += 1
        panels.append(
            {"id": number_of, "type": "row", "title": row, "collapsed": False, "panels": [],
             "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}}
        )
        y, x, tallest = y + 1, 0, 0
        for made in content:
            number_of += 1
            width, height = made.pop("size")
            if x + width > 24:
                x, y, tallest = 0, y + tallest, 0
            made["id"] = number_of
            made["datasource"] = {"type": "prometheus", "uid": "${datasource}"}
            for letter, asked in zip("ABCDEFGH", made["targets"]):
                asked["refId"] = letter
                asked["datasource"] = made["datasource"]
            made["gridPos"] = {"x": x, "y": y, "w": width, "h": height}
            x, tallest = x + width, max(tallest, height)
            panels.append(made)
        y += tallest
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}}
    made = {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["tailwater"],
        "timezone": "utc",
        "editable": True,
        "graphTooltip": 1,
        "refresh": "15s",
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "links": [{"type": "dashboards", "tags": ["tailwater"], "title": "Tailwater", "asDropdown": True,
                   "includeVars": True, "keepTime": True}],
        "templating": {"list": [source, *variables]},
        "panels": panels,
    }
    name = uid.removeprefix("tailwater-")
    path = pathlib.Path(__file__).with_name(f"{name}.json")
    path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")


OVERVIEW = [
    ("Freshness", [
        number("Worst freshness", "s", "max(tailwater_lag_seconds)", steps=[60, 300],
               description="Age of what a query sees, of the shard that is farthest behind."),
        number("Commit to queryable, p99", "s", "max(tailwater:end_to_end_seconds:p99)", steps=[60, 300],
               description="Read back from the warehouse; of the slowest shard."),
        number("Shards connected", "none", "sum(tailwater_extract_connected)"),
        number("Shards not connected", "none", "count(tailwater_extract_connected == 0) or vector(0)", steps=[1, 1]),
        number("Tables parked", "none", "sum(tailwater_parked_tables) + sum(tailwater_apply_parked_tables)", steps=[1, 1]),
        number("Shortest runway", "s", "min(tailwater_source_runway_seconds)", steps=[86400, 21600],
               description="Time until a source may purge binlogs that were not read."),
        lines("Lag by shard", "s", ("tailwater:lag_seconds:max", "{{shard}}"), width=12),
        lines("Commit to queryable", "s",
              ("tailwater:end_to_end_seconds:p50", "{{shard}} p50"),
              ("tailwater:end_to_end_seconds:p99", "{{shard}} p99"), width=12),
    ]),
    ("Sources", [
        lines("Binlog not read", "bytes", ("max by (shard) (tailwater_source_behind_bytes)", "{{shard}}")),
        lines("Time until unread binlogs may be purged", "s", ("tailwater:source_runway_seconds:min", "{{shard}}")),
        lines("Reconnects in 10 minutes", "none",
              ("sum by (shard) (increase(tailwater_extract_reconnects_total[10m]))", "{{shard}}")),
        table("Servers", "none", "tailwater_source_info", width=24, height=5),
    ]),
    ("The way through", [
        lines("Rows read", "rowsps", ("tailwater:extract_rows:rate1m", "{{shard}}")),
        lines("Bytes in and out", "Bps",
              ("sum(rate(tailwater_extract_binlog_bytes_total[$__rate_interval]))", "binlog read"),
              ("sum(rate(tailwater_store_file_bytes_total[$__rate_interval]))", "stored")),
        lines("Where decoding waits", "percentunit",
              ('sum by (on) (rate(tailwater_extract_wait_seconds_total[$__rate_interval])) '
               '/ on () group_left () count(tailwater_extract_connected)', "{{on}}"),
              description="Share of the decode threads' time. Waiting for the source is rest; the others are what slows it down."),
        lines("Rows of a stored file", "none",
              ("histogram_quantile(0.5, sum by (le) (rate(tailwater_store_batch_rows_bucket[$__rate_interval])))", "p50"),
              ("histogram_quantile(0.95, sum by (le) (rate(tailwater_store_batch_rows_bucket[$__rate_interval])))", "p95")),
        lines("Memory of the process", "bytes",
              ("sum(process_resident_memory_bytes{job=\"tailwater\"})", "resident"),
              ("sum(tailwater_batch_memory_bytes)", "batches"),
              ("sum(tailwater_batch_memory_max_bytes)", "most for batches")),
        lines("Processor", "percentunit",
              ("sum(rate(process_cpu_seconds_total{job=\"tailwater\"}[$__rate_interval]))", "cores")),
        lines("Errors", "none",
              ("sum by (stage, kind) (increase(tailwater_errors_total[$__rate_interval]))", "{{stage}} {{kind}}")),
        lines("Retries", "none",
              ("sum by (stage) (increase(tailwater_retries_total[$__rate_interval]))", "{{stage}}")),
        lines("Claims in 30 minutes", "none",
              ("sum by (shard) (increase(tailwater_log_claims_total[30m]))", "log of {{shard}}"),
              ("sum by (group) (increase(tailwater_apply_claims_total[30m]))", "group {{group}}"),
              description="More than one means that processes restart or take them from each other."),
    ]),
    ("Warehouse", [
        lines("Merge, p95 by phase", "s", ("tailwater:merge_seconds:p95", "{{group}} {{phase}}")),
        lines("Rows merged", "rowsps", ("sum by (op) (rate(tailwater_apply_rows_total[$__rate_interval]))", "{{op}}")),
        lines("Rows of a merge", "none",
              (histogram("0.5", "tailwater_apply_tick_rows", "group"), "{{group}} p50"),
              (histogram("0.95", "tailwater_apply_tick_rows", "group"), "{{group}} p95")),
        lines("Entries that wait", "none", ("sum by (group) (tailwater_apply_waiting_entries)", "{{group}}")),
        lines("Tables that wait longest", "s", ("topk(10, max by (table) (tailwater_table_lag_seconds))", "{{table}}"),
              width=16),
    ]),
    ("Correctness", [
        lines("Longest time since a table was proven equal", "s",
              ("max by (shard) (tailwater:verified_age_seconds)", "{{shard}}")),
        lines("Rows that differ", "none", ("sum by (shard) (tailwater_verify_different_rows)", "{{shard}}")),
        lines("Rows compared", "rowsps", ("sum by (shard) (rate(tailwater_verify_rows_total[$__rate_interval]))", "{{shard}}")),
        lines("Values changed by policy", "none",
              ("sum by (table, column, policy) (increase(tailwater_extract_changed_values_total[1h]))",
               "{{table}}.{{column}} {{policy}}"), width=12),
        lines("Schema changes", "none",
              ("sum by (shard) (increase(tailwater_extract_schema_changes_total[1h]))", "met {{shard}}"),
              ("sum by (group) (increase(tailwater_apply_schema_changes_total[1h]))", "followed {{group}}"), width=12),
        number("Paused shards and tables", "none",
               "(sum(tailwater_shard_paused) or vector(0)) + (count(tailwater_table_paused) or vector(0))", steps=[1, 1],
               height=5, description="Held back by an operator until `tailwater resume`."),
        table("Parked tables", "none", "tailwater_parked_table == 1", width=20, height=5,
              description="`tailwater status` has the reason and the command of each."),
    ]),
    ("Snapshots", [
        lines("Rows read by snapshots", "rowsps",
              ('sum by (shard) (rate(tailwater_extract_row_changes_total{op="snapshot"}[$__rate_interval]))', "{{shard}}")),
        lines("Tables being read", "none", ("sum by (shard) (tailwater_snapshots_running)", "{{shard}}")),
        lines("Time that is left, about", "s", ("tailwater:snapshot_remaining_seconds", "{{shard}}")),
    ]),
]

ONE_SHARD = [
    ("Freshness", [
        number("Lag", "s", f"max(tailwater_lag_seconds{SHARD})", steps=[60, 300]),
        number("Connected", "none", f"min(tailwater_extract_connected{SHARD})", steps=[1, 1],
               description="Says nothing without the lag beside it."),
        number("Runway", "s", f"min(tailwater_source_runway_seconds{SHARD})", steps=[86400, 21600]),
        number("Transactions not read", "none", f"max(tailwater_source_behind_transactions{SHARD})"),
        number("Binlog not read", "bytes", f"max(tailwater_source_behind_bytes{SHARD})"),
        number("Parked tables", "none", f"sum(tailwater_parked_tables{SHARD})", steps=[1, 1]),
        lines("Lag by stage", "s",
              (f"max by (shard) (tailwater_lag_read_seconds{SHARD})", "{{shard}} read"),
              (f"max by (shard) (tailwater_lag_stored_seconds{SHARD})", "{{shard}} stored"),
              (f"max by (shard) (tailwater_lag_applied_seconds{SHARD})", "{{shard}} applied"), width=12),
        lines("Commit to queryable", "s",
              (histogram("0.5", "tailwater_end_to_end_seconds", "shard", SHARD), "{{shard}} p50"),
              (histogram("0.99", "tailwater_end_to_end_seconds", "shard", SHARD), "{{shard}} p99"),
              (f"max by (shard) (tailwater_end_to_end_last_seconds{SHARD})", "{{shard}} last"), width=12),
    ]),
    ("Source", [
        table("Server", "none", f"tailwater_source_info{SHARD}", width=12, height=5),
        lines("Reconnects and other servers", "none",
              (f"sum by (shard) (increase(tailwater_extract_reconnects_total{SHARD}[10m]))", "{{shard}} reconnects"),
              (f"sum by (shard) (increase(tailwater_source_server_changes_total{SHARD}[10m]))", "{{shard}} other server"),
              width=12, height=5),
        lines("Binlog kept and not read", "bytes",
              (f"max by (shard) (tailwater_source_binlog_bytes{SHARD})", "{{shard}} kept"),
              (f"max by (shard) (tailwater_source_behind_bytes{SHARD})", "{{shard}} not read")),
        lines("Runway and retention", "s",
              (f"min by (shard) (tailwater_source_runway_seconds{SHARD})", "{{shard}} runway"),
              (f"min by (shard) (tailwater_source_retention_seconds{SHARD})", "{{shard}} retention")),
        lines("Age of these figures", "s",
              (f"time() - max by (shard) (tailwater_source_look_timestamp_seconds{SHARD})", "{{shard}}")),
    ]),
    ("The way through", [
        lines("Row changes read", "rowsps", (rate("tailwater_extract_row_changes_total", "op", SHARD), "{{op}}")),
        lines("Transactions read", "ops", (rate("tailwater_extract_transactions_total", "shard", SHARD), "{{shard}}")),
        lines("Bytes", "Bps",
              (rate("tailwater_extract_binlog_bytes_total", "shard", SHARD), "{{shard}} binlog read"),
              (rate("tailwater_store_file_bytes_total", "shard", SHARD), "{{shard}} stored")),
        lines("Where decoding waits", "percentunit",
              (rate("tailwater_extract_wait_seconds_total", "on", SHARD), "{{on}}")),
        lines("Queues", "none",
              (f"max by (shard) (tailwater_extract_queue_bytes{SHARD}) / 16777216", "{{shard}} events, of 16 MiB"),
              (f"max by (shard) (tailwater_extract_queue_entries{SHARD}) / 4", "{{shard}} entries, of 4")),
        lines("Entries and files", "ops",
              (rate("tailwater_store_entries_total", "shard", SHARD), "{{shard}} entries stored"),
              (rate("tailwater_store_files_total", "shard", SHARD), "{{shard}} files stored"),
              (rate("tailwater_apply_entries_total", "shard", SHARD), "{{shard}} entries merged")),
    ]),
    ("Warehouse", [
        lines("Rows stored", "rowsps", (rate("tailwater_store_file_rows_total", "shard", SHARD), "{{shard}}"), width=24, height=5),
    ]),
    ("Correctness", [
        lines("Since tables were proven equal", "s",
              (f"topk(10, time() - tailwater_verified_timestamp_seconds{SHARD})", "{{shard}} {{table}}")),
        lines("Rows that differ", "none", (f"tailwater_verify_different_rows{SHARD}", "{{shard}} {{table}}")),
        lines("Tables that need a snapshot", "none", (f"sum by (shard) (tailwater_stale_tables{SHARD})", "{{shard}}")),
        number("Paused, with its tables", "none",
               f"max(tailwater_shard_paused{SHARD}) + (count(tailwater_table_paused{SHARD}) or vector(0))", steps=[1, 1],
               height=5, description="Held back by an operator until `tailwater resume`."),
        table("Parked tables", "none", 'tailwater_parked_table{shard=~"$shard"} == 1', width=20, height=5),
    ]),
    ("Snapshots", [
        lines("Rows read, of about", "none",
              (f"tailwater_snapshot_rows{SHARD}", "{{table}}"),
              (f"tailwater_snapshot_estimated_rows{SHARD}", "{{table}} has about"), width=16),
        lines("Snapshots begun", "none", (f"sum by (shard) (tailwater_snapshots_begun_total{SHARD})", "{{shard}}")),
    ]),
]

TABLE = '{table=~"$table"}'
ONE_TABLE = [
    ("Freshness", [
        lines("Rows wait in the lake", "s", (f"max by (table) (tailwater_table_lag_seconds{TABLE})", "{{table}}"), width=12,
              description="Age of the oldest file that is stored and not merged."),
        table("Stopped", "none", "tailwater_parked_table == 1", width=12,
              description="By the source table's name, which the target's may differ from."),
    ]),
    ("The way through", [
        lines("Changes merged", "rowsps", (rate("tailwater_apply_rows_total", "table, op", TABLE), "{{table}} {{op}}"), width=24),
    ]),
    ("Correctness", [
        lines("Values changed by policy", "none",
              ('sum by (column, policy) (increase(tailwater_extract_changed_values_total{table=~"$table"}[1h]))',
               "{{column}} {{policy}}")),
        lines("Since it was proven equal", "s",
              (f"time() - max by (shard, table) (tailwater_verified_timestamp_seconds{TABLE})", "{{shard}} {{table}}")),
        lines("Proven equal up to a commit of", "dateTimeAsIso",
              (f"1000 * min by (shard, table) (tailwater_verified_through_timestamp_seconds{TABLE})", "{{shard}} {{table}}")),
        lines("Rows that differ", "none", (f"tailwater_verify_different_rows{TABLE}", "{{shard}} {{table}}")),
        lines("Could be compared", "none", (f"min by (shard, table) (tailwater_verify_compared{TABLE})", "{{shard}} {{table}}")),
    ]),
    ("Snapshot", [
        lines("Rows read, of about", "none",
              (f"tailwater_snapshot_rows{TABLE}", "{{shard}}"),
              (f"tailwater_snapshot_estimated_rows{TABLE}", "{{shard}} has about"), width=24),
    ]),
]

if __name__ == "__main__":
    dashboard("tailwater-overview", "Tailwater: all shards", "Every shard of a pipeline, from the commit to the query.", OVERVIEW)
    dashboard("tailwater-shard", "Tailwater: one shard", "One shard, stage by stage.", ONE_SHARD,
              [variable("shard", "Shard", "tailwater_extract_connected")])
    dashboard("tailwater-table", "Tailwater: one table", "One target and the source tables behind it.", ONE_TABLE,
              [variable("table", "Table", "tailwater_table_lag_seconds")])
