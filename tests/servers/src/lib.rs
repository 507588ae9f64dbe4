//! Real servers for tests, benches and the demo.

mod background;
mod cache;
mod debian;
mod distribution;
mod mariadb;
mod mysql;
mod postgres;
mod process;
mod prometheus;
mod proxy;
mod s3;

pub use mariadb::MariaDb;
pub use mysql::{Mysql, MysqlOptions, PASSWORD, USER};
pub use postgres::Postgres;
pub use prometheus::Prometheus;
pub use proxy::Proxy;
pub use s3::{S3, S3Fault, S3Request};

/// Makes every server ready: fetches what this machine does not have and initialises data folders.
/// Says on standard error what it does.
///
/// # Errors
/// When a server cannot be fetched or initialised.
pub fn prepare() -> anyhow::Result<()> {
    eprintln!("cache: {}", cache::folder()?.display());
    eprintln!("mysql: {}", mysql::prepare()?.display());
    eprintln!("mariadb: {}", mariadb::prepare()?.display());
    eprintln!("postgresql: {}", postgres::prepare()?.display());
    eprintln!("prometheus: {}", prometheus::prepare()?.display());
    Ok(())
}
