//! Real servers for tests, benches and the demo, without a container engine.
//!
//! ```no_run
//! use tailwater_servers::{Mysql, MysqlOptions, Postgres, Proxy, S3, S3Fault};
//!
//! # fn main() -> anyhow::Result<()> {
//! let mut mysql = Mysql::start(MysqlOptions::default().max_binlog_size(4096))?;
//! mysql.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY)")?;
//! assert_eq!(mysql.query("SELECT COUNT(*) FROM shop.t")?, ["0"]);
//!
//! let proxy = Proxy::start(mysql.address())?;         // the network between the two
//! let source = proxy.url(&mysql.url());               // user `tw`, through the proxy
//! proxy.cut_after(10_000);                            // ... which breaks after 10 kB
//! mysql.kill9();                                      // a crash of the source
//! mysql.restart()?;                                   // same data, same port
//!
//! let s3 = S3::with_bucket("lake")?;                  // s3.endpoint(), S3::ACCESS_KEY, ...
//! s3.inject(S3Fault::lose_answer().on("PUT", "/log/")); // performed, but nobody hears of it
//!
//! let postgres = Postgres::start()?;
//! let warehouse = postgres.create_database("this_test")?; // a URL
//! # Ok(()) }
//! ```
//!
//! Every server is the caller's own: it listens on a free port of the loopback interface, keeps its
//! data in a temporary folder, and is stopped and removed when its value is dropped, also by a
//! panic. When the whole process is killed, a watchdog does the same. Every wait has a bound.
//! Calls block for as long as it takes (a start: about a second), which a test may do.
//!
//! # Where the programs come from
//!
//! In this order: the program that a variable names (`TAILWATER_MYSQLD`, `TAILWATER_MARIADBD`,
//! `TAILWATER_POSTGRES`, `TAILWATER_PROMETHEUS`, `TAILWATER_CHROMIUM`; clients are looked for beside it), the cache, a
//! program of the system of the fitting version (not with `TAILWATER_IGNORE_SYSTEM=1`), and Debian's
//! packages, unpacked into the cache without being installed. The cache is `$TAILWATER_CACHE`, else
//! `$XDG_CACHE_HOME/tailwater`, else `~/.cache/tailwater`; it can be deleted at any time. The mirror
//! is the machine's own, or `TAILWATER_DEBIAN_MIRROR`. `cargo run -p tailwater-servers --bin
//! fetch-servers` makes all of it ready; a server that is not ready is made so when it is started.

mod background;
mod browser;
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

pub use browser::{Browser, Screen};
pub use cache::folder as cache_folder;
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
    // One test of a page needs it, and says aloud that it did nothing where there is none.
    match browser::prepare() {
        Ok(folder) => eprintln!("chromium: {}", folder.display()),
        Err(error) => eprintln!("chromium: cannot be had: {error:#}"),
    }
    Ok(())
}
