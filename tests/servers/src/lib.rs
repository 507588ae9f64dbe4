//! Real servers for tests, benches and the demo.

mod cache;
mod debian;
mod distribution;
mod mysql;
mod process;

pub use cache::folder as cache_folder;
pub use mysql::{Mysql, MysqlOptions, PASSWORD, USER};

/// Makes every server ready: fetches what this machine does not have and initialises data folders.
/// Says on standard error what it does.
///
/// # Errors
/// When a server cannot be fetched or initialised.
pub fn prepare() -> anyhow::Result<()> {
    eprintln!("cache: {}", cache::folder()?.display());
    eprintln!("mysql: {}", mysql::prepare()?.display());
    Ok(())
}
