//! Statements of checksums, for products that hash by themselves.

mod postgres;
mod redshift;
mod sqlite;

use crate::{
    model::{
        Origin,
        checksum::{CONTENT_DIGITS, ComparedColumn, Comparison, Form, Key, KeyRange, NULL, Selection, Term},
        table::system,
    },
    warehouse::{checksum::Part, plan::Layout},
};

pub(crate) use postgres::PostgresHashing;
pub(crate) use redshift::RedshiftHashing;
pub(crate) use sqlite::RowSql;

/// How names and values stand in conditions.
pub(crate) trait Literals: Send + Sync + std::fmt::Debug {
    /// A name as an identifier.
    fn name(&self, name: &str) -> String;
    /// A text.
    fn text(&self, text: &str) -> String;
    /// A key column's value as a literal.
    fn literal(&self, column: &ComparedColumn, token: &str) -> String;
}

/// Expressions of products that hash by themselves.
pub(crate) trait Hashing: Literals {
    /// Token of a quoted column; NULL for NULL.
    fn token(&self, column: &str, form: Form) -> String;
    /// A text, JSON or binary value in hexadecimal digits; NULL for NULL.
    fn whole(&self, column: &str, form: Form) -> String;
    /// SHA-256 of a text as 64 lower-case hexadecimal digits.
    fn sha256(&self, text: &str) -> String;
    /// BIGINT of up to 15 hexadecimal digits.
    fn number(&self, digits: &str) -> String;
    /// Exact sum of BIGINTs as text; `0` of none.
    fn sum(&self, number: &str) -> String;
}

/// Where the rows of an origin lie.
#[derive(Debug)]
pub(crate) struct Tables {
    /// Quoted names: the target, and its side table where it has one.
    pub(crate) names: Vec<String>,
    soft: bool,
}

impl Tables {
    pub(crate) fn new(layout: &Layout, target: String, side: String) -> Self {
        let names = if layout.global() { vec![target, side] } else { vec![target] };
        Self { names, soft: layout.soft() }
    }

    /// Conditions of the origin's live rows.
    fn own<L: Literals + ?Sized>(&self, literals: &L, origin: &Origin) -> Vec<String> {
        let mut own = vec![format!("{} = {}", literals.name(system::ORIGIN), literals.text(&origin.to_string()))];
        if self.soft {
            own.push(format!("NOT {}", literals.name(system::DELETED)));
        }
        own
    }

    /// `SELECT <columns>` of the target and of its side table.
    fn select(&self, columns: &str, conditions: &[String]) -> String {
        let one = |table: &String| format!("SELECT {columns} FROM {table} WHERE {}", conditions.join(" AND "));
        self.names.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ")
    }
}

/// Conditions of the keys in a range.
fn in_range<L: Literals + ?Sized>(literals: &L, comparison: &Comparison, range: &KeyRange) -> Vec<String> {
    let key: Vec<&ComparedColumn> = comparison.key_columns().collect();
    let term = |(place, relation, token): &Term<'_>| {
        let column = key.get(*place)?;
        Some(format!("{} {} {}", literals.name(&column.name), relation.operator(), literals.literal(column, token)))
    };
    let all = |terms: &Vec<Term<'_>>| format!("({})", terms.iter().filter_map(term).collect::<Vec<_>>().join(" AND "));
    let any = |any: &Vec<Vec<Term<'_>>>| format!("({})", any.iter().map(all).collect::<Vec<_>>().join(" OR "));
    range.clauses().iter().map(any).collect()
}

/// The condition of being one of some keys.
fn one_of<L: Literals + ?Sized>(literals: &L, comparison: &Comparison, keys: &[Key]) -> String {
    let columns: Vec<&ComparedColumn> = comparison.key_columns().collect();
    let one = |key: &Key| {
        let terms = columns.iter().zip(key);
        let terms = terms
            .map(|(column, token)| format!("{} = {}", literals.name(&column.name), literals.literal(column, token)));
        format!("({})", terms.collect::<Vec<_>>().join(" AND "))
    };
    format!("({})", keys.iter().map(one).collect::<Vec<_>>().join(" OR "))
}

/// Statements about one part.
#[derive(Debug)]
pub(crate) struct ChecksumSql<'a> {
    pub(crate) part: Part<'a>,
    pub(crate) tables: &'a Tables,
    pub(crate) hashing: &'a dyn Hashing,
}

impl ChecksumSql<'_> {
    fn comparison(&self) -> &Comparison {
        self.part.comparison
    }

    fn key(&self) -> Vec<&ComparedColumn> {
        self.part.comparison.key_columns().collect()
    }

    fn joined<'c>(&self, columns: impl IntoIterator<Item = (&'c ComparedColumn, Form)>) -> String {
        let token = |(column, form): (&ComparedColumn, Form)| {
            format!("COALESCE({}, '{NULL}')", self.hashing.token(&self.hashing.name(&column.name), form))
        };
        columns.into_iter().map(token).collect::<Vec<_>>().join(" || ',' || ")
    }

    fn row_digest(&self) -> String {
        let comparison = self.comparison();
        let packs: Vec<String> = comparison
            .packs()
            .into_iter()
            .map(|pack| {
                let columns = comparison.columns.get(pack).unwrap_or_default();
                self.hashing.sha256(&self.joined(columns.iter().map(|c| (c, comparison.form(c)))))
            })
            .collect();
        match &packs[..] {
            [digest] => digest.clone(),
            packs => self.hashing.sha256(&packs.join(" || ")),
        }
    }

    fn content(&self) -> String {
        self.hashing.number(&format!("LEFT({}, {CONTENT_DIGITS})", self.row_digest()))
    }

    fn bucket(&self, digits: usize) -> String {
        let text = self.joined(self.key().into_iter().map(|c| (c, Form::of_key(c.ty))));
        format!("LEFT({}, {digits})", self.hashing.sha256(&text))
    }

    fn key_tokens(&self) -> Vec<String> {
        self.key().into_iter().map(|c| self.hashing.token(&self.hashing.name(&c.name), Form::of_key(c.ty))).collect()
    }

    fn conditions(&self, selection: &Selection) -> Vec<String> {
        let mut conditions = self.tables.own(self.hashing, self.part.origin);
        conditions.extend(in_range(self.hashing, self.comparison(), &selection.range));
        if let Some(first) = selection.buckets.first() {
            let buckets: Vec<String> = selection.buckets.iter().map(|b| format!("'{b}'")).collect();
            conditions.push(format!("{} IN ({})", self.bucket(first.len()), buckets.join(", ")));
        }
        conditions
    }

    fn of_keys(&self, keys: &[Key]) -> Vec<String> {
        let mut conditions = self.tables.own(self.hashing, self.part.origin);
        conditions.push(one_of(self.hashing, self.comparison(), keys));
        conditions
    }

    /// Bucket, rows and sum of contents.
    pub(crate) fn groups(&self, selection: &Selection, digits: u8) -> String {
        let sum = self.hashing.sum("c");
        let content = self.content();
        let conditions = self.conditions(selection);
        if digits == 0 {
            let rows = self.tables.select(&format!("{content} AS c"), &conditions);
            return format!("SELECT '', CAST(COUNT(*) AS BIGINT), {sum} FROM ({rows}) AS r");
        }
        let rows = self.tables.select(&format!("{} AS b, {content} AS c", self.bucket(digits.into())), &conditions);
        format!("SELECT b, CAST(COUNT(*) AS BIGINT), {sum} FROM ({rows}) AS r GROUP BY b")
    }

    fn row_columns(&self) -> String {
        let own = [self.content(), self.hashing.name(system::SEQ)];
        own.into_iter().chain(self.key_tokens()).collect::<Vec<_>>().join(", ")
    }

    /// Content, seq, then the tokens of the key.
    pub(crate) fn rows(&self, selection: &Selection) -> String {
        self.tables.select(&self.row_columns(), &self.conditions(selection))
    }

    /// As [`rows`](Self::rows), of the given keys.
    pub(crate) fn rows_of(&self, keys: &[Key]) -> String {
        self.tables.select(&self.row_columns(), &self.of_keys(keys))
    }

    /// The compared columns of a key's row.
    pub(crate) fn values_of(&self, key: &Key) -> String {
        let comparison = self.comparison();
        let whole =
            comparison.columns.iter().map(|c| self.hashing.whole(&self.hashing.name(&c.name), comparison.form(c)));
        let columns = whole.collect::<Vec<_>>().join(", ");
        self.tables.select(&columns, &self.of_keys(std::slice::from_ref(key)))
    }
}
