//! SQL that PostgreSQL and SQLite share: the statements of a merge.
//!
//! `T` is the target, `X` its side table, `S` the staged rows, `K` the contended keys. `S` and `K` are temporary tables
//! of the connection, so nobody else can see or harm them.

use crate::model::{ColumnDefault, ColumnType, Floor, Target, table::system};

use super::{
    definition::Naming,
    group::Fill,
    plan::{KeyMode, Layout, Place},
    session::Statement,
};

/// Index of the file's column list; in staging only.
pub(crate) const COLUMN_LIST: &str = "_tw_columns";
/// Number of the row within the tick, unique; in staging only.
pub(crate) const ROW: &str = "_tw_row";

/// Where products differ.
pub(crate) trait Dialect: Naming {
    /// Quoted name of a table of the private state.
    fn private(&self, name: &str) -> String;
    /// Quoted name of a temporary table.
    fn temporary(&self, name: &str) -> String;
    /// Microseconds since the epoch by the warehouse's clock.
    fn now(&self) -> &'static str;
    /// What keeps a selected row locked until the transaction ends.
    fn for_update(&self) -> &'static str;
    /// `column` as a value that compares with `_tw_committed_at`.
    fn instant(&self, column: &str, ty: ColumnType) -> String;
    /// Type of a column.
    fn column_type(&self, ty: ColumnType, key: bool) -> String;
    /// Type of a system column.
    fn system_type(&self, name: &str) -> &'static str;
    /// Whether values of the type can be compared.
    fn comparable(&self, ty: ColumnType) -> bool;
    /// Asks whether the schema of a place exists (one row), and creates it. Asked first, because creating takes a right
    /// even where it would do nothing.
    fn schema(&self, place: &Place) -> Option<(Statement, Statement)>;
    /// Names of the columns of a table, in order; no rows when there is no such table.
    fn columns_of(&self, place: &Place) -> Statement;
    /// Names of the columns of its primary key, in order.
    fn key_of(&self, place: &Place) -> Statement;
    /// Changes a column's type; `None` when the product stores both alike; an error when it cannot.
    fn widen(&self, table: &str, column: &str, from: ColumnType, to: ColumnType) -> Result<Option<Statement>, String>;
    /// Waits no longer than this transaction may for the locks of a schema change.
    fn limit_lock_wait(&self) -> Option<Statement>;
    /// Asks what [`reshape`](Self::reshape) has to know of a table beside its columns (texts).
    fn attached(&self, place: &Place) -> Statement;
    /// What gives a table without rows, which is as `known` says, the key, the system columns and the types of `sql`'s
    /// layout: before it is filled, and afterwards. `missing` adds columns that it lacks; `attached` is what was asked for.
    /// Views on it stay or make a statement fail.
    fn reshape(
        &self,
        sql: &TableSql<'_>,
        known: &Layout,
        missing: &[Statement],
        attached: &[String],
    ) -> (Vec<Statement>, Vec<Statement>);
}

/// `name` as an identifier.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `text` as a string literal, where backslashes are ordinary.
pub(crate) fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Quoted, comma-separated.
pub(crate) fn list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    names.into_iter().map(|n| quote(n.as_ref())).collect::<Vec<_>>().join(", ")
}

/// The place, quoted.
pub(crate) fn quoted_place(place: &Place) -> String {
    let table = quote(&place.table);
    place.schema.as_ref().map_or_else(|| table.clone(), |s| format!("{}.{table}", quote(s)))
}

/// A name for a target's private tables: readable, short and unique.
pub(crate) fn private_name(kind: &str, target: &Target) -> String {
    const READABLE: usize = 24;
    let readable: String =
        target.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(READABLE).collect();
    format!("{kind}_{readable}_{}", crate::model::Digest::of(target.as_str().as_bytes()).short())
}

/// Statements about one table.
#[derive(Debug)]
pub(crate) struct TableSql<'a> {
    pub(crate) layout: &'a Layout,
    dialect: &'a dyn Dialect,
    pub(crate) target: String,
    pub(crate) side: String,
    pub(crate) stage: String,
    pub(crate) keys: String,
    /// `_tw_origin` and the key: identity of a row of an origin.
    identity: String,
    /// The key alone.
    key: String,
}

impl<'a> TableSql<'a> {
    pub(crate) fn new(layout: &'a Layout, dialect: &'a dyn Dialect) -> Self {
        let names = std::iter::once(system::ORIGIN).chain(layout.key.iter().map(String::as_str));
        Self {
            target: quoted_place(&layout.place),
            side: dialect.private(&private_name("side", &layout.target)),
            stage: dialect.temporary(&private_name("stage", &layout.target)),
            keys: dialect.temporary(&private_name("keys", &layout.target)),
            identity: list(names),
            key: list(&layout.key),
            layout,
            dialect,
        }
    }

    // ------------------------------------------------------------------ definitions

    /// The target, or its side table. The side's key begins with the key, because it is asked for keys.
    pub(crate) fn create(&self, side: bool) -> Statement {
        let mut lines: Vec<String> = self.layout.system().iter().map(|name| self.system(name)).collect();
        for column in &self.layout.columns {
            lines.push(self.column(&column.column.name, true).unwrap_or_default());
        }
        if !self.layout.append_only() {
            let key = match (side, self.layout.global()) {
                (true, _) => format!("{}, {}", self.key, quote(system::ORIGIN)),
                (false, true) => self.key.clone(),
                (false, false) => self.identity.clone(),
            };
            lines.push(format!("PRIMARY KEY ({key})"));
        }
        let name = if side { &self.side } else { &self.target };
        Statement::new(format!("CREATE TABLE {name} (\n  {}\n)", lines.join(",\n  ")))
    }

    /// Definition of a system column.
    pub(crate) fn system(&self, name: &str) -> String {
        let default = if name == system::DELETED { " DEFAULT FALSE" } else { "" };
        format!("{} {} NOT NULL{default}", quote(name), self.dialect.system_type(name))
    }

    /// Definition of a column; with its default where it has one that the product can express.
    fn column(&self, name: &str, defaults: bool) -> Option<String> {
        let known = self.layout.column(name)?;
        let key = self.layout.is_key(name);
        let mut text = format!("{} {}", quote(name), self.dialect.column_type(known.column.ty, key));
        if key {
            text.push_str(" NOT NULL");
        } else if let (true, ColumnDefault::Literal(value)) = (defaults, &known.default) {
            // Checked before by `ensure_table`.
            if let Ok(literal) = self.dialect.literal(known.column.ty, value) {
                text.push_str(" DEFAULT ");
                text.push_str(&literal);
            }
        }
        Some(text)
    }

    /// Adds a column to the target or to its side table.
    pub(crate) fn add_column(&self, side: bool, name: &str) -> Option<Statement> {
        let table = if side { &self.side } else { &self.target };
        Some(Statement::new(format!("ALTER TABLE {table} ADD COLUMN {}", self.column(name, true)?)))
    }

    /// Staging and contended keys. Dropped first: a connection makes them anew when the layout changed.
    pub(crate) fn create_temporary(&self) -> Vec<Statement> {
        let system = |name: &str| format!("{} {} NOT NULL", quote(name), self.dialect.system_type(name));
        let mut lines = vec![format!("{ROW} BIGINT NOT NULL"), format!("{COLUMN_LIST} INTEGER NOT NULL")];
        lines.extend([system::ORIGIN, system::SEQ, system::OP, system::COMMITTED_AT].map(system));
        lines.extend(self.layout.columns.iter().filter_map(|c| self.column(&c.column.name, false)));
        let mut statements = vec![Statement::new(format!("DROP TABLE IF EXISTS {}", self.stage))];
        statements.push(Statement::new(format!(
            "CREATE TEMPORARY TABLE {} (\n  {}\n)",
            bare(&self.stage),
            lines.join(",\n  ")
        )));
        if self.layout.global() {
            let keys: Vec<String> = self.layout.key.iter().filter_map(|k| self.column(k, false)).collect();
            statements.push(Statement::new(format!("DROP TABLE IF EXISTS {}", self.keys)));
            statements.push(Statement::new(format!(
                "CREATE TEMPORARY TABLE {} ({})",
                bare(&self.keys),
                keys.join(", ")
            )));
        }
        statements
    }

    /// Columns of staging in the order that rows are loaded in.
    pub(crate) fn staged_columns(&self, names: &[String]) -> String {
        let fixed = [ROW, COLUMN_LIST, system::ORIGIN, system::SEQ, system::OP, system::COMMITTED_AT];
        list(fixed.into_iter().chain(names.iter().map(String::as_str)))
    }

    /// Empties staging without touching the catalog.
    pub(crate) fn clear_stage(&self) -> Statement {
        Statement::new(format!("DELETE FROM {}", self.stage))
    }

    /// Empties the contended keys.
    pub(crate) fn clear_keys(&self) -> Statement {
        Statement::new(format!("DELETE FROM {}", self.keys))
    }

    // ------------------------------------------------------------------ rebuilds

    /// Drops the table and its side table: only of a shadow, which is private.
    pub(crate) fn drop(&self) -> [Statement; 2] {
        [Statement::new(format!("DROP TABLE IF EXISTS {}", self.target)), self.drop_side()]
    }

    /// Drops the side table.
    pub(crate) fn drop_side(&self) -> Statement {
        Statement::new(format!("DROP TABLE IF EXISTS {}", self.side))
    }

    /// Every row of the target goes.
    pub(crate) fn delete_all(&self) -> Statement {
        Statement::new(format!("DELETE FROM {}", self.target))
    }

    /// The rows of a shadow of the same layout enter.
    pub(crate) fn take_all(&self, shadow: &Self, side: bool) -> Statement {
        let (to, from) = if side { (&self.side, &shadow.side) } else { (&self.target, &shadow.target) };
        let all = self.all_columns();
        Statement::new(format!("INSERT INTO {to} ({all}) SELECT {all} FROM {from}"))
    }

    // ------------------------------------------------------------------ fills and floors

    /// Older rows of an origin take the value; rows that have it already are not written again.
    pub(crate) fn fill(&self, fill: &Fill, side: bool) -> Result<Option<Statement>, String> {
        let Some(known) = self.layout.column(&fill.column) else {
            return Err(format!("column {} is not in the target", fill.column));
        };
        let (ty, column) = (known.column.ty, quote(&fill.column));
        let literal = match &fill.value {
            ColumnDefault::Unknown => return Ok(None),
            ColumnDefault::Null => "NULL".to_owned(),
            ColumnDefault::Literal(text) => self.dialect.literal(ty, text)?,
        };
        let differs = match (&fill.value, self.dialect.comparable(ty)) {
            (ColumnDefault::Null, _) => format!(" AND {column} IS NOT NULL"),
            (_, true) => format!(" AND {column} IS DISTINCT FROM {literal}"),
            (_, false) => String::new(),
        };
        let table = if side { &self.side } else { &self.target };
        let sql = format!("UPDATE {table} SET {column} = {literal} WHERE {}{differs}", below());
        Ok(Some(Statement::new(sql).bind(fill.origin.to_string()).bind(fill.below.0)))
    }

    /// Staged rows below the floor go.
    pub(crate) fn drop_staged_below(&self, floor: &Floor) -> Statement {
        bound(format!("DELETE FROM {} WHERE {}", self.stage, below()), floor)
    }

    /// Staged rows below the floor become tombstones that keep their seq.
    pub(crate) fn bury_staged_below(&self, floor: &Floor) -> Statement {
        bound(format!("UPDATE {} SET _tw_op = 'd' WHERE {} AND _tw_op <> 'd'", self.stage, below()), floor)
    }

    /// Rows below the floor go.
    pub(crate) fn delete_below(&self, floor: &Floor, side: bool) -> Statement {
        let table = if side { &self.side } else { &self.target };
        bound(format!("DELETE FROM {table} WHERE {}", below()), floor)
    }

    /// Rows below the floor are marked and keep their seq and commit time.
    pub(crate) fn mark_below(&self, floor: &Floor, side: bool) -> Statement {
        let table = if side { &self.side } else { &self.target };
        bound(format!("UPDATE {table} SET _tw_deleted = TRUE WHERE {} AND NOT _tw_deleted", below()), floor)
    }

    /// Keys whose shown row falls below the floor while other origins' rows wait in the side table.
    pub(crate) fn contend_below(&self, floor: &Floor) -> Statement {
        let Self { target, side, keys, key, .. } = self;
        bound(
            format!(
                "INSERT INTO {keys} ({key}) SELECT {key} FROM {target} WHERE {} AND ({key}) IN (SELECT {key} FROM {side}) \
                 EXCEPT SELECT {key} FROM {keys}",
                below()
            ),
            floor,
        )
    }

    // ------------------------------------------------------------------ staged rows

    /// Staged deletes go (`deletes = "ignore"`).
    pub(crate) fn drop_staged_deletes(&self) -> Statement {
        Statement::new(format!("DELETE FROM {} WHERE _tw_op = 'd'", self.stage))
    }

    /// Only the last row per origin and key stays.
    pub(crate) fn dedupe(&self) -> Statement {
        let Self { stage, identity, .. } = self;
        Statement::new(format!(
            "DELETE FROM {stage} WHERE {ROW} IN (SELECT {ROW} FROM (SELECT {ROW}, row_number() OVER (PARTITION BY {identity} \
             ORDER BY _tw_seq DESC, {ROW} DESC) AS _tw_place FROM {stage}) AS ranked WHERE _tw_place > 1)"
        ))
    }

    /// Staged rows that are not newer than their own origin's row go.
    pub(crate) fn drop_stale(&self, side: bool) -> Statement {
        let table = if side { &self.side } else { &self.target };
        Statement::new(format!(
            "DELETE FROM {} AS s WHERE EXISTS (SELECT 1 FROM {table} AS t WHERE {} AND t._tw_seq >= s._tw_seq)",
            self.stage,
            self.on("s", "t", true)
        ))
    }

    /// Keys that several origins hold: other rows wait in the side table, the target shows another origin's row, or
    /// several origins' rows are staged.
    pub(crate) fn contend_staged(&self) -> Statement {
        let Self { target, side, stage, keys, key, .. } = self;
        let staged_key = self.layout.key.iter().map(|k| format!("s.{}", quote(k))).collect::<Vec<_>>().join(", ");
        Statement::new(format!(
            "INSERT INTO {keys} ({key}) SELECT {key} FROM {side} WHERE ({key}) IN (SELECT {key} FROM {stage}) \
             UNION SELECT {staged_key} FROM {stage} AS s JOIN {target} AS t ON {} WHERE t._tw_origin <> s._tw_origin \
             UNION SELECT {key} FROM {stage} GROUP BY {key} HAVING count(*) > 1 \
             EXCEPT SELECT {key} FROM {keys}",
            self.on("s", "t", false)
        ))
    }

    /// How many keys are contended.
    pub(crate) fn count_contended(&self) -> Statement {
        Statement::new(format!("SELECT count(*) FROM {}", self.keys))
    }

    /// Elects the winners of the contended keys anew, in order: all their rows meet in the side table, staged rows
    /// replace their own origin's, the winner goes to the target. `column_lists` is `None` when nothing is staged.
    pub(crate) fn elect(&self, column_lists: Option<&[Vec<String>]>) -> Vec<(Effect, Statement)> {
        let Self { target, side, stage, keys, key, identity, .. } = self;
        let all = self.all_columns();
        let contended = format!("({key}) IN (SELECT {key} FROM {keys})");
        let mut steps = vec![
            (Effect::None, format!("INSERT INTO {side} ({all}) SELECT {all} FROM {target} WHERE {contended}")),
            (Effect::Deleted, format!("DELETE FROM {target} WHERE {contended}")),
        ];
        if column_lists.is_some() {
            let own = format!("DELETE FROM {side} WHERE ({identity}) IN (SELECT {identity} FROM {stage})");
            steps.push((Effect::None, own));
        }
        for (index, columns) in column_lists.unwrap_or_default().iter().enumerate() {
            steps.push((Effect::None, format!("{} AND {contended}", self.insert_into(side, index, columns))));
        }
        steps.extend([
            (
                Effect::Inserted,
                format!(
                    "INSERT INTO {target} ({all}) SELECT {all} FROM (SELECT {all}, row_number() OVER (PARTITION BY {key} \
                     ORDER BY {}) AS _tw_place FROM {side} WHERE {contended}) AS ranked WHERE _tw_place = 1",
                    self.rank()
                ),
            ),
            (
                Effect::None,
                format!(
                    "DELETE FROM {side} WHERE {contended} AND ({identity}) IN \
                     (SELECT {identity} FROM {target} WHERE {contended})"
                ),
            ),
        ]);
        if column_lists.is_some() {
            steps.push((Effect::None, format!("DELETE FROM {stage} WHERE {contended}")));
        }
        steps.into_iter().map(|(effect, sql)| (effect, Statement::new(sql))).collect()
    }

    /// Rows of the target that staged ones replace go.
    pub(crate) fn delete_replaced(&self) -> Statement {
        let Self { target, stage, identity, .. } = self;
        Statement::new(format!("DELETE FROM {target} WHERE ({identity}) IN (SELECT {identity} FROM {stage})"))
    }

    /// Staged rows of one column list enter the target. Columns that their files lack are left out, so that the
    /// target's default applies.
    pub(crate) fn insert(&self, index: usize, columns: &[String]) -> Statement {
        Statement::new(self.insert_into(&self.target, index, columns))
    }

    fn insert_into(&self, table: &str, index: usize, columns: &[String]) -> String {
        let mut into = vec![quote(system::ORIGIN), quote(system::SEQ), quote(system::COMMITTED_AT)];
        let mut from = into.clone();
        if self.layout.append_only() {
            into.push(quote(system::OP));
            from.push(quote(system::OP));
        }
        if self.layout.soft() {
            into.push(quote(system::DELETED));
            from.push("(_tw_op = 'd')".to_owned());
        }
        let columns: Vec<String> = columns.iter().map(|c| quote(c)).collect();
        let live = if self.layout.soft() || self.layout.append_only() { "" } else { " AND _tw_op <> 'd'" };
        format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {} WHERE {COLUMN_LIST} = {index}{live}",
            [&into[..], &columns[..]].concat().join(", "),
            [&from[..], &columns[..]].concat().join(", "),
            self.stage
        )
    }

    /// Live before deleted, then the newest, then the greatest origin. A deleted row counts by its commit time: its
    /// `updated_at` is that of its last life.
    fn rank(&self) -> String {
        let committed = quote(system::COMMITTED_AT);
        let newest = match &self.layout.key_mode {
            KeyMode::Global { updated_at: Some(name) } => {
                let ty = self.layout.column(name).map_or(ColumnType::TimestampTz, |c| c.column.ty);
                format!("coalesce({}, {committed})", self.dialect.instant(&quote(name), ty))
            }
            _ => committed.clone(),
        };
        let origin = quote(system::ORIGIN);
        if self.layout.soft() {
            let deleted = quote(system::DELETED);
            return format!("{deleted}, CASE WHEN {deleted} THEN {committed} ELSE {newest} END DESC, {origin} DESC");
        }
        format!("{newest} DESC, {origin} DESC")
    }

    fn all_columns(&self) -> String {
        let system = self.layout.system().into_iter();
        list(system.chain(self.layout.columns.iter().map(|c| c.column.name.as_str())))
    }

    fn on(&self, a: &str, b: &str, origin: bool) -> String {
        let origin = origin.then_some(system::ORIGIN);
        let names = origin.into_iter().chain(self.layout.key.iter().map(String::as_str));
        names.map(|n| format!("{b}.{0} = {a}.{0}", quote(n))).collect::<Vec<_>>().join(" AND ")
    }
}

/// What the rows of a statement count as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    Inserted,
    Deleted,
}

/// CREATE TEMPORARY TABLE takes the name without its schema.
fn bare(temporary: &str) -> &str {
    temporary.split_once('.').map_or(temporary, |(_, name)| name)
}

fn below() -> &'static str {
    "_tw_origin = $1 AND _tw_seq < $2"
}

fn bound(sql: String, floor: &Floor) -> Statement {
    Statement::new(sql).bind(floor.origin.to_string()).bind(floor.seq.0)
}
