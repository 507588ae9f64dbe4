//! ALTER TABLE (D4), and the check of declared keys (D3).

use sqlx::{AssertSqlSafe, Row};

use super::definition::length_check;
use super::errors::{CAP_CHECK, LENGTH_CHECK, translate};
use super::statement::done;
use super::{Outcome, Session};
use crate::catalog::{self, Column, ColumnNote, Table, describe_column, describe_table, quote_ident, sql_name};
use crate::sql::{AlterAction, AlterTable, ColumnSpec, DistStyle, Key, KeyKind, Name, SortKind};
use crate::{ColumnType, Refusal};

/// Most columns of a table (D23).
const COLUMNS_MAX: usize = 1_600;

impl Session {
    pub(super) async fn alter_table(&mut self, alter: &AlterTable) -> Result<Outcome, Refusal> {
        match &alter.action {
            AlterAction::SetType { .. } => self.outside_only("ALTER TABLE ALTER COLUMN")?,
            AlterAction::Append { .. } => self.outside_only("ALTER TABLE APPEND")?,
            _ => {}
        }
        let enclosed = self.enter().await?;
        let result = self.alter_inside(alter).await;
        self.leave(enclosed, result).await?;
        Ok(done("ALTER TABLE"))
    }

    async fn alter_inside(&mut self, alter: &AlterTable) -> Result<(), Refusal> {
        // Exclusive until the end of the transaction.
        self.postgres(&format!("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE", Self::sql_path(&alter.name))).await?;
        let scope = self.scope();
        let table =
            catalog::table(&mut self.connection, &scope, alter.name.schema.as_deref(), &alter.name.name).await?;
        let path = table.sql_name.clone();
        match &alter.action {
            AlterAction::AddColumn(column) => self.add_column(&table, column).await,
            AlterAction::DropColumn { column, cascade } => {
                let found = find(&table, column)?;
                if found.distkey || found.sortkey > 0 || found.in_key {
                    return Err(Refusal::new(
                        "0A000",
                        format!(
                            "cannot drop column \"{column}\": it is part of the distribution key, sort key or primary key"
                        ),
                    ));
                }
                let cascade = if *cascade { " CASCADE" } else { "" };
                self.postgres(&format!("ALTER TABLE {path} DROP COLUMN {}{cascade}", found.sql_name)).await
            }
            AlterAction::RenameTo(to) => self.rename_table(&table, to).await,
            AlterAction::RenameColumn { from, to } => self.rename_column(&table, from, to).await,
            AlterAction::SetType { column, to } => self.set_type(&table, column, *to).await,
            AlterAction::Encode { column, encoding } => {
                let found = find(&table, column)?;
                self.note(&table, &Column { encoding: encoding.clone(), ..found.clone() }).await
            }
            AlterAction::DistStyle(style) => {
                for column in table.columns.iter().filter(|column| column.distkey) {
                    self.note(&table, &Column { distkey: false, ..column.clone() }).await?;
                }
                self.note_table(&table, *style).await
            }
            AlterAction::DistKey(key) => {
                not_super(find(&table, key)?)?;
                for column in &table.columns {
                    self.note(&table, &Column { distkey: column.name == *key, ..column.clone() }).await?;
                }
                self.note_table(&table, DistStyle::Key).await
            }
            AlterAction::SortKey { interleaved, columns } => {
                let kind = if *interleaved { SortKind::Interleaved } else { SortKind::Compound };
                self.set_sortkey(&table, columns, kind).await
            }
            AlterAction::SortNone => self.set_sortkey(&table, &[], SortKind::Auto).await,
            AlterAction::AddKey(key) => self.add_key(&table, key).await,
            AlterAction::Nothing => Ok(()),
            AlterAction::OwnerTo(owner) => {
                self.postgres(&format!("ALTER TABLE {path} OWNER TO {}", quote_ident(&sql_name(owner)))).await
            }
            AlterAction::Append { source, ignore_extra, fill_target } => {
                self.append(&table, source, *ignore_extra, *fill_target).await
            }
        }
    }

    async fn add_column(&mut self, table: &Table, column: &ColumnSpec) -> Result<(), Refusal> {
        if table.columns.len() >= COLUMNS_MAX {
            return Err(Refusal::new("54011", format!("tables can have at most {COLUMNS_MAX} columns")));
        }
        let place = self.next_place(table).await?;
        let definition = self.column_definition(column, place, false)?;
        self.postgres(&format!("ALTER TABLE {} ADD COLUMN {definition}", table.sql_name)).await?;
        let note = ColumnNote {
            name: &column.name,
            column_type: column.column_type,
            identity: false,
            encoding: column.encoding.as_deref().unwrap_or("none"),
            distkey: false,
            sortkey: 0,
            in_key: false,
            constrained: false,
        };
        self.postgres(&describe_column(&table.sql_name, &note)).await
    }

    /// A number that no column of the table has had.
    async fn next_place(&mut self, table: &Table) -> Result<usize, Refusal> {
        let situation = self.situation;
        let query = "SELECT relnatts::integer FROM pg_catalog.pg_class WHERE oid = $1::bigint::oid";
        let row = sqlx::query(AssertSqlSafe(query)).bind(table.oid).fetch_one(&mut self.connection).await;
        let count: i32 = row.and_then(|row| row.try_get(0)).map_err(|error| translate(&error, situation))?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    async fn rename_table(&mut self, table: &Table, to: &str) -> Result<(), Refusal> {
        self.postgres(&format!("ALTER TABLE {} RENAME TO {}", table.sql_name, quote_ident(&sql_name(to)))).await?;
        let path = Self::sql_path(&Name { schema: Some(table.schema.clone()), name: to.to_owned() });
        self.postgres(&describe_table(&path, to, style_of(table), sort_of(table))).await
    }

    async fn rename_column(&mut self, table: &Table, from: &str, to: &str) -> Result<(), Refusal> {
        let found = find(table, from)?;
        let quoted = quote_ident(&sql_name(to));
        self.postgres(&format!("ALTER TABLE {} RENAME COLUMN {} TO {quoted}", table.sql_name, found.sql_name)).await?;
        self.note(table, &Column { name: to.to_owned(), sql_name: quoted, ..found.clone() }).await
    }

    /// Only VARCHAR to another length.
    async fn set_type(&mut self, table: &Table, name: &str, to: ColumnType) -> Result<(), Refusal> {
        const FIXED: &[&str] = &["bytedict", "runlength", "text255", "text32k"];
        let found = find(table, name)?;
        let unsupported = |why: &str| {
            Refusal::new("0A000", format!("cannot alter column \"{name}\" of relation \"{}\", {why}", table.name))
        };
        let (ColumnType::Varchar(old), ColumnType::Varchar(new)) = (found.column_type, to) else {
            return Err(unsupported("only the size of VARCHAR columns can be altered"));
        };
        if old == new {
            return Err(unsupported("target column size should be different"));
        }
        if found.in_key || found.constrained || found.default.is_some() {
            return Err(unsupported("columns with a DEFAULT, PRIMARY KEY, UNIQUE or FOREIGN KEY cannot be altered"));
        }
        if FIXED.contains(&found.encoding.as_str()) {
            return Err(unsupported(&format!("columns with encoding {} cannot be altered", found.encoding)));
        }
        let place = self.drop_check(table, found).await?;
        let check = length_check(&found.sql_name, to, place).unwrap_or_default();
        let added = self.postgres(&format!("ALTER TABLE {} ADD{check}", table.sql_name)).await;
        added.map_err(|_| {
            Refusal::new(
                "22001",
                format!("cannot alter column \"{name}\": target column size is smaller than its data"),
            )
        })?;
        self.note(table, &Column { column_type: to, ..found.clone() }).await
    }

    /// Drops the check of a column's length; returns the column's place.
    async fn drop_check(&mut self, table: &Table, column: &Column) -> Result<usize, Refusal> {
        let situation = self.situation;
        let query = "SELECT c.conname::text, a.attnum::integer FROM pg_catalog.pg_attribute a \
            LEFT JOIN pg_catalog.pg_constraint c ON c.conrelid = a.attrelid AND c.contype = 'c' AND c.conkey = ARRAY[a.attnum] \
                AND (starts_with(c.conname, $3) OR starts_with(c.conname, $4)) \
            WHERE a.attrelid = $1::bigint::oid AND a.attname = $2";
        let row = sqlx::query(query)
            .bind(table.oid)
            .bind(sql_name(&column.name))
            .bind(LENGTH_CHECK)
            .bind(CAP_CHECK)
            .fetch_one(&mut self.connection)
            .await;
        let read = row.and_then(|row| Ok((row.try_get::<Option<String>, _>(0)?, row.try_get::<i32, _>(1)?)));
        let (check, place) = read.map_err(|error| translate(&error, situation))?;
        if let Some(check) = check {
            self.postgres(&format!("ALTER TABLE {} DROP CONSTRAINT {}", table.sql_name, quote_ident(&check))).await?;
        }
        Ok(usize::try_from(place).unwrap_or_default())
    }

    async fn set_sortkey(&mut self, table: &Table, key: &[String], kind: SortKind) -> Result<(), Refusal> {
        for name in key {
            not_super(find(table, name)?)?;
        }
        for column in &table.columns {
            let place = key.iter().position(|name| *name == column.name).map_or(0, |at| at + 1);
            let sortkey = i32::try_from(place).unwrap_or(i32::MAX);
            self.note(table, &Column { sortkey, ..column.clone() }).await?;
        }
        self.postgres(&describe_table(&table.sql_name, &table.name, style_of(table), kind)).await
    }

    async fn add_key(&mut self, table: &Table, key: &Key) -> Result<(), Refusal> {
        for name in &key.columns {
            let found = find(table, name)?;
            if key.kind == KeyKind::Primary && found.nullable {
                return Err(Refusal::new(
                    "42P16",
                    format!("column \"{name}\" is nullable and cannot be part of a primary key"),
                ));
            }
            let primary = key.kind == KeyKind::Primary;
            self.note(
                table,
                &Column {
                    in_key: found.in_key || primary,
                    constrained: found.constrained || !primary,
                    ..found.clone()
                },
            )
            .await?;
        }
        Ok(())
    }

    /// Moves the rows of another table.
    async fn append(
        &mut self,
        table: &Table,
        source: &Name,
        ignore_extra: bool,
        fill_target: bool,
    ) -> Result<(), Refusal> {
        let scope = self.scope();
        let source = catalog::table(&mut self.connection, &scope, source.schema.as_deref(), &source.name).await?;
        if table.schema.starts_with("pg_temp") || source.schema.starts_with("pg_temp") {
            return Err(Refusal::new("0A000", "ALTER TABLE APPEND is not supported on temporary tables"));
        }
        let mut names = Vec::new();
        for column in &source.columns {
            match table.columns.iter().find(|other| other.name == column.name) {
                Some(other) if alike(column, other) => names.push(column.sql_name.clone()),
                Some(_) => return Err(different(&column.name)),
                None if ignore_extra => {}
                None => return Err(different(&column.name)),
            }
        }
        if let Some(extra) =
            table.columns.iter().find(|column| !source.columns.iter().any(|other| other.name == column.name))
            && !fill_target
        {
            return Err(different(&extra.name));
        }
        let names = names.join(", ");
        let (from, to) = (&source.sql_name, &table.sql_name);
        self.postgres(&format!(
            "INSERT INTO {to} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM {from}; TRUNCATE {from}"
        ))
        .await
    }

    /// Writes down what is known about a column.
    async fn note(&mut self, table: &Table, column: &Column) -> Result<(), Refusal> {
        let note = ColumnNote {
            name: &column.name,
            column_type: column.column_type,
            identity: column.identity,
            encoding: &column.encoding,
            distkey: column.distkey,
            sortkey: usize::try_from(column.sortkey).unwrap_or_default(),
            in_key: column.in_key,
            constrained: column.constrained,
        };
        self.postgres(&describe_column(&table.sql_name, &note)).await
    }

    async fn note_table(&mut self, table: &Table, style: DistStyle) -> Result<(), Refusal> {
        self.postgres(&describe_table(&table.sql_name, &table.name, style, sort_of(table))).await
    }

    /// Fails when rows are twice under a declared primary key, where that is asked for: Redshift would let them in and
    /// answer queries wrongly.
    pub(super) async fn check_keys(&mut self) -> Result<(), Refusal> {
        if !self.server.options.check_keys {
            return Ok(());
        }
        let situation = self.situation;
        for oid in self.written.clone() {
            let keys = "SELECT r.oid::regclass::text, string_agg(quote_ident(a.attname), ', ') FROM tw_is.all_columns r \
                JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = r.attnum WHERE r.oid = $1::bigint::oid AND r.in_key GROUP BY r.oid";
            let found = sqlx::query(keys).bind(oid).fetch_optional(&mut self.connection).await;
            let Some(row) = found.map_err(|error| translate(&error, situation))? else { continue };
            let read = || -> Result<(String, String), sqlx::Error> { Ok((row.try_get(0)?, row.try_get(1)?)) };
            let (table, columns) = read().map_err(|error| translate(&error, situation))?;
            let twice = format!("SELECT 1 FROM {table} GROUP BY {columns} HAVING count(*) > 1 LIMIT 1");
            let found = sqlx::query(AssertSqlSafe(twice)).fetch_optional(&mut self.connection).await;
            if found.map_err(|error| translate(&error, situation))?.is_some() {
                return Err(Refusal::new(
                    "23505",
                    format!("rows are twice under the declared primary key ({columns}) of {table}"),
                ));
            }
        }
        Ok(())
    }
}

fn find<'a>(table: &'a Table, name: &str) -> Result<&'a Column, Refusal> {
    let missing = || Refusal::new("42703", format!("column \"{name}\" of relation \"{}\" does not exist", table.name));
    table.columns.iter().find(|column| column.name == name).ok_or_else(missing)
}

fn not_super(column: &Column) -> Result<(), Refusal> {
    if column.column_type == ColumnType::Super {
        return Err(Refusal::new(
            "0A000",
            format!("SUPER column \"{}\" cannot be a distribution or sort key", column.name),
        ));
    }
    Ok(())
}

pub(super) fn style_of(table: &Table) -> DistStyle {
    match table.diststyle.as_str() {
        "even" => DistStyle::Even,
        "all" => DistStyle::All,
        "key" => DistStyle::Key,
        _ => DistStyle::Auto,
    }
}

fn sort_of(table: &Table) -> SortKind {
    if !table.columns.iter().any(|column| column.sortkey > 0) {
        SortKind::Auto
    } else if table.interleaved {
        SortKind::Interleaved
    } else {
        SortKind::Compound
    }
}

/// Whether blocks of one column can be those of the other.
fn alike(a: &Column, b: &Column) -> bool {
    a.column_type == b.column_type
        && a.encoding == b.encoding
        && a.distkey == b.distkey
        && a.sortkey == b.sortkey
        && a.nullable == b.nullable
}

fn different(column: &str) -> Refusal {
    Refusal::new("0A000", format!("ALTER TABLE APPEND: column \"{column}\" of source and target table is different"))
}
