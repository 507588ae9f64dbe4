//! Definitions: targets, their side tables, and how columns change.

use crate::{
    model::{Column, ColumnDefault, ColumnType, table::system},
    warehouse::{
        physical::{DistKey, can_be_physical_key},
        plan::{Layout, TargetColumn},
    },
};

use super::{Names, name, names, quoted, types};

/// Prefixes of the names that a column has for a moment while it becomes wider.
const NEW: &str = "_tw_new_";
const OLD: &str = "_tw_old_";

/// A target and its private tables.
#[derive(Debug)]
pub(crate) struct TableSql<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) target: String,
    pub(crate) side: String,
}

impl<'a> TableSql<'a> {
    pub(crate) fn new(layout: &'a Layout, names: &Names) -> Self {
        Self { target: quoted(&layout.place), side: names.side(&layout.target), layout }
    }

    /// The target, and its side table where it has one.
    pub(crate) fn tables(&self) -> Vec<&str> {
        let mut tables = vec![self.target.as_str()];
        if self.layout.global() {
            tables.push(&self.side);
        }
        tables
    }

    /// Creates the target or its side table. The primary key is a promise to the planner, which nobody enforces and the
    /// merge keeps. With a text in the key it could not: MySQL may have `'a'` and `'a '` there, which are equal in Redshift, and
    /// a planner that was promised one row leaves out what would have found two. The side table lies as the target does, so that winners move without being sent around.
    pub(crate) fn create(&self, side: bool) -> String {
        let mut lines: Vec<String> = self
            .layout
            .system()
            .iter()
            .map(|column| {
                let default = if *column == system::DELETED { " DEFAULT FALSE" } else { "" };
                format!("{} {}{default} NOT NULL", name(column), types::system_type(column))
            })
            .collect();
        lines.extend(self.layout.columns.iter().filter_map(|c| self.column(&c.column.name)));
        if !self.layout.append_only() && !self.layout.columns.iter().any(|c| self.may_end_with_blanks(c)) {
            let key = names(&self.layout.key);
            let origin = name(system::ORIGIN);
            let key = match (side, self.layout.global()) {
                (false, true) => key,
                _ => format!("{origin}, {key}"),
            };
            lines.push(format!("PRIMARY KEY ({key})"));
        }
        let table = if side { &self.side } else { &self.target };
        format!("CREATE TABLE {table} (\n  {}\n){}", lines.join(",\n  "), self.attributes())
    }

    /// Whether two values of a key column may differ in blanks at their ends alone. MySQL cuts them off CHAR, and ENUM and SET
    /// have none.
    fn may_end_with_blanks(&self, column: &TargetColumn) -> bool {
        let Column { name, ty, source, .. } = &column.column;
        let cut = ["char", "enum", "set"].iter().any(|kind| {
            let rest = source.get(..kind.len()).filter(|s| s.eq_ignore_ascii_case(kind)).and(source.get(kind.len()..));
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphabetic()))
        });
        matches!(ty, ColumnType::Text { .. }) && self.layout.is_key(name) && !cut
    }

    /// The statements that create the target where its schema exists.
    pub(crate) fn creation(&self) -> Vec<String> {
        let side = self.layout.global().then(|| self.create(true));
        std::iter::once(self.create(false)).chain(side).collect()
    }

    /// How rows are spread and sorted: as asked, as far as the columns are there.
    pub(crate) fn attributes(&self) -> String {
        let usable = |column: &str| match self.layout.column(column) {
            Some(known) => can_be_physical_key(known.column.ty),
            None => [system::ORIGIN, system::SEQ, system::COMMITTED_AT].contains(&column),
        };
        let physical = &self.layout.physical;
        let mut text = match &physical.dist_key {
            DistKey::Column(column) if usable(column) => format!(" DISTSTYLE KEY DISTKEY ({})", name(column)),
            DistKey::Auto | DistKey::Column(_) => " DISTSTYLE AUTO".to_owned(),
            DistKey::Even => " DISTSTYLE EVEN".to_owned(),
            DistKey::All => " DISTSTYLE ALL".to_owned(),
        };
        let sort: Vec<&String> = physical.sort_key.iter().filter(|c| usable(c)).collect();
        if !sort.is_empty() {
            text.push_str(&format!(" SORTKEY ({})", names(sort)));
        }
        text
    }

    /// Every row of the target goes.
    pub(crate) fn delete_all(&self) -> String {
        format!("DELETE FROM {}", self.target)
    }

    /// The rows of a shadow of the same layout enter, or those of its side table.
    pub(crate) fn take_all(&self, shadow: &Self, side: bool) -> String {
        let (to, from) = if side { (&self.side, &shadow.side) } else { (&self.target, &shadow.target) };
        let system = self.layout.system().into_iter();
        let all = names(system.chain(self.layout.columns.iter().map(|c| c.column.name.as_str())));
        format!("INSERT INTO {to} ({all}) SELECT {all} FROM {from}")
    }

    /// Definition of a column of the target.
    fn column(&self, column: &str) -> Option<String> {
        let known = self.layout.column(column)?;
        let (ty, key) = (known.column.ty, self.layout.is_key(column));
        let mut text = format!("{} {}", name(column), types::column_type(ty, key));
        if let (false, ColumnDefault::Literal(value)) = (key, &known.default) {
            // Checked before by `definition::place`.
            if let Ok(literal) = types::literal(ty, value) {
                text.push_str(" DEFAULT ");
                text.push_str(&literal);
            }
        }
        if let Some(encoding) = self.layout.physical.encoding(column, ty) {
            text.push_str(" ENCODE ");
            text.push_str(encoding);
        }
        if key {
            text.push_str(" NOT NULL");
        }
        Some(text)
    }

    /// Adds a column: one per statement is all that Redshift takes.
    pub(crate) fn add_column(&self, table: &str, column: &str) -> Option<String> {
        Some(format!("ALTER TABLE {table} ADD COLUMN {}", self.column(column)?))
    }

    /// How a column becomes wider.
    pub(crate) fn widen(&self, column: &str, from: ColumnType, to: ColumnType) -> Result<Widening, &'static str> {
        let key = self.layout.is_key(column);
        let (old, new) = (types::column_type(from, key), types::column_type(to, key));
        if old == new {
            return Ok(Widening::None);
        }
        if key {
            return Err("key columns cannot be altered in Redshift");
        }
        let column = name(column);
        if matches!(to, ColumnType::Text { .. }) {
            return Ok(Widening::Grow(format!("ALTER COLUMN {column} TYPE {new}")));
        }
        Ok(Widening::Replace)
    }

    /// Replaces a column by a wider one, in a transaction: add, copy, rename, drop. A view that reads the column makes the
    /// last statement fail, and with it all of them: no view is ever dropped.
    pub(crate) fn replace(&self, table: &str, column: &str) -> Option<Vec<String>> {
        let known = self.layout.column(column)?;
        let wider = types::column_type(known.column.ty, false);
        let definition = self.column(column)?;
        let definition = definition.strip_prefix(name(column).as_str())?;
        let (new, old, now) = (self.passing(NEW, column), self.passing(OLD, column), name(column));
        Some(vec![
            format!("ALTER TABLE {table} ADD COLUMN {new}{definition}"),
            format!("UPDATE {table} SET {new} = CAST({now} AS {wider})"),
            format!("ALTER TABLE {table} RENAME COLUMN {now} TO {old}"),
            format!("ALTER TABLE {table} RENAME COLUMN {new} TO {now}"),
            format!("ALTER TABLE {table} DROP COLUMN {old}"),
        ])
    }

    /// A name for a moment: the column's place among the target's columns tells it from others.
    fn passing(&self, prefix: &str, column: &str) -> String {
        let place = self.layout.columns.iter().position(|c| c.column.name == column).unwrap_or_default();
        name(&format!("{prefix}{place}"))
    }
}

/// How a column becomes wider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Widening {
    /// It is wide enough.
    None,
    /// By an ALTER TABLE action that cannot run in a transaction.
    Grow(String),
    /// By a column in its place.
    Replace,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        model::Target,
        warehouse::{Deletes, KeyMode, Physical, plan::Place},
    };

    pub(crate) fn layout(key_mode: KeyMode, deletes: Deletes) -> Layout {
        let column = |name: &str, ty, default: Option<&str>| TargetColumn {
            column: Column { name: name.to_owned(), ty, nullable: true, key: None, source: String::new() },
            default: default.map_or(ColumnDefault::Null, |d| ColumnDefault::Literal(d.to_owned())),
        };
        let physical = Physical {
            dist_key: DistKey::Column("Id".to_owned()),
            sort_key: vec!["at".to_owned(), "doc".to_owned()],
            encode: [("n".to_owned(), "az64".to_owned())].into(),
        };
        Layout {
            target: Target::new("Shop.Orders"),
            place: Place { schema: Some("shop".to_owned()), table: "orders".to_owned() },
            columns: vec![
                column("Id", ColumnType::Int64, None),
                column("n", ColumnType::Int32, Some("7")),
                column("at", ColumnType::Timestamp, None),
                column("doc", ColumnType::Json, None),
            ],
            key: vec!["Id".to_owned()],
            key_mode,
            deletes,
            physical,
        }
    }

    pub(crate) fn layout_names() -> Names {
        Names { schema: "public".to_owned(), private: "_tailwater".to_owned() }
    }

    #[test]
    fn targets_are_spread_sorted_and_encoded_as_asked() {
        let layout = layout(KeyMode::PerOrigin, Deletes::Soft);
        let names = layout_names();
        let sql = TableSql::new(&layout, &names);
        assert_eq!(
            sql.create(false),
            "CREATE TABLE \"shop\".\"orders\" (\n  \"_tw_origin\" VARCHAR(1024) NOT NULL,\n  \"_tw_seq\" BIGINT NOT NULL,\n  \
             \"_tw_committed_at\" TIMESTAMPTZ NOT NULL,\n  \"_tw_deleted\" BOOLEAN DEFAULT FALSE NOT NULL,\n  \
             \"id\" BIGINT NOT NULL,\n  \"n\" INTEGER DEFAULT 7 ENCODE az64,\n  \"at\" TIMESTAMP,\n  \
             \"doc\" SUPER,\n  PRIMARY KEY (\"_tw_origin\", \"id\")\n) DISTSTYLE KEY DISTKEY (\"id\") SORTKEY (\"at\")"
        );
    }

    #[test]
    fn no_key_is_promised_that_blanks_could_break() {
        let names = layout_names();
        let mut layout = layout(KeyMode::PerOrigin, Deletes::Hard);
        layout.columns[0].column.ty = ColumnType::Text { bytes_max: Some(80) };
        for (source, promised) in
            [("VARCHAR(20)", false), ("text", false), ("CHAR(20)", true), ("enum('a','b')", true), ("", false)]
        {
            layout.columns[0].column.source = source.to_owned();
            let text = TableSql::new(&layout, &names).create(false);
            assert_eq!(text.contains("PRIMARY KEY"), promised, "{source}: {text}");
        }
    }

    #[test]
    fn columns_become_wider_in_the_way_their_type_allows() {
        let layout = layout(KeyMode::PerOrigin, Deletes::Hard);
        let names = layout_names();
        let sql = TableSql::new(&layout, &names);
        let text = |n| ColumnType::Text { bytes_max: Some(n) };
        assert_eq!(
            sql.widen("n", text(4), text(9)).unwrap(),
            Widening::Grow("ALTER COLUMN \"n\" TYPE VARCHAR(9)".to_owned())
        );
        assert_eq!(sql.widen("n", text(70_000), ColumnType::Text { bytes_max: None }).unwrap(), Widening::None);
        assert_eq!(sql.widen("n", ColumnType::Int16, ColumnType::Int32).unwrap(), Widening::Replace);
        assert_eq!(sql.widen("Id", text(4), text(9)).unwrap(), Widening::None);
        sql.widen("Id", ColumnType::Int32, ColumnType::Int64).unwrap_err();
        assert_eq!(
            sql.replace(&sql.target, "n").unwrap(),
            [
                "ALTER TABLE \"shop\".\"orders\" ADD COLUMN \"_tw_new_1\" INTEGER DEFAULT 7 ENCODE az64",
                "UPDATE \"shop\".\"orders\" SET \"_tw_new_1\" = CAST(\"n\" AS INTEGER)",
                "ALTER TABLE \"shop\".\"orders\" RENAME COLUMN \"n\" TO \"_tw_old_1\"",
                "ALTER TABLE \"shop\".\"orders\" RENAME COLUMN \"_tw_new_1\" TO \"n\"",
                "ALTER TABLE \"shop\".\"orders\" DROP COLUMN \"_tw_old_1\"",
            ]
        );
    }
}
