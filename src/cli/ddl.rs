//! `tailwater schema redshift|postgres|sqlite`: the statements that make the targets.

use std::fmt::Write;

use super::{Failure, outcome, schema::DdlArgs, shell::Shell};
use crate::{
    config::{Config, Role},
    exit::Exit,
    pipeline::{
        definitions::{self, Definition, DefinitionsError},
        open,
    },
    warehouse::{Product, TablePlan},
};

/// Most source tables that a comment names.
const ORIGINS_SHOWN: usize = 5;

/// Of which product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Redshift,
    Postgres,
    Sqlite,
}

/// Runs the verb.
pub(super) async fn execute(args: &DdlArgs, kind: Kind, shell: &Shell) -> Result<Exit, Failure> {
    let config = shell.config(&args.config, Role::Look)?;
    shell.start_logging(&config)?;
    let mut definitions = definitions::read(&config).await.map_err(explain)?;
    let known: Vec<String> = definitions.iter().map(|d| d.target.to_string()).collect();
    if let Some(missing) = args.targets.iter().find(|t| !known.contains(t)) {
        let names = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let error = anyhow::anyhow!("the lake has no target {missing:?}; it has: {names}");
        return Err(Failure::new(Exit::Usage, error));
    }
    if !args.targets.is_empty() {
        definitions.retain(|d| args.targets.iter().any(|t| *t == d.target.as_str()));
    }
    let (text, refused) = render(&product(kind, &config), definitions);
    super::print(&text)?;
    Ok(if refused { Exit::Findings } else { Exit::Ok })
}

/// The product with the names that the configuration gives, where its warehouse is that product.
fn product(kind: Kind, config: &Config) -> Product {
    let named = config.warehouse.as_ref().map(open::product);
    match (kind, named) {
        (Kind::Sqlite, _) => Product::Sqlite,
        (Kind::Postgres, Some(named @ Product::Postgres { .. })) => named,
        (Kind::Postgres, _) => Product::Postgres { schema: "public".to_owned() },
        (Kind::Redshift, Some(named @ Product::Redshift { .. })) => named,
        (Kind::Redshift, _) => Product::Redshift {
            schema: "public".to_owned(),
            private_schema: "_tailwater".to_owned(),
            user: "tailwater".to_owned(),
        },
    }
}

/// The statements, and whether a target has none.
fn render(product: &Product, definitions: Vec<Definition>) -> (String, bool) {
    let plans: Vec<TablePlan> = definitions.iter().filter_map(|d| d.plan.as_ref().ok().cloned()).collect();
    let mut text = String::new();
    // Writing into a String cannot fail.
    for statement in product.preamble(&plans) {
        let _ = writeln!(text, "{statement};");
    }
    let mut refused = false;
    let mut schemas: Vec<String> = product.preamble(&plans);
    for Definition { target, origins, plan } in definitions {
        let mut names: Vec<String> = origins.iter().take(ORIGINS_SHOWN).map(ToString::to_string).collect();
        if origins.len() > ORIGINS_SHOWN {
            names.push(format!("and {} more", origins.len() - ORIGINS_SHOWN));
        }
        let _ = writeln!(text, "\n-- {}, from {}", comment(target.as_str()), comment(&names.join(", ")));
        let ddl = plan.and_then(|plan| product.target(&plan).map_err(|e| e.to_string()));
        match ddl {
            Ok(ddl) => {
                for schema in ddl.schema.into_iter().filter(|s| !schemas.contains(s)).collect::<Vec<_>>() {
                    let _ = writeln!(text, "{schema};");
                    schemas.push(schema);
                }
                for statement in ddl.tables {
                    let _ = writeln!(text, "{statement};");
                }
            }
            Err(reason) => {
                refused = true;
                let _ = writeln!(text, "-- cannot be made: {}", comment(&reason));
            }
        }
    }
    (text, refused)
}

/// Names may hold anything; a comment ends with its line.
fn comment(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

fn explain(error: DefinitionsError) -> Failure {
    match error {
        DefinitionsError::Store(e) => outcome::explain(crate::pipeline::run::RunError::Store(e)),
        other => Failure::new(Exit::Io, anyhow::Error::new(other)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        model::{Column, ColumnDefault, ColumnType, Origin, Shard, Target},
        warehouse::{Deletes, DistKey, KeyMode, Physical, TargetColumn},
    };

    fn plan() -> TablePlan {
        let column = |name: &str, ty, key: Option<u16>| TargetColumn {
            column: Column { name: name.to_owned(), ty, nullable: key.is_none(), key, source: String::new() },
            default: ColumnDefault::Null,
        };
        TablePlan {
            target: Target::new("shop.orders"),
            columns: vec![
                column("id", ColumnType::Int64, Some(0)),
                column("note", ColumnType::Text { bytes_max: Some(1020) }, None),
                column("doc", ColumnType::Json, None),
            ],
            key: vec!["id".to_owned()],
            key_mode: KeyMode::Global { updated_at: None },
            deletes: Deletes::Hard,
            physical: Physical {
                dist_key: DistKey::Column("id".to_owned()),
                sort_key: vec!["_tw_committed_at".to_owned()],
                encode: [("note".to_owned(), "zstd".to_owned())].into(),
            },
        }
    }

    fn definitions() -> Vec<Definition> {
        let origin = |shard: &str| Origin::new(&Shard::new(shard), "shop", "orders");
        vec![
            Definition {
                target: Target::new("shop.orders"),
                origins: vec![origin("s1"), origin("s2")],
                plan: Ok(plan()),
            },
            Definition { target: Target::new("a\nb"), origins: vec![origin("s1")], plan: Err("no\nrow".to_owned()) },
        ]
    }

    #[test]
    fn redshift_gets_rights_keys_and_side_tables() {
        let product = Product::Redshift {
            schema: "public".to_owned(),
            private_schema: "_tailwater".to_owned(),
            user: "etl".to_owned(),
        };
        let (text, refused) = render(&product, definitions());
        for part in [
            "CREATE SCHEMA IF NOT EXISTS \"_tailwater\" AUTHORIZATION \"etl\";\n",
            "GRANT USAGE, CREATE ON SCHEMA \"shop\" TO \"etl\";\n",
            "-- shop.orders, from s1:shop.orders, s2:shop.orders\nCREATE TABLE \"shop\".\"orders\" (\n",
            "  \"note\" VARCHAR(1020) ENCODE zstd,\n  \"doc\" SUPER,\n  PRIMARY KEY (\"id\")\n",
            ") DISTSTYLE KEY DISTKEY (\"id\") SORTKEY (\"_tw_committed_at\");\n",
            "CREATE TABLE \"_tailwater\".\"side_shop_orders_",
            "-- a b, from s1:shop.orders\n-- cannot be made: no row\n",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(refused);
        assert_eq!(text.matches("CREATE SCHEMA IF NOT EXISTS \"shop\";").count(), 1, "{text}");
    }

    #[test]
    fn other_products_have_their_own_types_and_no_layout() {
        let (postgres, _) = render(&Product::Postgres { schema: "public".to_owned() }, definitions());
        assert!(postgres.starts_with("CREATE SCHEMA IF NOT EXISTS \"_tailwater\";\n"), "{postgres}");
        assert!(
            postgres.contains("CREATE SCHEMA IF NOT EXISTS \"shop\";\nCREATE TABLE \"shop\".\"orders\""),
            "{postgres}"
        );
        let (sqlite, _) = render(&Product::Sqlite, definitions());
        assert!(sqlite.contains("CREATE TABLE \"shop_orders\""), "{sqlite}");
        for text in [postgres, sqlite] {
            assert!(!text.contains("DISTKEY") && !text.contains("ENCODE") && !text.contains("GRANT"), "{text}");
        }
    }
}
