//! Statements of the merge transaction. `T` is the target, `X` its side table, `S` the staged rows, `K` the contended keys.
//!
//! Joins are on keys alone and nothing wide goes through a window: Redshift has no trouble moving a SUPER value that a
//! statement only projects.

use crate::{
    model::{ColumnDefault, ColumnType, Floor, Target, table::system},
    warehouse::{group::Fill, plan::KeyMode, sql::COLUMN_LIST},
};

use super::{
    name, names,
    stage::{StageSql, below},
    table::TableSql,
    types,
};
use crate::warehouse::redshift::script::Effect;

/// The same values of columns, and below which number of which origins they are meant.
type Values<'a> = (Vec<(&'a str, &'a ColumnDefault)>, Vec<Floor>);

/// Fills that one statement can do: of one origin and number all columns, and of all origins those with the same values. An
/// origin's own fills stay in order: of two for one column the later one counts.
fn together(fills: &[Fill]) -> Vec<Values<'_>> {
    let mut own: Vec<(&Fill, Vec<(&str, &ColumnDefault)>)> = Vec::new();
    for fill in fills {
        let value = (fill.column.as_str(), &fill.value);
        match own.iter_mut().rev().find(|(first, _)| first.origin == fill.origin) {
            Some((first, values)) if first.below == fill.below && values.iter().all(|(c, _)| *c != fill.column) => {
                values.push(value);
            }
            _ => own.push((fill, vec![value])),
        }
    }
    let mut groups: Vec<Values<'_>> = Vec::new();
    for (fill, values) in own {
        let floor = Floor {
            origin: fill.origin.clone(),
            target: Target::new(String::new()),
            seq: fill.below,
            cause: crate::model::FloorCause::Truncate,
            committed_at: 0,
        };
        let last = groups.iter().rposition(|(_, floors)| floors.iter().any(|f| f.origin == fill.origin));
        let behind = groups.iter_mut().skip(last.map_or(0, |last| last + 1));
        match behind.into_iter().find(|(known, _)| *known == values) {
            Some((_, floors)) => floors.push(floor),
            None => groups.push((values, vec![floor])),
        }
    }
    groups
}

impl TableSql<'_> {
    /// Older rows of origins take the values of columns that were added behind them; rows that have them already are not
    /// written again. One statement for each set of values, whatever the number of columns and origins.
    pub(crate) fn fill(&self, fills: &[Fill], table: &str) -> Result<Vec<String>, String> {
        let mut statements = Vec::new();
        for (values, floors) in together(fills) {
            let (mut set, mut differs) = (Vec::new(), Vec::new());
            for (column, value) in values {
                let Some(known) = self.layout.column(column) else {
                    return Err(format!("column {column} is not in the target"));
                };
                let (ty, column) = (known.column.ty, name(column));
                let literal = match value {
                    ColumnDefault::Unknown => continue,
                    ColumnDefault::Null => "NULL".to_owned(),
                    ColumnDefault::Literal(text) => types::literal(ty, text)?,
                };
                differs.push(match (value, ty) {
                    (ColumnDefault::Null, _) => format!("{column} IS NOT NULL"),
                    // Two SUPER values cannot be compared.
                    (_, ColumnType::Json) => "TRUE".to_owned(),
                    (_, ColumnType::Text { .. }) => format!(
                        "{column} <> {literal} OR octet_length({column}) <> octet_length({literal}) OR {column} IS NULL"
                    ),
                    _ => format!("{column} <> {literal} OR {column} IS NULL"),
                });
                set.push(format!("{column} = {literal}"));
            }
            let (set, differs) = (set.join(", "), differs.join(" OR "));
            if set.is_empty() {
                continue;
            }
            let below = below(&floors, "").into_iter();
            statements.extend(below.map(|below| format!("UPDATE {table} SET {set} WHERE ({below}) AND ({differs})")));
        }
        Ok(statements)
    }

    /// Rows below the floors go; where deletes are soft they are marked and keep their seq and commit time.
    pub(crate) fn floor(&self, floors: &[Floor], table: &str) -> Vec<String> {
        let change = |below: String| match self.layout.soft() {
            true => format!("UPDATE {table} SET _tw_deleted = TRUE WHERE NOT _tw_deleted AND ({below})"),
            false => format!("DELETE FROM {table} WHERE {below}"),
        };
        below(floors, "").into_iter().map(change).collect()
    }
}

impl StageSql<'_> {
    /// Rows of the target that staged ones replace go.
    pub(crate) fn delete_replaced(&self) -> String {
        let target = &self.table.target;
        let same = self.same("s", &name(&self.table.layout.place.table), true);
        format!("DELETE FROM {target} USING {} AS s WHERE {same}", self.stage())
    }

    /// Staged rows of one column list enter the target. Columns that their files lack are left out, so that the target's
    /// default applies.
    pub(crate) fn insert(&self, index: usize, columns: &[String]) -> String {
        self.insert_into(&self.table.target, index, columns, "")
    }

    /// Into `table`, from staging `s`, of rows that `join` leaves.
    fn insert_into(&self, table: &str, index: usize, columns: &[String], join: &str) -> String {
        let layout = self.table.layout;
        let mut into: Vec<String> = [system::ORIGIN, system::SEQ, system::COMMITTED_AT].map(name).to_vec();
        let mut from: Vec<String> = into.iter().map(|c| format!("s.{c}")).collect();
        if layout.append_only() {
            into.push(name(system::OP));
            from.push("s._tw_op".to_owned());
        }
        if layout.soft() {
            into.push(name(system::DELETED));
            from.push("s._tw_op = 'd'".to_owned());
        }
        for column in columns {
            let quoted = name(column);
            let json = layout.column(column).is_some_and(|c| c.column.ty == ColumnType::Json);
            from.push(if json { format!("JSON_PARSE(s.{quoted})") } else { format!("s.{quoted}") });
            into.push(quoted);
        }
        let live = if layout.soft() || layout.append_only() { "" } else { " AND s._tw_op <> 'd'" };
        format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {} AS s{join} WHERE s.{COLUMN_LIST} = {index}{live}",
            into.join(", "),
            from.join(", "),
            self.stage()
        )
    }

    /// Elects the winners of the contended keys anew, in order: all their rows meet in the side table, staged rows replace
    /// their own origin's, the winner goes to the target. `column_lists` is `None` when nothing is staged.
    pub(crate) fn elect(&self, column_lists: Option<&[Vec<String>]>) -> Vec<(Effect, String)> {
        let TableSql { target, side, layout } = &self.table;
        let keys = self.keys();
        let target_bare = name(&layout.place.table);
        let side_bare = side.rsplit_once('.').map_or(side.as_str(), |(_, bare)| bare);
        let all: Vec<String> = layout.system().into_iter().map(name).collect();
        let all: Vec<String> = all.into_iter().chain(layout.columns.iter().map(|c| name(&c.column.name))).collect();
        let of = |alias: &str| all.iter().map(|c| format!("{alias}.{c}")).collect::<Vec<_>>().join(", ");
        let into = all.join(", ");
        let mut steps = vec![
            (
                Effect::None,
                format!(
                    "INSERT INTO {side} ({into}) SELECT {} FROM {target} AS t JOIN {keys} AS k ON {}",
                    of("t"),
                    self.same("k", "t", false)
                ),
            ),
            (
                Effect::Deleted,
                format!("DELETE FROM {target} USING {keys} AS k WHERE {}", self.same("k", &target_bare, false)),
            ),
        ];
        if let Some(lists) = column_lists {
            let own = self.same("s", side_bare, true);
            steps.push((Effect::None, format!("DELETE FROM {side} USING {} AS s WHERE {own}", self.stage())));
            let join = format!(" JOIN {keys} AS k ON {}", self.same("k", "s", false));
            for (index, columns) in lists.iter().enumerate() {
                steps.push((Effect::None, self.insert_into(side, index, columns, &join)));
            }
        }
        steps.extend([
            (Effect::None, self.name_winners()),
            (
                Effect::Inserted,
                format!(
                    "INSERT INTO {target} ({into}) SELECT {} FROM {side} AS x JOIN {keys} AS k ON {}",
                    of("x"),
                    self.same("k", "x", true)
                ),
            ),
            (Effect::None, format!("DELETE FROM {side} USING {keys} AS k WHERE {}", self.same("k", side_bare, true))),
        ]);
        if column_lists.is_some() {
            let same = self.same("k", self.bare(), false);
            steps.push((Effect::None, format!("DELETE FROM {} USING {keys} AS k WHERE {same}", self.stage())));
        }
        steps
    }

    /// Writes the winning origin beside each contended key; a key without any live row has none.
    fn name_winners(&self) -> String {
        let TableSql { side, layout, .. } = &self.table;
        let keys = self.keys();
        let bare = keys.rsplit_once('.').map_or(keys, |(_, bare)| bare);
        let origin = name(system::ORIGIN);
        let key = names(&layout.key);
        let of_side: Vec<String> = layout.key.iter().map(|k| format!("x.{}", name(k))).collect();
        let of_side = of_side.join(", ");
        let exact = self.exact_key("x.");
        format!(
            "UPDATE {keys} SET {origin} = w.{origin} FROM (SELECT {origin}, {key} FROM (SELECT x.{origin}, {of_side}, \
             row_number() OVER (PARTITION BY {exact} ORDER BY {}) AS _tw_place FROM {side} AS x JOIN {keys} AS k ON {}) \
             AS ranked WHERE _tw_place = 1) AS w WHERE {}",
            self.rank(),
            self.same("k", "x", false),
            self.same("w", bare, false)
        )
    }

    /// Live before deleted, then the newest, then the greatest origin. A deleted row counts by its commit time: its
    /// `updated_at` is that of its last life.
    fn rank(&self) -> String {
        let layout = self.table.layout;
        let committed = format!("x.{}", name(system::COMMITTED_AT));
        let newest = match &layout.key_mode {
            KeyMode::Global { updated_at: Some(column) } => {
                let wall = layout.column(column).is_some_and(|c| c.column.ty == ColumnType::Timestamp);
                let zone = if wall { " AT TIME ZONE 'UTC'" } else { "" };
                format!("coalesce(x.{}{zone}, {committed})", name(column))
            }
            _ => committed.clone(),
        };
        let origin = format!("x.{}", name(system::ORIGIN));
        if layout.soft() {
            let deleted = format!("x.{}", name(system::DELETED));
            return format!("{deleted}, CASE WHEN {deleted} THEN {committed} ELSE {newest} END DESC, {origin} DESC");
        }
        format!("{newest} DESC, {origin} DESC")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::{Origin, Seq, Shard};
    use crate::warehouse::{
        Deletes,
        redshift::sql::table::tests::{layout, layout_names},
    };

    #[test]
    fn fills_take_as_many_statements_as_there_are_sets_of_values() {
        let layout = layout(KeyMode::PerOrigin, Deletes::Hard);
        let names = layout_names();
        let sql = TableSql::new(&layout, &names);
        let fill = |shard: u32, column: &str, value: &str, below: i64| Fill {
            origin: Origin::new(&Shard::new(format!("s{shard}")), "shop", "orders"),
            column: column.to_owned(),
            value: ColumnDefault::Literal(value.to_owned()),
            below: Seq(below),
        };
        let at = "2024-01-01 00:00:00";
        let all: Vec<Fill> = (0..64).flat_map(|s| [fill(s, "n", "7", 5), fill(s, "at", at, 5)]).collect();
        let texts = sql.fill(&all, "t").unwrap();
        assert_eq!(texts.len(), 1, "{texts:?}");
        let set = format!(
            "UPDATE t SET \"n\" = 7, \"at\" = '{at}' WHERE ((\"_tw_origin\" = 's0:shop.orders' AND \"_tw_seq\" < 5) OR "
        );
        assert!(texts[0].starts_with(&set), "{}", texts[0]);
        let rest = format!(") AND (\"n\" <> 7 OR \"n\" IS NULL OR \"at\" <> '{at}' OR \"at\" IS NULL)");
        assert!(texts[0].ends_with(&rest), "{}", texts[0]);
        // A column that was dropped and came again with another value: the later one counts, in each origin.
        let again = [fill(1, "n", "1", 5), fill(1, "n", "2", 9), fill(2, "n", "2", 5), fill(2, "n", "1", 9)];
        let values: Vec<_> =
            sql.fill(&again, "t").unwrap().iter().map(|text| text[..text.find(" WHERE").unwrap()].to_owned()).collect();
        assert_eq!(values, ["UPDATE t SET \"n\" = 1", "UPDATE t SET \"n\" = 2", "UPDATE t SET \"n\" = 1"]);
        assert!(sql.fill(&[Fill { value: ColumnDefault::Unknown, ..fill(1, "n", "", 5) }], "t").unwrap().is_empty());
    }

    #[test]
    fn json_is_parsed_on_its_way_and_only_projected() {
        let layout = layout(KeyMode::PerOrigin, Deletes::Hard);
        let names = layout_names();
        let sql = StageSql::new(TableSql::new(&layout, &names), |n| names.private(n), "stage_x");
        assert_eq!(
            sql.insert(0, &["Id".to_owned(), "doc".to_owned()]),
            "INSERT INTO \"shop\".\"orders\" (\"_tw_origin\", \"_tw_seq\", \"_tw_committed_at\", \"id\", \"doc\") \
             SELECT s.\"_tw_origin\", s.\"_tw_seq\", s.\"_tw_committed_at\", s.\"id\", JSON_PARSE(s.\"doc\") \
             FROM \"_tailwater\".\"stage_x\" AS s WHERE s._tw_columns = 0 AND s._tw_op <> 'd'"
        );
        assert_eq!(
            sql.delete_replaced(),
            "DELETE FROM \"shop\".\"orders\" USING \"_tailwater\".\"stage_x\" AS s WHERE \
             \"orders\".\"_tw_origin\" = s.\"_tw_origin\" AND \"orders\".\"id\" = s.\"id\""
        );
    }

    /// Redshift takes `'a'` and `'a '` for equal; MySQL's keys are not.
    #[test]
    fn text_keys_are_compared_with_their_lengths() {
        let mut layout = layout(KeyMode::Global { updated_at: None }, Deletes::Hard);
        layout.columns[0].column.ty = ColumnType::Text { bytes_max: Some(20) };
        let names = layout_names();
        let sql = StageSql::new(TableSql::new(&layout, &names), |n| names.private(n), "stage_x");
        let mut all = vec![sql.dedupe(), sql.count_doubles(), sql.drop_stale("t"), sql.delete_replaced()];
        all.push(sql.contend(true, &[]));
        for statement in &all {
            assert!(statement.contains("octet_length("), "{statement}");
        }
        assert!(all[0].contains("PARTITION BY \"_tw_origin\", \"id\", octet_length(\"id\")"), "{}", all[0]);
        for (_, statement) in sql.elect(Some(&[vec!["Id".to_owned()]])) {
            assert!(statement.contains("octet_length("), "{statement}");
        }
    }

    /// What Redshift's grammar does not have, in any statement of the merge.
    #[test]
    fn no_statement_says_what_redshift_does_not_understand() {
        let key_mode = KeyMode::Global { updated_at: Some("at".to_owned()) };
        for deletes in [Deletes::Hard, Deletes::Soft] {
            let layout = layout(key_mode.clone(), deletes);
            let names = layout_names();
            let sql = StageSql::new(TableSql::new(&layout, &names), |n| names.private(n), "stage_x");
            let mut all =
                vec![sql.create(), sql.create_keys(), sql.dedupe(), sql.drop_stale("t"), sql.contend(true, &[])];
            all.extend(sql.elect(Some(&[vec!["Id".to_owned(), "doc".to_owned()]])).into_iter().map(|(_, s)| s));
            for statement in all {
                for word in
                    ["SELECT *", "ON CONFLICT", "RETURNING", "IS DISTINCT", "CASCADE", "TRUNCATE", "TEMP", ") IN ("]
                {
                    assert!(!statement.contains(word), "{word} in {statement}");
                }
            }
        }
    }
}
