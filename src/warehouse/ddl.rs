//! The statements that make targets, for people who want to see or run them themselves.
//!
//! They come from the code that [`Warehouse::ensure_table`](super::Warehouse::ensure_table) runs on a warehouse without the
//! target: what is printed is what would be done.

use super::{
    definition::{self, Found, Naming},
    error::WarehouseError,
    group::Fence,
    plan::{Layout, TablePlan},
    postgres::sql::PostgresDialect,
    redshift,
    session::Statement,
    sql::Dialect,
    sqlite::sql::SqliteDialect,
    table,
};

/// A product, and where targets and private tables lie in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Product {
    /// SQLite, which has no schemas.
    Sqlite,
    /// PostgreSQL.
    Postgres {
        /// Schema of targets that name none.
        schema: String,
    },
    /// Redshift.
    Redshift {
        /// Schema of targets that name none.
        schema: String,
        /// Schema of Tailwater's own tables.
        private_schema: String,
        /// User that Tailwater logs in as.
        user: String,
    },
}

/// What makes one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetDdl {
    /// Statement that creates its schema where that is missing.
    pub schema: Option<String>,
    /// Statements that create its tables.
    pub tables: Vec<String>,
}

impl Product {
    /// What has to be there before any target: the private schema, and on Redshift the rights on every schema.
    pub fn preamble(&self, plans: &[TablePlan]) -> Vec<String> {
        match self {
            Self::Sqlite => Vec::new(),
            Self::Postgres { .. } => vec![super::postgres::sql::private_schema().1.sql],
            Self::Redshift { schema, private_schema, user } => {
                let names = redshift_names(schema, private_schema);
                let places = plans.iter().filter_map(|p| names.place(&p.target).ok());
                let mut schemas: Vec<String> = places.filter_map(|p| p.schema).chain([schema.clone()]).collect();
                schemas.sort_unstable();
                schemas.dedup();
                redshift::sql::grants(private_schema, &schemas, user)
            }
        }
    }

    /// The statements that make a target.
    ///
    /// # Errors
    /// [`Table`](WarehouseError::Table) when the product cannot hold the target.
    pub fn target(&self, plan: &TablePlan) -> Result<TargetDdl, WarehouseError> {
        match self {
            Self::Sqlite => shared(&SqliteDialect, plan),
            Self::Postgres { schema } => shared(&PostgresDialect { schema: schema.clone() }, plan),
            Self::Redshift { schema, private_schema, .. } => {
                let names = redshift_names(schema, private_schema);
                let layout = layout(&names, plan)?;
                let create = layout.place.schema.as_deref().map(redshift::sql::create_schema);
                Ok(TargetDdl {
                    schema: create,
                    tables: redshift::sql::table::TableSql::new(&layout, &names).creation(),
                })
            }
        }
    }
}

fn redshift_names(schema: &str, private: &str) -> redshift::sql::Names {
    redshift::sql::Names { schema: schema.to_owned(), private: private.to_owned() }
}

fn shared(dialect: &dyn Dialect, plan: &TablePlan) -> Result<TargetDdl, WarehouseError> {
    let layout = layout(dialect, plan)?;
    let text = |statement: Statement| statement.sql;
    let schema = dialect.schema(&layout.place).map(|(_, create)| text(create));
    Ok(TargetDdl { schema, tables: table::creation(&layout, dialect).into_iter().map(text).collect() })
}

/// The target as it would be in a warehouse that has nothing yet.
fn layout(naming: &dyn Naming, plan: &TablePlan) -> Result<Layout, WarehouseError> {
    let place = definition::place(naming, plan)?;
    let nobody = Fence { group: String::new(), epoch: 0 };
    Ok(definition::decide(naming, &nobody, plan, place, &Found::default())?.layout)
}
