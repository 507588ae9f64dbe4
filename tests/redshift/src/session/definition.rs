//! Tables, views, schemas and users: CREATE and DROP.

use sqlx::{AssertSqlSafe, Row};

use super::alter::style_of;
use super::errors::{CAP_CHECK, LENGTH_CHECK, translate};
use super::statement::done;
use super::{Outcome, Session};
use crate::catalog::{
    self, ColumnNote, describe_column, describe_schema, describe_table, quote_ident, quote_literal, sql_name,
};
use crate::sql::{
    self, ColumnSpec, Command, CreateTable, DistStyle, Key, KeyKind, Name, Shape, SortKind, TableAttributes,
};
use crate::{ColumnType, Refusal};

/// Most columns of a sort key (D23).
const SORT_COLUMNS_MAX: usize = 400;
/// Most columns of an interleaved one.
const INTERLEAVED_COLUMNS_MAX: usize = 8;
/// Digits with which a DECIMAL has 8 bytes, and more values than these hold.
const CAPPED_PRECISION: u8 = 19;

impl Session {
    pub(super) async fn define(&mut self, command: Command) -> Result<Outcome, Refusal> {
        self.server.definitions.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if let Command::AlterTable(alter) = &command {
            // Some of its actions mind the transaction.
            return self.alter_table(alter).await;
        }
        let enclosed = self.enter().await?;
        let result = self.define_inside(command).await;
        self.leave(enclosed, result).await
    }

    async fn define_inside(&mut self, command: Command) -> Result<Outcome, Refusal> {
        match command {
            Command::CreateTable(create) => self.create_table(&create).await,
            Command::DropTable { if_exists, names, cascade } => {
                self.drop_all("TABLE", if_exists, &names, cascade).await?;
                Ok(done("DROP TABLE"))
            }
            Command::CreateView { or_replace, name, query, late: true, .. } => {
                self.create_late_view(or_replace, &name, &query).await
            }
            Command::CreateView { or_replace, name, columns, query, .. } => {
                self.create_view(or_replace, &name, &columns, &query).await
            }
            Command::DropView { if_exists, names, cascade } => {
                self.drop_views(if_exists, &names, cascade).await?;
                Ok(done("DROP VIEW"))
            }
            Command::CreateSchema { if_not_exists, name, owner } => {
                let quoted = quote_ident(&sql_name(&name));
                let if_not_exists = if if_not_exists { "IF NOT EXISTS " } else { "" };
                let owner =
                    owner.map(|owner| format!(" AUTHORIZATION {}", quote_ident(&sql_name(&owner)))).unwrap_or_default();
                self.postgres(&format!("CREATE SCHEMA {if_not_exists}{quoted}{owner}")).await?;
                if sql_name(&name) != name {
                    self.postgres(&describe_schema(&name)).await?;
                }
                Ok(done("CREATE SCHEMA"))
            }
            Command::DropSchema { if_exists, name, cascade } => {
                let if_exists = if if_exists { "IF EXISTS " } else { "" };
                let cascade = if cascade { " CASCADE" } else { "" };
                self.postgres(&format!("DROP SCHEMA {if_exists}{}{cascade}", quote_ident(&sql_name(&name)))).await?;
                self.postgres(&format!("DELETE FROM tw_log.late_views WHERE schema_name = {}", quote_literal(&name)))
                    .await?;
                Ok(done("DROP SCHEMA"))
            }
            Command::CreateUser { name, password, superuser } => {
                let rights = if superuser { "SUPERUSER" } else { "NOSUPERUSER" };
                self.postgres(&format!("CREATE ROLE {} {rights}", quote_ident(&sql_name(&name)))).await?;
                if let Some(password) = password {
                    self.server.logins.set(&name, &password, None);
                }
                Ok(done("CREATE USER"))
            }
            Command::DropUser { if_exists, name } => {
                let if_exists = if if_exists { "IF EXISTS " } else { "" };
                self.postgres(&format!("DROP ROLE {if_exists}{}", quote_ident(&sql_name(&name)))).await?;
                self.server.logins.remove(&name);
                Ok(done("DROP USER"))
            }
            Command::Grant(text) => {
                self.postgres(&text).await?;
                Ok(done(text.split(' ').next().unwrap_or_default()))
            }
            _ => Err(Refusal::new("0A000", "this statement is not served by the stand-in")),
        }
    }

    pub(super) async fn drop_all(
        &mut self,
        what: &str,
        if_exists: bool,
        names: &[Name],
        cascade: bool,
    ) -> Result<(), Refusal> {
        let names: Vec<_> = names.iter().map(Self::sql_path).collect();
        let if_exists = if if_exists { "IF EXISTS " } else { "" };
        let cascade = if cascade { " CASCADE" } else { "" };
        self.postgres(&format!("DROP {what} {if_exists}{}{cascade}", names.join(", "))).await
    }

    /// The text of a query for PostgreSQL.
    fn rewrite_query(&self, query: &str) -> Result<String, Refusal> {
        let cursor = sql::Cursor::new(query, &self.scope())?;
        Ok(sql::rewrite(&sql::parse_query(&cursor)?, None, &self.values)?.sql)
    }

    /// The schema in which something new is made: without one, the first of the path.
    pub(super) fn schema_to_create(&self, name: &Name) -> String {
        let scope = self.scope();
        let mut first = scope.search_path.iter().filter(|schema| **schema != self.user);
        name.schema.clone().or_else(|| first.next().cloned()).unwrap_or_else(|| "public".to_owned())
    }

    /// PostgreSQL's name for something new.
    pub(super) fn path_to_create(&self, name: &Name) -> String {
        Self::sql_path(&Name { schema: Some(self.schema_to_create(name)), name: name.name.clone() })
    }

    async fn create_table(&mut self, create: &CreateTable) -> Result<Outcome, Refusal> {
        let path = if create.temporary {
            quote_ident(&sql_name(&create.name.name))
        } else {
            self.path_to_create(&create.name)
        };
        if create.if_not_exists && self.exists(&path, create.temporary).await? {
            let message = format!("Relation \"{}\" already exists and will be skipped", create.name.name);
            let mut outcome = done("CREATE TABLE");
            outcome.notices.push(super::Notice { severity: "INFO", code: "00000", message });
            return Ok(outcome);
        }
        let temporary = if create.temporary { "TEMPORARY " } else { "" };
        match &create.shape {
            Shape::Columns(columns, keys) => {
                self.create_with(&path, temporary, &create.name.name, columns, keys, &create.attributes).await?;
                Ok(done("CREATE TABLE"))
            }
            Shape::Like { parent, defaults } => {
                self.create_like(&path, temporary, &create.name.name, parent, *defaults).await?;
                Ok(done("CREATE TABLE"))
            }
            Shape::Query(names, query) => {
                self.create_as(&path, temporary, create, names, query).await?;
                Ok(done("SELECT"))
            }
        }
    }

    pub(super) async fn exists(&mut self, path: &str, temporary: bool) -> Result<bool, Refusal> {
        let situation = self.situation;
        let place = if temporary { format!("pg_temp.{path}") } else { path.to_owned() };
        let row = sqlx::query("SELECT pg_catalog.to_regclass($1) IS NOT NULL")
            .bind(place)
            .fetch_one(&mut self.connection)
            .await;
        row.and_then(|row| row.try_get(0)).map_err(|error| translate(&error, situation))
    }

    async fn create_with(
        &mut self,
        path: &str,
        temporary: &str,
        name: &str,
        columns: &[ColumnSpec],
        keys: &[Key],
        attributes: &TableAttributes,
    ) -> Result<(), Refusal> {
        let physical = Physical::new(columns, keys, attributes)?;
        let mut parts = Vec::with_capacity(columns.len());
        for (index, column) in columns.iter().enumerate() {
            parts.push(self.column_definition(column, index, physical.in_key(&column.name))?);
        }
        self.postgres(&format!("CREATE {temporary}TABLE {path} ({})", parts.join(", "))).await?;
        let mut notes = vec![describe_table(path, name, physical.style, physical.sortkind)];
        notes.extend(columns.iter().map(|column| physical.note(path, column)));
        self.postgres(&notes.join("; ")).await
    }

    /// A column for PostgreSQL's CREATE TABLE or ADD COLUMN. `place` makes the names of its checks different.
    pub(super) fn column_definition(&self, column: &ColumnSpec, place: usize, in_key: bool) -> Result<String, Refusal> {
        let name = quote_ident(&sql_name(&column.name));
        let mut text = format!("{name} {}", sql::sql_type(column.column_type));
        if let Some(default) = &column.default {
            // In brackets, because a bare call or cast would get its name as an alias.
            let query = self.rewrite_query(&format!("SELECT ({})", default.replace('\\', "\\\\")))?;
            let default = query.strip_prefix("SELECT ").unwrap_or(default);
            text.push_str(&format!(" DEFAULT {default}"));
        }
        if let Some((seed, step, by_default)) = column.identity {
            let when = if by_default { "BY DEFAULT" } else { "ALWAYS" };
            let sign = if step < 0 { format!(" MINVALUE {}", i64::MIN) } else { String::new() };
            text.push_str(&format!(" GENERATED {when} AS IDENTITY (START WITH {seed} INCREMENT BY {step}{sign})"));
        }
        // A primary key is not enforced, but its columns take no NULL.
        if column.not_null || in_key {
            text.push_str(" NOT NULL");
        }
        if let Some(check) = length_check(&name, column.column_type, place) {
            text.push_str(&check);
        }
        Ok(text)
    }

    async fn create_like(
        &mut self,
        path: &str,
        temporary: &str,
        name: &str,
        parent: &Name,
        defaults: bool,
    ) -> Result<(), Refusal> {
        let scope = self.scope();
        let parent = catalog::table(&mut self.connection, &scope, parent.schema.as_deref(), &parent.name).await?;
        let columns: Vec<_> = parent
            .columns
            .iter()
            .map(|column| ColumnSpec {
                name: column.name.clone(),
                column_type: column.column_type,
                not_null: !column.nullable,
                default: None,
                identity: None,
                encoding: Some(column.encoding.clone()).filter(|encoding| encoding != "none"),
                distkey: column.distkey,
                sortkey: false,
                key: None,
            })
            .collect();
        let mut sorted: Vec<_> = parent.columns.iter().filter(|column| column.sortkey > 0).collect();
        sorted.sort_by_key(|column| column.sortkey);
        let attributes = TableAttributes {
            diststyle: Some(style_of(&parent)).filter(|style| *style != DistStyle::Key),
            distkey: None,
            sortkey: sorted.iter().map(|column| column.name.clone()).collect(),
            sortkind: if sorted.is_empty() { SortKind::Auto } else { SortKind::Compound },
        };
        self.create_with(path, temporary, name, &columns, &[], &attributes).await?;
        if !defaults {
            return Ok(());
        }
        for column in parent.columns.iter() {
            if let Some(default) = &column.default {
                self.postgres(&format!("ALTER TABLE {path} ALTER COLUMN {} SET DEFAULT {default}", column.sql_name))
                    .await?;
            }
        }
        Ok(())
    }

    /// CREATE TABLE AS: types are the query's; a text of unknown length may have any.
    async fn create_as(
        &mut self,
        path: &str,
        temporary: &str,
        create: &CreateTable,
        names: &[String],
        query: &str,
    ) -> Result<(), Refusal> {
        let text = self.rewrite_query(query)?;
        let names: Vec<_> = names.iter().map(|name| quote_ident(&sql_name(name))).collect();
        let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
        self.postgres(&format!("CREATE {temporary}TABLE {path}{names} AS {text}")).await?;
        let situation = self.situation;
        let columns = "SELECT column_name, type_name, type_size, type_scale FROM tw_is.all_columns WHERE oid = $1::regclass ORDER BY attnum";
        let rows = sqlx::query(AssertSqlSafe(columns)).bind(path.to_owned()).fetch_all(&mut self.connection).await;
        let rows = rows.map_err(|error| translate(&error, situation))?;
        let mut columns = Vec::with_capacity(rows.len());
        for row in &rows {
            let read = || -> Result<_, sqlx::Error> {
                Ok((row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?, row.try_get(2)?, row.try_get(3)?))
            };
            let (name, kind, size, scale) = read().map_err(|error| translate(&error, situation))?;
            let unsupported = || {
                Refusal::new(
                    "0A000",
                    format!("Column \"{}.{name}\" has unsupported type \"{kind}\".", create.name.name),
                )
            };
            let column_type = ColumnType::from_catalog(&kind, size, scale).ok_or_else(unsupported)?;
            columns.push(ColumnSpec {
                name,
                column_type,
                not_null: false,
                default: None,
                identity: None,
                encoding: None,
                distkey: false,
                sortkey: false,
                key: None,
            });
        }
        let physical = Physical::new(&columns, &[], &create.attributes)?;
        let mut notes = vec![describe_table(path, &create.name.name, physical.style, physical.sortkind)];
        notes.extend(columns.iter().map(|column| physical.note(path, column)));
        self.postgres(&notes.join("; ")).await
    }
}

/// The check that stands for a length in bytes.
pub(super) fn length_check(name: &str, column_type: ColumnType, place: usize) -> Option<String> {
    let check = |kind: &str, n: u32, condition: &str| {
        format!(" CONSTRAINT {LENGTH_CHECK}{kind}_{n}_{place} CHECK ({condition})")
    };
    match column_type {
        ColumnType::Varchar(n) => Some(check("v", n, &format!("octet_length({name}) <= {n}"))),
        ColumnType::Varbyte(n) => Some(check("b", n, &format!("octet_length({name}) <= {n}"))),
        ColumnType::Char(n) => Some(check("c", n, &format!("octet_length({name}::text) = char_length({name}::text)"))),
        ColumnType::Decimal(CAPPED_PRECISION, s) => {
            Some(format!(" CONSTRAINT {CAP_CHECK}{place} CHECK (abs({name}) * 10::numeric ^ {s} <= {})", i64::MAX))
        }
        _ => None,
    }
}

/// Physical attributes, checked (D1).
struct Physical {
    style: DistStyle,
    distkey: Option<String>,
    sortkind: SortKind,
    sortkey: Vec<String>,
    key: Vec<String>,
    /// Columns of UNIQUE and foreign keys.
    constrained: Vec<String>,
}

impl Physical {
    fn new(columns: &[ColumnSpec], keys: &[Key], attributes: &TableAttributes) -> Result<Self, Refusal> {
        let marked: Vec<_> = columns.iter().filter(|column| column.distkey).map(|column| column.name.clone()).collect();
        let distkey = attributes.distkey.clone().or_else(|| marked.first().cloned());
        if marked.len() + usize::from(attributes.distkey.is_some()) > 1 {
            return Err(Refusal::new("42611", "multiple distkeys are not allowed"));
        }
        let style = match (attributes.diststyle, &distkey) {
            (None, Some(_)) | (Some(DistStyle::Key), Some(_)) => DistStyle::Key,
            (Some(DistStyle::Key), None) => return Err(Refusal::new("42611", "DISTSTYLE KEY needs a DISTKEY")),
            (Some(_), Some(_)) => return Err(Refusal::new("42611", "DISTKEY is only allowed with DISTSTYLE KEY")),
            (style, None) => style.unwrap_or_default(),
        };
        let mut sortkey = attributes.sortkey.clone();
        let mut sortkind = attributes.sortkind;
        if sortkey.is_empty() {
            sortkey = columns.iter().filter(|column| column.sortkey).map(|column| column.name.clone()).collect();
            if !sortkey.is_empty() {
                sortkind = SortKind::Compound;
            }
        }
        let most = if sortkind == SortKind::Interleaved { INTERLEAVED_COLUMNS_MAX } else { SORT_COLUMNS_MAX };
        if sortkey.len() > most {
            return Err(Refusal::new("54011", format!("a sort key can have at most {most} columns")));
        }
        let mut key: Vec<_> =
            columns.iter().filter(|c| c.key == Some(KeyKind::Primary)).map(|c| c.name.clone()).collect();
        let mut constrained: Vec<_> = columns
            .iter()
            .filter(|c| matches!(c.key, Some(KeyKind::Unique | KeyKind::Foreign)))
            .map(|c| c.name.clone())
            .collect();
        for found in keys {
            if found.kind == KeyKind::Primary {
                if !key.is_empty() {
                    return Err(Refusal::new("42P16", "multiple primary keys are not allowed"));
                }
                key = found.columns.clone();
            } else {
                constrained.extend(found.columns.iter().cloned());
            }
            found.columns.iter().try_for_each(|name| find(columns, name).map(drop))?;
        }
        for name in distkey.iter().chain(&sortkey) {
            if find(columns, name)?.column_type == ColumnType::Super {
                return Err(Refusal::new(
                    "0A000",
                    format!("SUPER column \"{name}\" cannot be a distribution or sort key"),
                ));
            }
        }
        Ok(Self { style, distkey, sortkind, sortkey, key, constrained })
    }

    fn in_key(&self, column: &str) -> bool {
        self.key.iter().any(|name| name == column)
    }

    fn note(&self, path: &str, column: &ColumnSpec) -> String {
        let place = self.sortkey.iter().position(|name| *name == column.name).map_or(0, |at| at + 1);
        describe_column(
            path,
            &ColumnNote {
                name: &column.name,
                column_type: column.column_type,
                identity: column.identity.is_some(),
                encoding: column.encoding.as_deref().unwrap_or("none"),
                distkey: self.distkey.as_deref() == Some(&column.name),
                sortkey: place,
                in_key: self.in_key(&column.name),
                constrained: self.constrained.contains(&column.name),
            },
        )
    }
}

fn find<'a>(columns: &'a [ColumnSpec], name: &str) -> Result<&'a ColumnSpec, Refusal> {
    let missing = || Refusal::new("42703", format!("column \"{name}\" named in key does not exist"));
    columns.iter().find(|column| column.name == name).ok_or_else(missing)
}
