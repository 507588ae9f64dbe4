//! What a table's files need to get into staging: planned first, so that the work on a connection is a script.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    lake::{ObjectPath, Store, paths},
    model::{ColumnType, Floor},
    warehouse::{
        Deletes, Fence, ReadFiles, StagedFile, TableFiles, WarehouseError,
        error::{Failure, FailureKind},
        plan::{Layout, join_types},
        stage::{Cast, ColumnLists, casts},
    },
};

use super::{
    manifest::manifest,
    rows::inserts,
    script::{About, Effect, Expect, Script, Sql},
    sql::{
        Names,
        copy::{Access, copy, count_copied},
        stage::{FileColumn, StageSql, count_rows, drop_table},
        table::TableSql,
    },
    types,
};

/// Manifests that are written at the same time. Each is one small PUT.
pub(crate) const REQUESTS_AT_ONCE: usize = 16;

/// One table's way into staging.
#[derive(Debug)]
pub(crate) struct Load {
    /// Its place in the tick.
    pub(crate) place: usize,
    pub(crate) layout: Layout,
    /// The same with the types that its columns have in staging.
    pub(crate) staged: Layout,
    /// Name of the staging table.
    pub(crate) stage: String,
    /// Tables of earlier ticks to drop, quoted.
    pub(crate) previous: Vec<String>,
    pub(crate) parts: Vec<Part>,
    /// Distinct column lists; rows carry the index.
    pub(crate) lists: Vec<Vec<String>>,
    pub(crate) floors: Vec<Floor>,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// Files of one schema.
#[derive(Debug)]
pub(crate) struct Part {
    list: usize,
    columns: Vec<FileColumn>,
    rows: u64,
    /// COPY cannot load them into staging itself: other types, or another column list.
    landed: bool,
    source: Source,
}

/// Where rows come from.
#[derive(Debug)]
enum Source {
    /// A manifest: its path and its address.
    Files(ObjectPath, String),
    /// Statements that hold them.
    Rows(Vec<Sql>),
}

/// What planning a load needs.
#[derive(Debug)]
pub(crate) struct Planner<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) names: &'a Names,
    pub(crate) fence: &'a Fence,
    pub(crate) insert_rows_max: u64,
    /// Most bytes of a statement.
    pub(crate) text_bytes_max: usize,
}

impl Planner<'_> {
    /// Plans the load and writes its manifests.
    pub(crate) async fn plan(
        &self,
        place: usize,
        layout: &Layout,
        table: &TableFiles,
        stage: String,
        previous: Vec<String>,
        reader: &dyn ReadFiles,
    ) -> Result<Load, WarehouseError> {
        let mut lists = ColumnLists::default();
        let mut groups: Vec<Group<'_>> = Vec::new();
        let staged = staged(layout, &table.files)?;
        for file in &table.files {
            let casts = casts(&staged, file)?;
            let list = lists.index(&casts);
            match groups.iter_mut().find(|g| g.list == list && g.columns == columns(&casts)) {
                Some(group) => group.files.push((file, casts)),
                None => groups.push(Group { list, columns: columns(&casts), files: vec![(file, casts)] }),
            }
        }
        let rows = table.files.iter().map(|f| f.rows).sum();
        let bytes = table.files.iter().map(|f| f.bytes).sum();
        let floors = if layout.deletes == Deletes::Ignore { Vec::new() } else { table.floors.clone() };
        let mut load = Load {
            place,
            layout: layout.clone(),
            staged,
            stage,
            previous,
            parts: Vec::new(),
            lists: lists.0,
            floors,
            rows,
            bytes,
        };
        if load.rows <= self.insert_rows_max
            && load.lists.len() == 1
            && let Some(part) = self.small(&load, &groups, reader).await?
        {
            load.parts.push(part);
            return Ok(load);
        }
        let copies = groups.into_iter().enumerate().map(|(number, group)| self.copied(&load, number, group));
        load.parts = stream::iter(copies.collect::<Vec<_>>()).buffered(REQUESTS_AT_ONCE).try_collect().await?;
        Ok(load)
    }

    /// The rows as statements, where that is possible.
    async fn small(
        &self,
        load: &Load,
        groups: &[Group<'_>],
        reader: &dyn ReadFiles,
    ) -> Result<Option<Part>, WarehouseError> {
        let files: Vec<_> = groups.iter().flat_map(|g| g.files.iter().map(|(f, c)| (*f, c.clone()))).collect();
        let stage = self.names.private(&load.stage);
        let statements = inserts(&load.layout, &stage, &files, reader, self.text_bytes_max).await?;
        let part = |statements| Part {
            list: 0,
            columns: Vec::new(),
            rows: load.rows,
            landed: false,
            source: Source::Rows(statements),
        };
        Ok(statements.map(part))
    }

    /// Writes the manifest of a group of files.
    async fn copied(&self, load: &Load, number: usize, group: Group<'_>) -> Result<Part, WarehouseError> {
        let target = &load.layout.target;
        let content = manifest(self.store, group.files.iter().map(|(file, _)| *file));
        let content = content.map_err(|reason| WarehouseError::table(target, reason))?;
        let path = paths::manifest(&self.fence.group, self.fence.epoch, &format!("{}-{number}", load.stage));
        if let Err(error) = self.store.put(&path, content).await {
            return Err(Failure::new(FailureKind::Transient, error.to_string()).doing("write a manifest into the lake"));
        }
        let straight =
            group.files.iter().all(|(_, casts)| casts.iter().all(|(_, cast)| types::loads_into(cast.from, cast.to)));
        Ok(Part {
            list: group.list,
            rows: group.files.iter().map(|(file, _)| file.rows).sum(),
            columns: group.columns,
            // Rows of the first list are told by the column's default.
            landed: group.list > 0 || !straight,
            source: Source::Files(path.clone(), self.store.url(&path)),
        })
    }
}

/// The layout with the types that its columns have in staging: those of the files, so that COPY loads them there. Where files
/// differ, the widest of theirs.
fn staged(layout: &Layout, files: &[StagedFile]) -> Result<Layout, WarehouseError> {
    let mut found: BTreeMap<&str, ColumnType> = BTreeMap::new();
    for file in files {
        // Refuses what the target cannot take.
        casts(layout, file)?;
        for column in &file.schema.columns {
            let known = found.entry(&column.name).or_insert(column.ty);
            *known = join_types(*known, column.ty).unwrap_or(column.ty);
        }
    }
    let mut staged = layout.clone();
    for column in staged.columns.iter_mut().map(|c| &mut c.column) {
        if let Some(ty) = found.get(column.name.as_str()) {
            column.ty = types::staging_type(*ty, column.ty);
        }
    }
    Ok(staged)
}

/// Files of one column list with the same types in the same order.
struct Group<'a> {
    list: usize,
    columns: Vec<FileColumn>,
    files: Vec<(&'a StagedFile, Vec<(String, Cast)>)>,
}

fn columns(casts: &[(String, Cast)]) -> Vec<FileColumn> {
    casts.iter().map(|(name, cast)| (name.clone(), cast.from)).collect()
}

impl Load {
    /// Paths of its manifests, to be removed when it is done.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = &ObjectPath> {
        self.parts.iter().filter_map(|part| match &part.source {
            Source::Files(path, _) => Some(path),
            Source::Rows(_) => None,
        })
    }

    pub(crate) fn sql<'a>(&'a self, names: &Names) -> StageSql<'a> {
        StageSql::new(TableSql::new(&self.layout, names), |n| names.private(n), &self.stage).rows_as(&self.staged)
    }

    /// Whether it has rows to stage; else it only finds the keys that a floor touches.
    pub(crate) fn has_rows(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The work in staging: load, count, and find out all that the merge need not. Ends, for a global key, with the number of
    /// contended keys as the one step that tells something.
    pub(crate) fn script(&self, names: &Names, access: &Access) -> Script {
        let sql = self.sql(names);
        let about = About::Table(self.layout.target.clone());
        let mut script = Script::default();
        for table in &self.previous {
            script.push(&about, drop_table(table));
        }
        if self.has_rows() {
            script.push(&about, sql.create());
            for part in &self.parts {
                part.load(&mut script, &about, &sql, access);
            }
            self.settle(&mut script, &about, &sql);
        }
        if self.layout.global() {
            script.push(&about, sql.create_keys());
            if self.has_rows() || !self.floors.is_empty() {
                script.push(&about, sql.contend(self.has_rows(), &self.floors));
            }
            script.step(&about, Sql::new(sql.count_contended()), Expect::Tell, Effect::None);
        }
        script
    }

    /// Leaves the last row per origin and key, where it is news to the target.
    fn settle(&self, script: &mut Script, about: &About, sql: &StageSql<'_>) {
        if self.layout.deletes == Deletes::Ignore {
            script.push(about, sql.drop_deletes());
        }
        if self.layout.append_only() {
            return;
        }
        for statement in sql.apply_floors(&self.floors) {
            script.push(about, statement);
        }
        script.push(about, sql.dedupe());
        script.count(about, sql.count_doubles(), 0, "keys were left twice in staging");
        for table in sql.table.tables() {
            script.push(about, sql.drop_stale(table));
        }
    }
}

impl Part {
    fn load(&self, script: &mut Script, about: &About, sql: &StageSql<'_>, access: &Access) {
        const OTHER: &str = "another number of rows was loaded than the log names";
        // A table of 2^63 rows is not going to be one tick's.
        let rows = i64::try_from(self.rows).unwrap_or(i64::MAX);
        match &self.source {
            Source::Rows(statements) => {
                for statement in statements {
                    script.step(about, statement.clone(), Expect::Any, Effect::None);
                }
                script.count(about, count_rows(sql.stage()), rows, OTHER);
            }
            Source::Files(_, url) if self.landed => {
                script.push(about, sql.create_landing(&self.columns));
                script.step(about, copy(sql.landing(), &self.columns, url, access), Expect::Any, Effect::None);
                script.count(about, count_copied(), rows, OTHER);
                script.push(about, sql.take_landed(&self.columns, self.list));
                script.push(about, sql.drop_landing());
            }
            Source::Files(_, url) => {
                script.step(about, copy(sql.stage(), &self.columns, url, access), Expect::Any, Effect::None);
                script.count(about, count_copied(), rows, OTHER);
            }
        }
    }
}
