//! Warehouses to fill, each with a lake in the form that it reads.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tailwater_proof::compare::Warehouse;
use tailwater_redshift::{Loader, Options, Redshift};
use tailwater_servers::{Mysql, PASSWORD, Postgres, S3, USER};

const BUCKET: &str = "lake";

/// A kind of warehouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    Sqlite,
    Postgres,
    Redshift,
}

impl Product {
    pub(crate) const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::Redshift];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::Redshift => "Redshift's stand-in",
        }
    }
}

enum Servers {
    None,
    Postgres(Box<Postgres>),
    Redshift { redshift: Box<Redshift>, s3: S3 },
}

/// A warehouse's server, and a folder with the lake (or the bucket that has it).
pub(crate) struct Place {
    pub(crate) product: Product,
    servers: Servers,
    folder: tempfile::TempDir,
    warehouses: u32,
    /// Further lines of the warehouse's configuration.
    settings: &'static str,
}

impl Place {
    pub(crate) fn start(product: Product) -> Result<Self> {
        let servers = match product {
            Product::Sqlite => Servers::None,
            Product::Postgres => Servers::Postgres(Box::new(Postgres::start()?)),
            Product::Redshift => {
                let s3 = S3::with_bucket(BUCKET)?;
                let loader = Loader::new(s3.endpoint(), S3::ACCESS_KEY, S3::SECRET_KEY);
                let redshift = Box::new(Redshift::start(Options { loader, ..Options::default() })?);
                Servers::Redshift { redshift, s3 }
            }
        };
        let scratch = tailwater_servers::cache_folder()?.join("bench");
        fs::create_dir_all(&scratch)?;
        let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&scratch)?;
        Ok(Self { product, servers, folder, warehouses: 0, settings: "" })
    }

    /// With further lines of the warehouse's configuration.
    pub(crate) fn configured(self, settings: &'static str) -> Self {
        Self { settings, ..self }
    }

    /// The stand-in, where that is the product.
    pub(crate) fn redshift(&self) -> Option<&Redshift> {
        match &self.servers {
            Servers::Redshift { redshift, .. } => Some(redshift),
            _ => None,
        }
    }

    /// The folder that the lake lies in.
    pub(crate) fn lake(&self) -> PathBuf {
        match &self.servers {
            Servers::Redshift { s3, .. } => s3.bucket_folder(BUCKET),
            _ => self.folder.path().join("lake"),
        }
    }

    /// A warehouse that nothing was applied to.
    pub(crate) fn fresh_warehouse(&mut self) -> Result<Warehouse> {
        self.warehouses += 1;
        let name = format!("w{}", self.warehouses);
        Ok(match &self.servers {
            Servers::None => Warehouse::Sqlite(self.folder.path().join(format!("{name}.db"))),
            Servers::Postgres(server) => Warehouse::Postgres(server.create_database(&name)?),
            Servers::Redshift { redshift, .. } => Warehouse::Redshift(redshift.create_database(&name)?),
        })
    }

    /// Makes the lake, or brings it up to date.
    pub(crate) fn extract(&self, sources: &[(&str, &Mysql)], tables: &str) -> Result<()> {
        let warehouse = match &self.servers {
            // The files' form follows from the product; which database it is does not matter.
            Servers::Redshift { redshift, .. } => Warehouse::Redshift(redshift.url("none")),
            Servers::Postgres(server) => Warehouse::Postgres(server.url("none")),
            Servers::None => Warehouse::Sqlite(self.folder.path().join("none.db")),
        };
        let status = self.command("extract", sources, tables, &warehouse)?.status()?;
        ensure!(status.success(), "tailwater extract ended with {status}: {}", self.said());
        Ok(())
    }

    /// Applies the lake to its end.
    pub(crate) fn apply(&self, sources: &[(&str, &Mysql)], tables: &str, warehouse: &Warehouse) -> Result<Command> {
        self.command("apply", sources, tables, warehouse)
    }

    /// What the last command wrote.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("tailwater.log")).unwrap_or_default()
    }

    fn command(&self, verb: &str, sources: &[(&str, &Mysql)], tables: &str, warehouse: &Warehouse) -> Result<Command> {
        let lake = match &self.servers {
            Servers::Redshift { s3, .. } => {
                format!("url = \"s3://{BUCKET}\"\nendpoint = \"{}\"\nregion = \"{}\"", s3.endpoint(), S3::REGION)
            }
            _ => "url = \"./lake\"".to_owned(),
        };
        let mut text = String::new();
        for (name, server) in sources {
            let address = format!("mysql://{USER}:{PASSWORD}@{}:{}", server.host(), server.port());
            text += &format!("[[source]]\nname = \"{name}\"\nurl = \"{address}\"\nstart = \"earliest\"\n");
        }
        text += &format!(
            "[lake]\n{lake}\n[warehouse]\n{}\n{}\n[[table]]\nmatch = \"{tables}\"\n",
            warehouse.configuration(),
            self.settings
        );
        fs::write(self.folder.path().join("tailwater.toml"), text)?;
        let log = File::create(self.folder.path().join("tailwater.log")).context("cannot make the log")?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_tailwater"));
        command
            .args([verb, "--once"])
            .current_dir(self.folder.path())
            .env("AWS_ACCESS_KEY_ID", S3::ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", S3::SECRET_KEY)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command)
    }
}
