//! SQL of the private state, the same for PostgreSQL and SQLite.

use crate::warehouse::{
    group::{LogPosition, Move, Watermark},
    session::Statement,
    sql::Dialect,
};

/// Names of the tables, each behind the dialect's prefix.
const FENCE: &str = "fence";
const WATERMARK: &str = "watermark";
const EXCEPTION: &str = "exception";
const REGISTRY: &str = "target";

/// Creates what is missing. The definitions are a format: add columns, never change them.
pub(crate) fn create(d: &dyn Dialect) -> Vec<Statement> {
    let table =
        |name: &str, body: &str| Statement::new(format!("CREATE TABLE IF NOT EXISTS {} ({body})", d.private(name)));
    vec![
        // seen_at: microseconds of the last sign of life; 0 when the fence was given back.
        table(
            FENCE,
            "group_name TEXT NOT NULL PRIMARY KEY, epoch BIGINT NOT NULL, writer TEXT NOT NULL, since BIGINT NOT NULL, \
             seen_at BIGINT NOT NULL",
        ),
        table(
            WATERMARK,
            "group_name TEXT NOT NULL, shard TEXT NOT NULL, log_id TEXT NOT NULL, entry BIGINT NOT NULL, \
             step BIGINT NOT NULL, committed_at BIGINT, applied_at BIGINT NOT NULL, PRIMARY KEY (group_name, shard)",
        ),
        table(
            EXCEPTION,
            "group_name TEXT NOT NULL, origin TEXT NOT NULL, kind TEXT NOT NULL, entry BIGINT NOT NULL, \
             step BIGINT NOT NULL, reason TEXT NOT NULL, since BIGINT NOT NULL, PRIMARY KEY (group_name, origin)",
        ),
        table(
            REGISTRY,
            "target TEXT NOT NULL PRIMARY KEY, place TEXT NOT NULL UNIQUE, group_name TEXT NOT NULL, \
             definition TEXT NOT NULL, changed_at BIGINT NOT NULL",
        ),
    ]
}

/// Epoch, writer, seconds since the last sign of life (NULL when it was given back); locked until the end.
pub(crate) fn fence(d: &dyn Dialect, group: &str, lock: bool) -> Statement {
    let lock = if lock { d.for_update() } else { "" };
    Statement::new(format!(
        "SELECT epoch, writer, CASE WHEN seen_at > 0 THEN ({} - seen_at) / 1000000 END FROM {} WHERE group_name = $1{lock}",
        d.now(),
        d.private(FENCE)
    ))
    .bind(group)
}

/// The first epoch of a group; nothing when there is one.
pub(crate) fn seed_fence(d: &dyn Dialect, group: &str) -> Statement {
    Statement::new(format!(
        "INSERT INTO {} (group_name, epoch, writer, since, seen_at) VALUES ($1, 0, '', {now}, 0) ON CONFLICT DO NOTHING",
        d.private(FENCE),
        now = d.now()
    ))
    .bind(group)
}

/// Takes the next epoch.
pub(crate) fn take_fence(d: &dyn Dialect, group: &str, epoch: i64, writer: &str) -> Statement {
    Statement::new(format!(
        "UPDATE {} SET epoch = $2, writer = $3, since = {now}, seen_at = {now} WHERE group_name = $1",
        d.private(FENCE),
        now = d.now()
    ))
    .bind(group)
    .bind(epoch)
    .bind(writer)
}

/// A sign of life under `epoch`.
pub(crate) fn touch_fence(d: &dyn Dialect, group: &str, epoch: i64) -> Statement {
    Statement::new(format!(
        "UPDATE {} SET seen_at = {} WHERE group_name = $1 AND epoch = $2",
        d.private(FENCE),
        d.now()
    ))
    .bind(group)
    .bind(epoch)
}

/// Gives the fence back.
pub(crate) fn leave_fence(d: &dyn Dialect, group: &str, epoch: i64) -> Statement {
    Statement::new(format!("UPDATE {} SET seen_at = 0 WHERE group_name = $1 AND epoch = $2", d.private(FENCE)))
        .bind(group)
        .bind(epoch)
}

/// Shard, log id, entry, step, commit time.
pub(crate) fn watermarks(d: &dyn Dialect, group: &str) -> Statement {
    Statement::new(format!(
        "SELECT shard, log_id, entry, step, committed_at FROM {} WHERE group_name = $1 ORDER BY shard",
        d.private(WATERMARK)
    ))
    .bind(group)
}

/// Origin, kind, entry, step, reason.
pub(crate) fn exceptions(d: &dyn Dialect, group: &str) -> Statement {
    Statement::new(format!(
        "SELECT origin, kind, entry, step, reason FROM {} WHERE group_name = $1 ORDER BY origin",
        d.private(EXCEPTION)
    ))
    .bind(group)
}

/// Moves a watermark: exactly one row when it stood where it must.
pub(crate) fn move_watermark(d: &dyn Dialect, group: &str, step: &Move) -> Statement {
    let table = d.private(WATERMARK);
    let now = d.now();
    let to = |statement: Statement, w: &Watermark| {
        let statement = statement.bind(w.log_id.as_str());
        position(statement, w.position)
    };
    match &step.from {
        None => to(
            Statement::new(format!(
                "INSERT INTO {table} (group_name, shard, committed_at, log_id, entry, step, applied_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, {now}) ON CONFLICT DO NOTHING"
            ))
            .bind(group)
            .bind(step.shard.as_str())
            .bind(step.committed_at),
            &step.to,
        ),
        Some(from) => to(
            to(
                Statement::new(format!(
                    "UPDATE {table} SET committed_at = coalesce($3, committed_at), log_id = $4, entry = $5, step = $6, \
                     applied_at = {now} WHERE group_name = $1 AND shard = $2 AND log_id = $7 AND entry = $8 AND step = $9"
                ))
                .bind(group)
                .bind(step.shard.as_str())
                .bind(step.committed_at),
                &step.to,
            ),
            from,
        ),
    }
}

/// Opens an exception: one row unless there is one.
pub(crate) fn open_exception(
    d: &dyn Dialect,
    group: &str,
    origin: &str,
    kind: &str,
    at: LogPosition,
    reason: &str,
) -> Statement {
    let statement = Statement::new(format!(
        "INSERT INTO {} (group_name, origin, kind, reason, entry, step, since) VALUES ($1, $2, $3, $4, $5, $6, {}) \
         ON CONFLICT DO NOTHING",
        d.private(EXCEPTION),
        d.now()
    ));
    position(statement.bind(group).bind(origin).bind(kind).bind(reason), at)
}

/// Changes an exception that stands at `from`.
pub(crate) fn move_exception(
    d: &dyn Dialect,
    group: &str,
    origin: &str,
    kind: &str,
    from: LogPosition,
    to: (LogPosition, &str),
) -> Statement {
    let statement = Statement::new(format!(
        "UPDATE {} SET kind = $3, reason = $4, entry = $5, step = $6, since = {} \
         WHERE group_name = $1 AND origin = $2 AND entry = $7 AND step = $8",
        d.private(EXCEPTION),
        d.now()
    ));
    position(position(statement.bind(group).bind(origin).bind(kind).bind(to.1), to.0), from)
}

/// Closes an exception that stands at `from`.
pub(crate) fn close_exception(d: &dyn Dialect, group: &str, origin: &str, from: LogPosition) -> Statement {
    let statement = Statement::new(format!(
        "DELETE FROM {} WHERE group_name = $1 AND origin = $2 AND entry = $3 AND step = $4",
        d.private(EXCEPTION)
    ));
    position(statement.bind(group).bind(origin), from)
}

/// Group and definition of a target.
pub(crate) fn registered(d: &dyn Dialect, target: &str) -> Statement {
    Statement::new(format!("SELECT group_name, definition FROM {} WHERE target = $1", d.private(REGISTRY))).bind(target)
}

/// The target that lies at a place.
pub(crate) fn registered_at(d: &dyn Dialect, place: &str) -> Statement {
    Statement::new(format!("SELECT target FROM {} WHERE place = $1", d.private(REGISTRY))).bind(place)
}

/// Remembers a new target.
pub(crate) fn register(d: &dyn Dialect, target: &str, place: &str, group: &str, definition: &str) -> Statement {
    Statement::new(format!(
        "INSERT INTO {} (target, place, group_name, definition, changed_at) VALUES ($1, $2, $3, $4, {})",
        d.private(REGISTRY),
        d.now()
    ))
    .bind(target)
    .bind(place)
    .bind(group)
    .bind(definition)
}

/// Forgets a target.
pub(crate) fn unregister(d: &dyn Dialect, target: &str) -> Statement {
    Statement::new(format!("DELETE FROM {} WHERE target = $1", d.private(REGISTRY))).bind(target)
}

/// Remembers a target's new definition.
pub(crate) fn redefine(d: &dyn Dialect, target: &str, definition: &str) -> Statement {
    Statement::new(format!(
        "UPDATE {} SET definition = $2, changed_at = {} WHERE target = $1",
        d.private(REGISTRY),
        d.now()
    ))
    .bind(target)
    .bind(definition)
}

// Entry and step numbers count from 1 by one: they stay far inside i64.
fn position(statement: Statement, at: LogPosition) -> Statement {
    statement.bind(i64::try_from(at.entry).unwrap_or(i64::MAX)).bind(i64::try_from(at.step).unwrap_or(i64::MAX))
}
