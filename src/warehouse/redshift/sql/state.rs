//! The private state: fence, watermarks, exceptions and the registry of targets.
//!
//! Redshift locks whole tables and finds conflicts by table, so every group has tables of its own: two groups never wait for
//! each other and never make each other's transactions fail. Only the registry is shared, and it changes with definitions
//! alone. There is no ON CONFLICT, no RETURNING and no FOR UPDATE; what must be unique is counted first, under the fence.

use crate::{
    model::Digest,
    warehouse::group::{Exception, ExceptionChange, LogPosition, Move, RebuildChange, Watermark},
    warehouse::redshift::script::{About, Script},
    warehouse::state::{keyed, kind_text},
};

use super::{Names, create_schema, text_literal};

/// Microseconds since the epoch by the warehouse's clock, which has seconds in SQL.
const NOW: &str = "CAST(EXTRACT(epoch FROM GETDATE()) AS BIGINT) * 1000000";
/// Bytes of one piece of a definition: a VARCHAR ends at 65,535.
const PIECE_BYTES_MAX: usize = 60_000;
/// Shards whose watermarks one statement moves: keeps it below the Data API's 100 KB.
const MOVES_PER_STATEMENT: usize = 100;

/// Bytes of keys and reasons in one statement that changes exceptions. It names keys several times: keeps it below the Data
/// API's 100 KB.
const CHANGES_BYTES_MAX: usize = 15_000;
/// What stands beside key and reason, in the same measure.
const CHANGE_BYTES: usize = 60;
/// Bytes of a reason that are kept: it is a sentence or two.
const REASON_BYTES_MAX: usize = 6_000;

/// The tables of one group.
#[derive(Clone, Debug)]
pub(crate) struct GroupTables {
    /// Digits that stand for the group in names.
    pub(crate) tag: String,
    /// Bare name of the fence, the last table to be created.
    pub(crate) fence_name: String,
    pub(crate) fence: String,
    pub(crate) watermark: String,
    pub(crate) exception: String,
    pub(crate) registry: String,
}

impl GroupTables {
    pub(crate) fn new(names: &Names, group: &str) -> Self {
        let tag = Digest::of(group.as_bytes()).short().to_owned();
        let fence_name = format!("fence_{tag}");
        Self {
            fence: names.private(&fence_name),
            watermark: names.private(&format!("watermark_{tag}")),
            exception: names.private(&format!("exception_{tag}")),
            registry: names.private("target"),
            fence_name,
            tag,
        }
    }

    /// Creates what is missing, the fence last: where it is, all is. The definitions are a format: add columns, never change
    /// them. Small tables are kept whole on every node.
    pub(crate) fn create(&self, names: &Names) -> Vec<String> {
        let table = |name: &str, body: &str| format!("CREATE TABLE IF NOT EXISTS {name} ({body}) DISTSTYLE ALL");
        vec![
            create_schema(&names.private),
            table(
                &self.registry,
                "target VARCHAR(1024) NOT NULL, place VARCHAR(1024) NOT NULL, group_name VARCHAR(1024) NOT NULL, \
                 piece INTEGER NOT NULL, definition VARCHAR(65535) NOT NULL, changed_at BIGINT NOT NULL, \
                 PRIMARY KEY (target, piece)",
            ),
            table(
                &self.watermark,
                "shard VARCHAR(1024) NOT NULL, log_id VARCHAR(1024) NOT NULL, entry BIGINT NOT NULL, \
                 step BIGINT NOT NULL, committed_at BIGINT, applied_at BIGINT NOT NULL, PRIMARY KEY (shard)",
            ),
            table(
                &self.exception,
                "origin VARCHAR(1024) NOT NULL, kind VARCHAR(32) NOT NULL, entry BIGINT NOT NULL, step BIGINT NOT NULL, \
                 reason VARCHAR(65535) NOT NULL, since BIGINT NOT NULL, PRIMARY KEY (origin)",
            ),
            // seen_at: microseconds of the last sign of life; 0 when the fence was given back.
            table(
                &self.fence,
                "group_name VARCHAR(1024) NOT NULL, epoch BIGINT NOT NULL, writer VARCHAR(1024) NOT NULL, \
                 since BIGINT NOT NULL, seen_at BIGINT NOT NULL, PRIMARY KEY (group_name)",
            ),
        ]
    }

    // ------------------------------------------------------------------ fence

    /// Holds everybody else who writes for the group off until the transaction ends. The first statement of each writing
    /// transaction: the snapshot is taken after it, so that nothing older than the last holder's commit is ever seen.
    pub(crate) fn lock(&self) -> String {
        format!("LOCK TABLE {}", self.fence)
    }

    /// The same for the registry.
    pub(crate) fn lock_registry(&self) -> String {
        format!("LOCK TABLE {}", self.registry)
    }

    /// How many fences there are: 1 once it was seeded.
    pub(crate) fn count_fences(&self) -> String {
        format!("SELECT count(*) FROM {}", self.fence)
    }

    /// The first epoch.
    pub(crate) fn seed(&self, group: &str) -> String {
        format!("INSERT INTO {} VALUES ({}, 0, '', {NOW}, 0)", self.fence, text_literal(group))
    }

    /// Epoch, writer, seconds since the last sign of life (NULL when it was given back).
    pub(crate) fn read_fence(&self) -> String {
        format!("SELECT epoch, writer, CASE WHEN seen_at > 0 THEN ({NOW} - seen_at) / 1000000 END FROM {}", self.fence)
    }

    /// 1 while the epoch holds the fence.
    pub(crate) fn count_epoch(&self, epoch: i64) -> String {
        format!("SELECT count(*) FROM {} WHERE epoch = {epoch}", self.fence)
    }

    /// Takes the epoch after `epoch`.
    pub(crate) fn take(&self, epoch: i64, writer: &str) -> String {
        format!(
            "UPDATE {} SET epoch = {}, writer = {}, since = {NOW}, seen_at = {NOW} WHERE epoch = {epoch}",
            self.fence,
            epoch + 1,
            text_literal(writer)
        )
    }

    /// A sign of life under `epoch`.
    pub(crate) fn touch(&self, epoch: i64) -> String {
        format!("UPDATE {} SET seen_at = {NOW} WHERE epoch = {epoch}", self.fence)
    }

    /// Gives the fence back.
    pub(crate) fn leave(&self, epoch: i64) -> String {
        format!("UPDATE {} SET seen_at = 0 WHERE epoch = {epoch}", self.fence)
    }

    // ------------------------------------------------------------------ watermarks

    /// Shard, log id, entry, step, commit time.
    pub(crate) fn watermarks(&self) -> String {
        format!("SELECT shard, log_id, entry, step, committed_at FROM {} ORDER BY shard", self.watermark)
    }

    /// Moves watermarks in a fixed number of statements, whatever the number of shards: per part of the moves a count with
    /// what it must be, and the statement that moves them. Nobody else writes the table while the fence is held, so what was
    /// counted holds.
    pub(crate) fn move_watermarks(&self, moves: &[Move]) -> Vec<(String, i64, String)> {
        let mut statements = Vec::new();
        let known: Vec<(&Move, &Watermark)> = moves.iter().filter_map(|m| Some((m, m.from.as_ref()?))).collect();
        for part in known.chunks(MOVES_PER_STATEMENT) {
            let stands: Vec<String> = part.iter().map(|(m, from)| stands(m, from)).collect();
            let stands = stands.join(" OR ");
            let table = &self.watermark;
            let count = format!("SELECT count(DISTINCT shard) FROM {table} WHERE {stands}");
            let set = |value: &dyn Fn(&Move) -> String| {
                let arms =
                    part.iter().map(|(m, _)| format!("WHEN {} THEN {}", text_literal(m.shard.as_str()), value(m)));
                format!("CASE shard {} END", arms.collect::<Vec<_>>().join(" "))
            };
            let update = format!(
                "UPDATE {table} SET log_id = {}, entry = {}, step = {}, committed_at = {}, applied_at = {NOW} WHERE {stands}",
                set(&|m| text_literal(&m.to.log_id)),
                set(&|m| m.to.position.entry.to_string()),
                set(&|m| m.to.position.step.to_string()),
                set(&|m| m.committed_at.map_or_else(|| "committed_at".to_owned(), |at| at.to_string())),
            );
            statements.push((count, integer(part.len()), update));
        }
        let new: Vec<&Move> = moves.iter().filter(|m| m.from.is_none()).collect();
        for part in new.chunks(MOVES_PER_STATEMENT) {
            let shards = part.iter().map(|m| text_literal(m.shard.as_str())).collect::<Vec<_>>().join(", ");
            let count = format!("SELECT count(*) FROM {} WHERE shard IN ({shards})", self.watermark);
            let rows = part.iter().map(|m| {
                let at = m.committed_at.map_or_else(|| "CAST(NULL AS BIGINT)".to_owned(), |at| at.to_string());
                let LogPosition { entry, step } = m.to.position;
                let (shard, log) = (text_literal(m.shard.as_str()), text_literal(&m.to.log_id));
                format!("({shard}, {log}, {entry}, {step}, {at}, {NOW})")
            });
            let insert = format!(
                "INSERT INTO {} (shard, log_id, entry, step, committed_at, applied_at) VALUES {}",
                self.watermark,
                rows.collect::<Vec<_>>().join(", ")
            );
            statements.push((count, 0, insert));
        }
        statements
    }

    // ------------------------------------------------------------------ exceptions

    /// Origin, kind, entry, step, reason.
    pub(crate) fn exceptions(&self) -> String {
        format!("SELECT origin, kind, entry, step, reason FROM {} ORDER BY origin", self.exception)
    }

    /// All changes of exceptions and of places in rebuilds, in few statements, each behind a count that proves where they
    /// stood. Nobody else writes the table while the fence is held.
    pub(crate) fn change_exceptions(
        &self,
        script: &mut Script,
        exceptions: &[ExceptionChange],
        rebuilds: &[RebuildChange],
    ) {
        let all: Vec<_> = keyed(exceptions, rebuilds).collect();
        let some = |from: bool, to: bool| -> Vec<Changed<'_>> {
            let some = all.iter().filter(|(_, c)| c.from.is_some() == from && c.to.is_some() == to);
            some.map(|(key, c)| (key.as_str(), c.from, c.to.as_ref())).collect()
        };
        let mut change = |part: &[Changed<'_>], expected: i64, statement: &dyn Fn(&str) -> String| {
            let stands = part.iter().map(stands_at).collect::<Vec<_>>().join(" OR ");
            let count = format!("SELECT count(DISTINCT origin) FROM {} WHERE {stands}", self.exception);
            script.count(&About::Position, count, expected, "an exception stands elsewhere");
            script.push(&About::Position, statement(&stands));
        };
        for part in parts(&some(true, false)) {
            change(part, integer(part.len()), &|stands| format!("DELETE FROM {} WHERE {stands}", self.exception));
        }
        for part in parts(&some(true, true)) {
            change(part, integer(part.len()), &|stands| self.move_exceptions(part, stands));
        }
        for part in parts(&some(false, true)) {
            change(part, 0, &|_| self.add_exceptions(part));
        }
    }

    fn add_exceptions(&self, part: &[Changed<'_>]) -> String {
        let rows = part.iter().filter_map(|(key, _, to)| {
            let to = (*to)?;
            let (key, kind, reason) = (text_literal(key), text_literal(kind_text(to.kind)), reason(&to.reason));
            Some(format!("({key}, {kind}, {}, {}, {reason}, {NOW})", to.position.entry, to.position.step))
        });
        format!(
            "INSERT INTO {} (origin, kind, entry, step, reason, since) VALUES {}",
            self.exception,
            rows.collect::<Vec<_>>().join(", ")
        )
    }

    fn move_exceptions(&self, part: &[Changed<'_>], stands: &str) -> String {
        let set = |value: &dyn Fn(&Exception) -> String| {
            let arms = part
                .iter()
                .filter_map(|(key, _, to)| Some(format!("WHEN {} THEN {}", text_literal(key), value((*to)?))));
            format!("CASE origin {} END", arms.collect::<Vec<_>>().join(" "))
        };
        format!(
            "UPDATE {} SET kind = {}, reason = {}, entry = {}, step = {}, since = {NOW} WHERE {stands}",
            self.exception,
            set(&|e| text_literal(kind_text(e.kind))),
            set(&|e| reason(&e.reason)),
            set(&|e| e.position.entry.to_string()),
            set(&|e| e.position.step.to_string()),
        )
    }

    // ------------------------------------------------------------------ registry

    /// Group and definition of a target, piece by piece.
    pub(crate) fn registered(&self, target: &str) -> String {
        let (table, target) = (&self.registry, text_literal(target));
        format!("SELECT group_name, definition FROM {table} WHERE target = {target} ORDER BY piece")
    }

    /// The target that lies at a place.
    pub(crate) fn registered_at(&self, place: &str) -> String {
        format!("SELECT DISTINCT target FROM {} WHERE place = {}", self.registry, text_literal(place))
    }

    /// Rows about a target or a place: 0 while both are free.
    pub(crate) fn count_registered(&self, target: &str, place: &str) -> String {
        let (target, place) = (text_literal(target), text_literal(place));
        format!("SELECT count(*) FROM {} WHERE target = {target} OR place = {place}", self.registry)
    }

    /// Forgets a target.
    pub(crate) fn unregister(&self, target: &str) -> String {
        format!("DELETE FROM {} WHERE target = {}", self.registry, text_literal(target))
    }

    /// Remembers a target's definition in place of the one so far.
    pub(crate) fn register(&self, target: &str, place: &str, group: &str, definition: &str) -> Vec<String> {
        let (table, target) = (&self.registry, text_literal(target));
        let (place, group) = (text_literal(place), text_literal(group));
        let mut statements = vec![format!("DELETE FROM {table} WHERE target = {target}")];
        statements.extend(pieces(definition).iter().enumerate().map(|(number, piece)| {
            format!(
                "INSERT INTO {table} (target, place, group_name, piece, definition, changed_at) \
                 VALUES ({target}, {place}, {group}, {number}, {}, {NOW})",
                text_literal(piece)
            )
        }));
        statements
    }
}

fn stands(step: &Move, from: &Watermark) -> String {
    format!(
        "(shard = {} AND log_id = {} AND entry = {} AND step = {})",
        text_literal(step.shard.as_str()),
        text_literal(&from.log_id),
        from.position.entry,
        from.position.step
    )
}

/// A changed exception: its key, where it stood, and what it becomes.
type Changed<'a> = (&'a str, Option<LogPosition>, Option<&'a Exception>);

/// Where a changed exception must stand; a new one nowhere.
fn stands_at((key, from, _): &Changed<'_>) -> String {
    let origin = text_literal(key);
    match from {
        None => format!("origin = {origin}"),
        Some(from) => format!("(origin = {origin} AND entry = {} AND step = {})", from.entry, from.step),
    }
}

/// The changes in parts that fit one statement each.
fn parts<'a, 'b>(changes: &'b [Changed<'a>]) -> Vec<&'b [Changed<'a>]> {
    let bytes = |(key, _, to): &Changed<'_>| CHANGE_BYTES + key.len() + to.map_or(0, |to| reason(&to.reason).len());
    let (mut rest, mut taken) = (changes, Vec::new());
    while !rest.is_empty() {
        let mut total = 0;
        let fit = rest.iter().take_while(|change| {
            total += bytes(change);
            total <= CHANGES_BYTES_MAX
        });
        let (part, others) = rest.split_at(fit.count().max(1));
        taken.push(part);
        rest = others;
    }
    taken
}

/// A reason as a literal that its column and a statement take.
fn reason(text: &str) -> String {
    text_literal(text.get(..text.floor_char_boundary(REASON_BYTES_MAX)).unwrap_or(text))
}

/// The text in pieces that a VARCHAR takes; at least one.
fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while rest.len() > PIECE_BYTES_MAX {
        let (piece, tail) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES_MAX));
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}

// At most MOVES_PER_STATEMENT.
fn integer(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::Shard;

    fn tables() -> GroupTables {
        GroupTables::new(&Names { schema: "public".to_owned(), private: "_tailwater".to_owned() }, "p/main")
    }

    fn mark(entry: u64) -> Watermark {
        Watermark { log_id: "l".to_owned(), position: LogPosition { entry, step: 0 } }
    }

    #[test]
    fn statements_do_not_grow_with_shards() {
        let moves = |count: u64, from: Option<u64>| -> Vec<Move> {
            (0..count)
                .map(|n| Move {
                    shard: Shard::new(format!("s{n}")),
                    from: from.map(mark),
                    to: mark(9),
                    committed_at: None,
                })
                .collect()
        };
        assert_eq!(tables().move_watermarks(&moves(1, Some(1))).len(), 1);
        assert_eq!(tables().move_watermarks(&moves(64, Some(1))).len(), 1);
        assert_eq!(tables().move_watermarks(&[moves(64, Some(1)), moves(10, None)].concat()).len(), 2);
        assert!(tables().move_watermarks(&[]).is_empty());
        let (count, expected, update) = tables().move_watermarks(&moves(3, Some(1))).remove(0);
        assert_eq!(expected, 3);
        assert!(count.starts_with("SELECT count(DISTINCT shard)"), "{count}");
        // A move that tells no commit time keeps the known one.
        assert!(update.contains("WHEN 's1' THEN committed_at"), "{update}");
        let long = tables().move_watermarks(&moves(MOVES_PER_STATEMENT as u64, Some(1))).remove(0).2;
        assert!(long.len() < 100_000, "{}", long.len());
    }

    #[test]
    fn exceptions_change_in_few_statements() {
        let at = |entry| LogPosition { entry, step: 0 };
        let to = |entry| {
            let (kind, reason) = (crate::warehouse::ExceptionKind::Held, "it's held".to_owned());
            Some(Exception { kind, position: at(entry), reason })
        };
        let change = |n: u64, from, to| {
            let origin = crate::model::Origin::new(&Shard::new("s1"), "shop", format!("t{n}"));
            ExceptionChange { origin, from, to }
        };
        let mut changes: Vec<_> = (0..50).map(|n| change(n, None, to(n))).collect();
        changes.extend((50..100).map(|n| change(n, Some(at(1)), to(n))));
        changes.extend((100..150).map(|n| change(n, Some(at(1)), None)));
        changes.push(change(200, None, None));
        let mut script = Script::default();
        tables().change_exceptions(&mut script, &changes, &[]);
        let texts: Vec<&str> = script.steps.iter().map(|step| step.sql.text()).collect();
        assert_eq!(texts.len(), 6, "{texts:?}");
        let verbs: Vec<_> = texts.iter().map(|t| t.split(' ').next().unwrap()).collect();
        assert_eq!(verbs, ["SELECT", "DELETE", "SELECT", "UPDATE", "SELECT", "INSERT"]);
        assert!(texts[5].contains("('s1:shop.t49', 'held', 49, 0, 'it''s held', "), "{}", texts[5]);
        changes = (0..5_000).map(|n| change(n, Some(at(1)), to(n))).collect();
        let mut script = Script::default();
        tables().change_exceptions(&mut script, &changes, &[]);
        assert!(script.steps.iter().all(|step| step.sql.text().len() < 98_000));
    }

    #[test]
    fn long_definitions_come_in_pieces() {
        let text = "ü".repeat(100_000);
        let all = pieces(&text);
        assert_eq!(all.concat(), text);
        assert!(all.len() == 4 && all.iter().all(|p| p.len() <= PIECE_BYTES_MAX));
        assert_eq!(pieces(""), [""]);
    }
}
