//! Statements of checksums. All are plain reads of one table.
//!
//! Every text is a number, hexadecimal digits or `CONVERT(… USING utf8mb4)`, so that no two collations meet.

use crate::{
    model::{
        ColumnType,
        checksum::{
            CONTENT_DIGITS, ComparedColumn, Comparison, Form, Key, KeyRange, NULL, Selection, Term, float_of, hex,
            text_of,
        },
    },
    source::mysql::checksum::SourceTable,
};

/// What a session is set to, statement by statement. TIMESTAMP as UTC, dates that are none readable, text as UTF-8. READ COMMITTED
/// keeps no read view beyond a statement. A metadata lock is waited for briefly: an ALTER behind which we queue would make
/// the application queue too. The last two lift a bound on statements, each where the server knows it.
pub(super) const SESSION: [&str; 5] = [
    "SET NAMES utf8mb4",
    "SET SESSION time_zone = '+00:00', SESSION sql_mode = '', SESSION lock_wait_timeout = 10, SESSION net_write_timeout = 600",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION max_execution_time = 0",
    "SET SESSION max_statement_time = 0",
];

/// Which of [`SESSION`] every supported server knows.
pub(super) const SESSION_REQUIRED: usize = 3;

/// Index name and column of each unique index, by index and place: `(database, table)`.
pub(super) const UNIQUE_INDEXES: &str = "SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS \
     WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 AND COLUMN_NAME IS NOT NULL \
     ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX";

/// Estimated rows: `(database, table)`.
pub(super) const ESTIMATED_ROWS: &str =
    "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?";

fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Expression of a value's token; NULL for NULL.
fn token(column: &ComparedColumn, form: Form) -> String {
    let c = quote(&column.name);
    // A part that is zero, and a day that is not in its month. LAST_DAY is NULL where the month is 0.
    let dated = |text: String| {
        format!("IF(YEAR({c}) > 0 AND DAYOFMONTH({c}) BETWEEN 1 AND DAYOFMONTH(LAST_DAY({c})), {text}, NULL)")
    };
    let utf8 = format!("CONVERT({c} USING utf8mb4)");
    match form {
        Form::Boolean => format!("CASE WHEN {c} <> 0 THEN '1' WHEN {c} = 0 THEN '0' END"),
        // Adding makes numbers of YEAR and BIT and takes ZEROFILL's zeros away.
        Form::Integer => format!("CAST({c} + 0 AS CHAR)"),
        Form::Decimal { precision, scale } => format!("CAST(CAST({c} + 0 AS DECIMAL({precision}, {scale})) AS CHAR)"),
        // The one function that shows the bits of a double: a point's, behind SRID (4), byte order (1) and type (4).
        Form::Float => format!("LOWER(HEX(REVERSE(SUBSTR(POINT({c} + 0e0, 0), 10, 8))))"),
        Form::Date => dated(format!("CAST({c} AS CHAR)")),
        Form::Instant => dated(format!("DATE_FORMAT({c}, '%Y-%m-%d %H:%i:%s.%f')")),
        Form::Text => format!("CONCAT(LENGTH({utf8}), ':', {utf8})"),
        Form::TextDigest | Form::JsonText => format!("SHA2({utf8}, 256)"),
        Form::JsonKind => format!(
            "CASE WHEN {c} IS NULL THEN NULL ELSE CASE JSON_TYPE({c}) WHEN 'OBJECT' THEN 'o' WHEN 'ARRAY' THEN 'a' \
             WHEN 'BOOLEAN' THEN 'b' WHEN 'NULL' THEN 'z' WHEN 'INTEGER' THEN 'n' WHEN 'UNSIGNED INTEGER' THEN 'n' \
             WHEN 'DOUBLE' THEN 'n' WHEN 'DECIMAL' THEN 'n' ELSE 's' END END"
        ),
        Form::Bytes => format!("LOWER(HEX({c}))"),
        Form::BytesDigest => format!("SHA2({c}, 256)"),
    }
}

/// Hexadecimal digits of what a text, JSON or binary value is as the decoder reads it: character sets that are UTF-8 as they stand
/// are not converted, so that invalid bytes are seen.
fn whole_value(column: &ComparedColumn, form: Form) -> String {
    let c = quote(&column.name);
    match (form, column.ty) {
        (Form::JsonKind, _) => token(column, form),
        (_, ColumnType::Binary { .. }) => format!("LOWER(HEX({c}))"),
        (_, ColumnType::Text { .. } | ColumnType::Json) => format!(
            "LOWER(HEX(IF(CHARSET({c}) IN ('utf8mb4', 'utf8mb3', 'utf8', 'ascii'), CAST({c} AS BINARY), \
             CAST(CONVERT({c} USING utf8mb4) AS BINARY))))"
        ),
        _ => token(column, form),
    }
}

fn joined(tokens: impl Iterator<Item = String>) -> String {
    let tokens: Vec<String> = tokens.map(|token| format!("COALESCE({token}, '{NULL}')")).collect();
    format!("CONCAT_WS(',', {})", tokens.join(", "))
}

/// Expression of a row's digest.
fn row_digest(comparison: &Comparison) -> String {
    let packs: Vec<String> = comparison
        .packs()
        .into_iter()
        .map(|pack| {
            let columns = comparison.columns.get(pack).unwrap_or_default();
            format!("SHA2({}, 256)", joined(columns.iter().map(|c| token(c, comparison.form(c)))))
        })
        .collect();
    match &packs[..] {
        [digest] => digest.clone(),
        packs => format!("SHA2(CONCAT({}), 256)", packs.join(", ")),
    }
}

/// Expression of a row's content.
fn content(comparison: &Comparison) -> String {
    format!("CAST(CONV(LEFT({}, {CONTENT_DIGITS}), 16, 10) AS UNSIGNED)", row_digest(comparison))
}

fn key_tokens(comparison: &Comparison) -> Vec<String> {
    comparison.key_columns().map(|c| token(c, Form::of_key(c.ty))).collect()
}

/// Expression of the key's bucket.
fn bucket(comparison: &Comparison, digits: usize) -> String {
    format!("LEFT(SHA2({}, 256), {digits})", joined(key_tokens(comparison).into_iter()))
}

/// A value of a key column as a literal that an index can be searched with.
fn literal(column: &ComparedColumn, token: &str) -> String {
    match Form::of_key(column.ty) {
        Form::Date | Form::Instant => format!("'{token}'"),
        Form::Float => format!("{:e}", float_of(token).unwrap_or_default()),
        Form::Bytes => format!("X'{token}'"),
        // A decimal of more digits than any warehouse has is a number here.
        Form::Text if column.source.starts_with("decimal") => text_of(token).to_owned(),
        // Coerced to the column's character set and collation.
        Form::Text => format!("_utf8mb4 X'{}'", hex(text_of(token).as_bytes())),
        _ => token.to_owned(),
    }
}

fn term(columns: &[&ComparedColumn], (place, relation, token): &Term<'_>) -> Option<String> {
    let column = columns.get(*place)?;
    Some(format!("{} {} {}", quote(&column.name), relation.operator(), literal(column, token)))
}

fn range_conditions(comparison: &Comparison, range: &KeyRange) -> Vec<String> {
    let columns: Vec<&ComparedColumn> = comparison.key_columns().collect();
    let all = |terms: &Vec<Term<'_>>| terms.iter().filter_map(|t| term(&columns, t)).collect::<Vec<_>>().join(" AND ");
    let clauses = range.clauses();
    clauses
        .iter()
        .map(|any| format!("({})", any.iter().map(|t| format!("({})", all(t))).collect::<Vec<_>>().join(" OR ")))
        .collect()
}

fn conditions(table: &SourceTable, selection: &Selection) -> String {
    let mut conditions = range_conditions(&table.comparison, &selection.range);
    if let Some(first) = selection.buckets.first() {
        let buckets: Vec<String> = selection.buckets.iter().map(|b| format!("'{b}'")).collect();
        conditions.push(format!("{} IN ({})", bucket(&table.comparison, first.len()), buckets.join(", ")));
    }
    clause(&conditions)
}

fn clause(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
}

fn from(table: &SourceTable) -> String {
    let place = format!("{}.{}", quote(&table.database), quote(&table.table));
    match &table.index {
        // Ranges are cut along this index; a planner that prefers another one would read the table for each of them.
        Some(index) => format!("{place} FORCE INDEX ({})", quote(index)),
        None => place,
    }
}

/// Bucket, rows and sum of contents; one row with an empty bucket for no digits.
pub(super) fn groups(table: &SourceTable, selection: &Selection, digits: u8) -> String {
    let (from, conditions) = (from(table), conditions(table, selection));
    let content = content(&table.comparison);
    if digits == 0 {
        return format!("SELECT '', COUNT(*), CAST(COALESCE(SUM({content}), 0) AS CHAR) FROM {from}{conditions}");
    }
    let bucket = bucket(&table.comparison, digits.into());
    format!(
        "SELECT b, COUNT(*), CAST(SUM(c) AS CHAR) FROM (SELECT {bucket} AS b, {content} AS c FROM {from}{conditions}) AS r \
         GROUP BY b"
    )
}

/// Content, then the tokens of the key.
pub(super) fn rows(table: &SourceTable, selection: &Selection) -> String {
    let columns = [content(&table.comparison)].into_iter().chain(key_tokens(&table.comparison));
    format!("SELECT {} FROM {}{}", columns.collect::<Vec<_>>().join(", "), from(table), conditions(table, selection))
}

fn key_conditions(table: &SourceTable, keys: &[Key]) -> String {
    let columns: Vec<&ComparedColumn> = table.comparison.key_columns().collect();
    if let [column] = &columns[..] {
        let values: Vec<String> = keys.iter().filter_map(|k| Some(literal(column, k.first()?))).collect();
        return format!(" WHERE {} IN ({})", quote(&column.name), values.join(", "));
    }
    let one = |key: &Key| {
        let terms = columns.iter().zip(key).map(|(c, token)| format!("{} = {}", quote(&c.name), literal(c, token)));
        format!("({})", terms.collect::<Vec<_>>().join(" AND "))
    };
    format!(" WHERE {}", keys.iter().map(one).collect::<Vec<_>>().join(" OR "))
}

/// The condition of having exactly a key: found by the index, then compared byte by byte.
pub(super) fn exactly(key: &[ComparedColumn], tokens: &Key) -> String {
    let found = key.iter().zip(tokens).map(|(c, t)| format!("{} = {}", quote(&c.name), literal(c, t)));
    let text = |(c, t): (&ComparedColumn, &String)| {
        let bytes = hex(text_of(t).as_bytes());
        let same = format!("CAST(CONVERT({} USING utf8mb4) AS BINARY) = X'{bytes}'", quote(&c.name));
        (Form::of_key(c.ty) == Form::Text).then_some(same)
    };
    found.chain(key.iter().zip(tokens).filter_map(text)).collect::<Vec<_>>().join(" AND ")
}

/// As [`rows`], of the given keys.
pub(super) fn rows_of(table: &SourceTable, keys: &[Key]) -> String {
    let columns = [content(&table.comparison)].into_iter().chain(key_tokens(&table.comparison));
    format!("SELECT {} FROM {}{}", columns.collect::<Vec<_>>().join(", "), from(table), key_conditions(table, keys))
}

/// Tokens of the key, then each column: text and bytes as hexadecimal digits of the whole value, the rest as tokens.
pub(super) fn values_of(table: &SourceTable, keys: &[Key]) -> String {
    let comparison = &table.comparison;
    let values = comparison.columns.iter().map(|c| whole_value(c, comparison.form(c)));
    let columns = key_tokens(comparison).into_iter().chain(values).collect::<Vec<_>>();
    format!("SELECT {} FROM {}{}", columns.join(", "), from(table), key_conditions(table, keys))
}

/// Tokens of the leading `columns` key columns of the `rows`-th row behind `after`.
pub(super) fn bound(table: &SourceTable, after: Option<&Key>, columns: usize, rows: u64) -> String {
    let range = KeyRange { after: after.cloned(), through: None };
    let key: Vec<&ComparedColumn> = table.comparison.key_columns().take(columns).collect();
    let tokens: Vec<String> = key.iter().map(|c| token(c, Form::of_key(c.ty))).collect();
    let order: Vec<String> = key.iter().map(|c| quote(&c.name)).collect();
    format!(
        "SELECT {} FROM {}{} ORDER BY {} LIMIT 1 OFFSET {}",
        tokens.join(", "),
        from(table),
        clause(&range_conditions(&table.comparison, &range)),
        order.join(", "),
        rows.saturating_sub(1)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn table() -> SourceTable {
        let column =
            |name: &str, ty, source: &str| ComparedColumn { name: name.to_owned(), ty, source: source.to_owned() };
        let text = ColumnType::Text { bytes_max: Some(40) };
        SourceTable {
            database: "shop".to_owned(),
            table: "o`r".to_owned(),
            index: Some("PRIMARY".to_owned()),
            comparison: Arc::new(Comparison {
                columns: vec![column("id", ColumnType::Int64, "bigint"), column("code", text, "varchar[40 bytes]")],
                key: vec![0, 1],
                json_text: true,
            }),
        }
    }

    #[test]
    fn values_stand_in_statements_as_literals_that_cannot_end_them() {
        let key = vec!["7".to_owned(), "4:a'`\\".to_owned()];
        let sql = rows_of(&table(), &[key]);
        assert!(sql.ends_with("WHERE (`id` = 7 AND `code` = _utf8mb4 X'6127605c')"), "{sql}");
        assert!(sql.contains("`shop`.`o``r` FORCE INDEX (`PRIMARY`)"), "{sql}");
    }

    #[test]
    fn a_bound_is_found_by_walking_the_index() {
        let after = vec!["7".to_owned()];
        let sql = bound(&table(), Some(&after), 1, 1000);
        assert!(sql.ends_with("WHERE ((`id` > 7)) ORDER BY `id` LIMIT 1 OFFSET 999"), "{sql}");
    }
}
