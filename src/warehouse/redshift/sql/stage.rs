//! Staging: where a tick's rows lie before they are merged, and what is done to them there.
//!
//! Everything that can be found out before the merge is found out here, on private tables: which row of a key is the last,
//! which is no news to the target, which keys several origins hold. It stays true until the merge because nobody else
//! changes the target while the fence holds, and the merge proves that it does.
//!
//! `_tw_row` is an IDENTITY column: unique, which is all that is needed of it.
//!
//! Redshift does not look at blanks at the end of a text when it compares ("Examples with character types" in the developer
//! guide), so `'a'` and `'a '` are equal there and two keys in MySQL. Wherever keys are compared, grouped or united, the lengths
//! of texts are as well.

use std::collections::BTreeMap;

use crate::{
    model::{ColumnType, Floor, Origin, table::system},
    warehouse::{
        plan::Layout,
        sql::{COLUMN_LIST, ROW},
    },
};

use super::{name, names, table::TableSql, text_literal, types};

/// Bytes of conditions on floors in one statement. A tick has one floor per origin at most.
const FLOORS_PER_STATEMENT: usize = 200;

/// A column of a file: its name and the type that its values have there.
pub(crate) type FileColumn = (String, ColumnType);

/// The staged rows of one target.
#[derive(Debug)]
pub(crate) struct StageSql<'a> {
    pub(crate) table: TableSql<'a>,
    /// The target with the types that staging has.
    rows: &'a Layout,
    /// The staging table, with and without its schema.
    stage: String,
    stage_bare: String,
    /// The contended keys, for targets with a global key.
    keys: String,
    /// Where rows are loaded that COPY cannot load into staging itself.
    landing: String,
}

impl<'a> StageSql<'a> {
    /// `private` quotes a name of the private schema; `stage` is the staging table's.
    pub(crate) fn new(table: TableSql<'a>, private: impl Fn(&str) -> String, stage: &str) -> Self {
        Self {
            rows: table.layout,
            table,
            stage: private(stage),
            stage_bare: name(stage),
            keys: private(&keys_of(stage)),
            landing: private(&format!("{stage}_l")),
        }
    }

    /// With the types that staging has, where they are others than the target's.
    pub(crate) fn rows_as(self, rows: &'a Layout) -> Self {
        Self { rows, ..self }
    }

    pub(crate) fn stage(&self) -> &str {
        &self.stage
    }

    pub(crate) fn landing(&self) -> &str {
        &self.landing
    }

    // ------------------------------------------------------------------ tables

    /// Creates staging. It lies as the target does, so that they meet without being sent around (but where a number of the key is
    /// narrower in the files), and is in no snapshot.
    pub(crate) fn create(&self) -> String {
        let mut lines =
            vec![format!("{ROW} BIGINT IDENTITY(1,1)"), format!("{COLUMN_LIST} INTEGER DEFAULT 0 NOT NULL")];
        lines.extend(file_system().iter().map(|c| format!("{} {} NOT NULL", name(c), types::system_type(c))));
        lines.extend(self.rows.columns.iter().map(|c| {
            let key = self.table.layout.is_key(&c.column.name);
            let null = if key { " NOT NULL" } else { "" };
            format!("{} {}{null}", name(&c.column.name), types::staged_type(c.column.ty, key))
        }));
        let attributes = self.table.attributes();
        format!("CREATE TABLE {} (\n  {}\n) BACKUP NO{attributes}", self.stage, lines.join(",\n  "))
    }

    /// Creates the table of contended keys, each with its winner once that is known.
    pub(crate) fn create_keys(&self) -> String {
        let mut lines: Vec<String> = self.table.layout.key.iter().filter_map(|k| self.key_column(k)).collect();
        lines.push(format!("{} {}", name(system::ORIGIN), types::system_type(system::ORIGIN)));
        format!("CREATE TABLE {} ({}) BACKUP NO", self.keys, lines.join(", "))
    }

    fn key_column(&self, key: &str) -> Option<String> {
        let known = self.table.layout.column(key)?;
        Some(format!("{} {} NOT NULL", name(key), types::staged_type(known.column.ty, true)))
    }

    /// Creates a table with the very types of a file.
    pub(crate) fn create_landing(&self, columns: &[FileColumn]) -> String {
        let mut lines: Vec<String> =
            file_system().iter().map(|c| format!("{} {} NOT NULL", name(c), types::system_type(c))).collect();
        lines.extend(columns.iter().map(|(column, ty)| {
            let key = self.table.layout.is_key(column);
            let null = if key { " NOT NULL" } else { "" };
            format!("{} {}{null}", name(column), types::staged_type(*ty, key))
        }));
        format!("CREATE TABLE {} ({}) BACKUP NO DISTSTYLE EVEN", self.landing, lines.join(", "))
    }

    /// Moves landed rows on, as rows of column list `index`.
    pub(crate) fn take_landed(&self, columns: &[FileColumn], index: usize) -> String {
        let layout = self.table.layout;
        let selected = columns.iter().map(|(column, from)| {
            let key = layout.is_key(column);
            let to = self.rows.column(column).map_or(*from, |c| c.column.ty);
            match types::loads_into(*from, to) {
                true => name(column),
                false => format!("CAST({} AS {})", name(column), types::staged_type(to, key)),
            }
        });
        let fixed = file_system().into_iter().map(name);
        format!(
            "INSERT INTO {} ({COLUMN_LIST}, {}) SELECT {index}, {} FROM {}",
            self.stage,
            file_columns(columns),
            fixed.chain(selected).collect::<Vec<_>>().join(", "),
            self.landing
        )
    }

    pub(crate) fn drop_landing(&self) -> String {
        format!("DROP TABLE {}", self.landing)
    }

    // ------------------------------------------------------------------ staged rows

    /// Staged deletes go (`deletes = "ignore"`).
    pub(crate) fn drop_deletes(&self) -> String {
        format!("DELETE FROM {} WHERE _tw_op = 'd'", self.stage)
    }

    /// Staged rows below a floor go; where deletes are soft they become tombstones that keep their seq.
    pub(crate) fn apply_floors(&self, floors: &[Floor]) -> Vec<String> {
        let change = |below: String| match self.table.layout.soft() {
            true => format!("UPDATE {} SET _tw_op = 'd' WHERE _tw_op <> 'd' AND ({below})", self.stage),
            false => format!("DELETE FROM {} WHERE {below}", self.stage),
        };
        below(floors, "").into_iter().map(change).collect()
    }

    /// Only the last row per origin and key stays. The window sees narrow columns alone.
    pub(crate) fn dedupe(&self) -> String {
        let Self { stage, stage_bare, .. } = self;
        let identity = self.identity();
        format!(
            "DELETE FROM {stage} USING (SELECT {ROW}, row_number() OVER (PARTITION BY {identity} ORDER BY _tw_seq DESC, \
             {ROW} DESC) AS _tw_place FROM {stage}) AS ranked WHERE {stage_bare}.{ROW} = ranked.{ROW} AND ranked._tw_place > 1"
        )
    }

    /// Keys that have more than one row of an origin: 0 after [`dedupe`](Self::dedupe), or the merge would show both.
    pub(crate) fn count_doubles(&self) -> String {
        let identity = self.identity();
        format!(
            "SELECT count(*) FROM (SELECT count(*) AS n FROM {} GROUP BY {identity} HAVING count(*) > 1) AS doubles",
            self.stage
        )
    }

    /// Staged rows that are not newer than their own origin's row in `table` go.
    pub(crate) fn drop_stale(&self, table: &str) -> String {
        let Self { stage, stage_bare, .. } = self;
        let same = self.same(stage_bare, "t", true);
        format!("DELETE FROM {stage} USING {table} AS t WHERE {same} AND t._tw_seq >= {stage_bare}._tw_seq")
    }

    // ------------------------------------------------------------------ contended keys

    /// Finds the keys that several origins hold: other rows wait in the side table, the target shows another origin's row,
    /// several origins' rows are staged, or a shown row falls below a floor while others wait. Computed before the floors
    /// are applied, it may find a key too many; electing that anew changes nothing.
    pub(crate) fn contend(&self, staged: bool, floors: &[Floor]) -> String {
        let TableSql { target, side, .. } = &self.table;
        let Self { stage, keys, .. } = self;
        let key = names(&self.table.layout.key);
        let of = |alias: &str| self.exact_key(alias);
        let mut parts = Vec::new();
        if staged {
            let (waits, shows) = (self.same("s", "x", false), self.same("s", "t", false));
            parts.push(format!("SELECT {} FROM {stage} AS s JOIN {side} AS x ON {waits}", of("s.")));
            parts.push(format!(
                "SELECT {} FROM {stage} AS s JOIN {target} AS t ON {shows} WHERE t._tw_origin <> s._tw_origin",
                of("s.")
            ));
            let exact = of("");
            parts.push(format!("SELECT {exact} FROM {stage} GROUP BY {exact} HAVING count(*) > 1"));
        }
        let waits = self.same("t", "x", false);
        parts.extend(
            below(floors, "t.").into_iter().map(|below| {
                format!("SELECT {} FROM {target} AS t JOIN {side} AS x ON {waits} WHERE {below}", of("t."))
            }),
        );
        format!("INSERT INTO {keys} ({key}) SELECT {key} FROM ({}) AS contended", parts.join(" UNION "))
    }

    /// How many keys are contended.
    pub(crate) fn count_contended(&self) -> String {
        format!("SELECT count(*) FROM {}", self.keys)
    }

    pub(crate) fn keys(&self) -> &str {
        &self.keys
    }

    pub(crate) fn bare(&self) -> &str {
        &self.stage_bare
    }

    // ------------------------------------------------------------------ parts

    /// `_tw_origin` and the key: identity of a row of an origin.
    fn identity(&self) -> String {
        format!("{}, {}", name(system::ORIGIN), self.exact_key(""))
    }

    /// The key's columns behind `prefix`, and the lengths of its texts: what tells two keys apart.
    pub(crate) fn exact_key(&self, prefix: &str) -> String {
        let layout = self.table.layout;
        let columns = layout.key.iter().map(|k| format!("{prefix}{}", name(k)));
        let lengths =
            layout.key.iter().filter(|k| self.is_text(k)).map(|k| format!("octet_length({prefix}{})", name(k)));
        columns.chain(lengths).collect::<Vec<_>>().join(", ")
    }

    fn is_text(&self, column: &str) -> bool {
        let known = self.table.layout.column(column);
        known.is_some_and(|c| matches!(c.column.ty, ColumnType::Text { .. }))
    }

    /// Equality of the keys of two tables, byte by byte, and of the origins where asked.
    pub(crate) fn same(&self, a: &str, b: &str, origin: bool) -> String {
        let origin = origin.then_some(system::ORIGIN);
        let names = origin.into_iter().chain(self.table.layout.key.iter().map(String::as_str));
        let lengths = self.table.layout.key.iter().filter(|k| self.is_text(k));
        let lengths = lengths.map(|k| format!("octet_length({b}.{0}) = octet_length({a}.{0})", name(k)));
        names.map(|n| format!("{b}.{0} = {a}.{0}", name(n))).chain(lengths).collect::<Vec<_>>().join(" AND ")
    }
}

/// Name of the table of contended keys beside a staging table.
pub(crate) fn keys_of(stage: &str) -> String {
    format!("{stage}_k")
}

/// The system columns of a file, in its order.
fn file_system() -> [&'static str; 4] {
    [system::ORIGIN, system::SEQ, system::OP, system::COMMITTED_AT]
}

/// The columns of a file, in its order: the one list that COPY maps positions by.
pub(crate) fn file_columns(columns: &[FileColumn]) -> String {
    names(file_system().into_iter().chain(columns.iter().map(|(name, _)| name.as_str())))
}

/// Drops what was staged before. It may be gone.
pub(crate) fn drop_table(table: &str) -> String {
    format!("DROP TABLE IF EXISTS {table}")
}

/// The rows that INSERT puts into staging, rows written as `(…), (…)`.
pub(crate) fn insert_rows(stage: &str, columns: &[FileColumn], rows: &str) -> String {
    format!("INSERT INTO {stage} ({}) VALUES {rows}", file_columns(columns))
}

/// Rows of a table.
pub(crate) fn count_rows(table: &str) -> String {
    format!("SELECT count(*) FROM {table}")
}

/// Conditions on rows below floors, columns behind `prefix`; of several floors of one origin only the greatest matters.
pub(crate) fn below(floors: &[Floor], prefix: &str) -> Vec<String> {
    let mut greatest: BTreeMap<&Origin, i64> = BTreeMap::new();
    for floor in floors {
        let known = greatest.entry(&floor.origin).or_insert(floor.seq.0);
        *known = floor.seq.0.max(*known);
    }
    let greatest: Vec<_> = greatest.into_iter().collect();
    let one = |(origin, seq): &(&Origin, i64)| {
        let origin = text_literal(&origin.to_string());
        format!("({prefix}{} = {origin} AND {prefix}{} < {seq})", name(system::ORIGIN), name(system::SEQ))
    };
    greatest.chunks(FLOORS_PER_STATEMENT).map(|part| part.iter().map(one).collect::<Vec<_>>().join(" OR ")).collect()
}
