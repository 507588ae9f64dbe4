//! Checksums of SQLite's rows, computed here: SQLite has no hash function, and it runs in this process anyway.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Row, TypeInfo, ValueRef,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow},
};

use crate::{
    model::{
        ColumnType, Target,
        checksum::{
            self, ComparedColumn, Form, Group, Key, RowDigest, Selection, float_token, hex, sha256, text_token,
        },
    },
    warehouse::{
        WarehouseError,
        checksum::{
            Checksums, ComparedTarget, Part,
            sql::{RowSql, Tables},
        },
        error::{Failure, FailureKind},
        session::Session,
        sql::TableSql,
        table,
    },
};

use super::{
    client::{SqliteSession, classify},
    sql,
    sql::SqliteDialect,
};

/// Keys in one statement: SQLite's expressions may be 1000 deep.
const KEYS_MAX: usize = 200;

const WHAT: &str = "compute checksums";

/// A connection that only reads.
#[derive(Debug)]
pub(super) struct SqliteChecksums {
    session: SqliteSession,
    rows: SqliteConnection,
    tables: HashMap<Target, Tables>,
}

impl SqliteChecksums {
    pub(super) async fn open(options: &SqliteConnectOptions) -> Result<Self, Failure> {
        let options = options.clone().create_if_missing(false).read_only(true);
        let session = SqliteSession::connect(&options).await?;
        let rows = options.connect().await.map_err(|e| classify(&e))?;
        Ok(Self { session, rows, tables: HashMap::new() })
    }

    /// Hands every row of a statement to `take`: its seq and its values.
    async fn each(
        &mut self,
        part: Part<'_>,
        statement: String,
        mut take: impl FnMut(i64, Stored<'_>) -> Option<()>,
    ) -> Result<(), WarehouseError> {
        let mut rows = sqlx::query(AssertSqlSafe(statement)).persistent(false).fetch(&mut self.rows);
        let failed = |e: sqlx::Error| classify(&e).in_table(part.target, WHAT);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            let seq = row.try_get(0).map_err(failed)?;
            take(seq, Stored { row: &row, part }).ok_or_else(|| {
                Failure::new(FailureKind::Data, "a value has another type than its column").in_table(part.target, WHAT)
            })?;
        }
        Ok(())
    }

    fn sql<'a>(&'a self, part: Part<'a>) -> Result<RowSql<'a>, WarehouseError> {
        let unknown =
            || WarehouseError::fatal(format!("compute checksums of {}, which was not asked for", part.target));
        Ok(RowSql { part, tables: self.tables.get(part.target).ok_or_else(unknown)? })
    }
}

/// A row as it is stored.
struct Stored<'a> {
    row: &'a SqliteRow,
    part: Part<'a>,
}

impl Stored<'_> {
    /// The value of a compared column in a form; `None` for a value that its type cannot have.
    fn token(&self, index: usize, form: Form) -> Option<String> {
        Some(self.value(index, form, false)?.unwrap_or_else(|| checksum::NULL.to_owned()))
    }

    /// As [`token`](Self::token), with texts and bytes whole in hexadecimal digits if asked for, and NULL as `None`.
    fn value(&self, index: usize, form: Form, whole: bool) -> Option<Option<String>> {
        let place = index + 1;
        let raw = self.row.try_get_raw(place).ok()?;
        if raw.is_null() {
            return Some(None);
        }
        let text = || self.row.try_get_unchecked::<&str, _>(place).ok();
        let bytes = || self.row.try_get_unchecked::<&[u8], _>(place).ok();
        Some(Some(match form {
            Form::Boolean => if self.row.try_get_unchecked::<i64, _>(place).ok()? == 0 { "0" } else { "1" }.to_owned(),
            Form::Integer => self.row.try_get_unchecked::<i64, _>(place).ok()?.to_string(),
            // A whole number may be stored as an integer.
            Form::Float if raw.type_info().name() == "INTEGER" => {
                float_token(self.row.try_get_unchecked::<i64, _>(place).ok()? as f64)
            }
            Form::Float => float_token(self.row.try_get_unchecked::<f64, _>(place).ok()?),
            Form::Decimal { .. } | Form::Date | Form::Instant => text()?.to_owned(),
            Form::Text | Form::TextDigest | Form::JsonText | Form::JsonKind if whole => hex(text()?.as_bytes()),
            Form::Text => text_token(text()?),
            Form::TextDigest | Form::JsonText | Form::JsonKind => sha256(text()?.as_bytes()),
            Form::Bytes => hex(bytes()?),
            Form::BytesDigest if whole => hex(bytes()?),
            Form::BytesDigest => sha256(bytes()?),
        }))
    }

    fn key(&self) -> Option<Key> {
        let comparison = self.part.comparison;
        let token = |index: &usize| self.token(*index, Form::of_key(comparison.columns.get(*index)?.ty));
        comparison.key.iter().map(token).collect()
    }

    fn content(&self) -> Option<u64> {
        let comparison = self.part.comparison;
        let token = |(index, column): (usize, &ComparedColumn)| self.token(index, comparison.form(column));
        let tokens: Vec<String> = comparison.columns.iter().enumerate().map(token).collect::<Option<_>>()?;
        Some(comparison.content(&tokens))
    }

    fn digest(&self, seq: i64) -> Option<RowDigest> {
        Some(RowDigest { key: self.key()?, content: self.content()?, seq: Some(seq) })
    }
}

#[async_trait]
impl Checksums for SqliteChecksums {
    async fn target(&mut self, target: &Target) -> Result<Option<ComparedTarget>, WarehouseError> {
        if self.session.query(&sql::state_exists()).await.map_err(|f| f.in_table(target, WHAT))?.is_empty() {
            return Ok(None);
        }
        let Some(layout) = table::look(&mut self.session, &SqliteDialect, target).await? else { return Ok(None) };
        let sql = TableSql::new(&layout, &SqliteDialect);
        let tables = Tables::new(&layout, sql.target, sql.side);
        self.tables.insert(target.clone(), tables);
        // Decimals are text there, which sorts otherwise.
        let ordered = |ty| Form::of_key(ty).orders_alike() && !matches!(ty, ColumnType::Decimal { .. });
        Ok(Some(ComparedTarget::of(&layout, true, ordered)))
    }

    async fn groups(
        &mut self,
        part: Part<'_>,
        selection: &Selection,
        digits: u8,
    ) -> Result<Vec<Group>, WarehouseError> {
        let statement = self.sql(part)?.range(&selection.range);
        let wanted = selection.buckets.first().map(String::len);
        let mut groups: BTreeMap<String, (u64, u128)> = BTreeMap::new();
        self.each(part, statement, |_, row| {
            let needed = usize::from(digits).max(wanted.unwrap_or_default());
            let mut bucket = String::new();
            if needed > 0 {
                bucket = checksum::bucket(&row.key()?, u8::try_from(needed).ok()?);
                if wanted.is_some_and(|w| !bucket.get(..w).is_some_and(|b| selection.buckets.contains(b))) {
                    return Some(());
                }
                bucket.truncate(digits.into());
            }
            let group = groups.entry(bucket).or_default();
            group.0 += 1;
            group.1 += u128::from(row.content()?);
            Some(())
        })
        .await?;
        if digits == 0 && groups.is_empty() {
            groups.insert(String::new(), (0, 0));
        }
        Ok(groups.into_iter().map(|(bucket, (rows, sum))| Group { bucket, rows, sum }).collect())
    }

    async fn rows(&mut self, part: Part<'_>, selection: &Selection) -> Result<Vec<RowDigest>, WarehouseError> {
        let statement = self.sql(part)?.range(&selection.range);
        let digits = selection.buckets.first().map_or(0, String::len);
        let mut found = Vec::new();
        self.each(part, statement, |seq, row| {
            let mine =
                digits == 0 || selection.buckets.contains(&checksum::bucket(&row.key()?, u8::try_from(digits).ok()?));
            if mine {
                found.push(row.digest(seq)?);
            }
            Some(())
        })
        .await?;
        Ok(found)
    }

    async fn rows_of(&mut self, part: Part<'_>, keys: &[Key]) -> Result<Vec<RowDigest>, WarehouseError> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(KEYS_MAX) {
            let statement = self.sql(part)?.keys(keys);
            self.each(part, statement, |seq, row| {
                found.push(row.digest(seq)?);
                Some(())
            })
            .await?;
        }
        Ok(found)
    }

    async fn values_of(&mut self, part: Part<'_>, key: &Key) -> Result<Option<Vec<Option<String>>>, WarehouseError> {
        let statement = self.sql(part)?.keys(std::slice::from_ref(key));
        let mut found = None;
        self.each(part, statement, |_, row| {
            let comparison = part.comparison;
            let value = |(index, column): (usize, &ComparedColumn)| row.value(index, comparison.form(column), true);
            found = Some(comparison.columns.iter().enumerate().map(value).collect::<Option<Vec<_>>>()?);
            Some(())
        })
        .await?;
        Ok(found)
    }
}
