//! A strict stand-in for Amazon Redshift in front of a private PostgreSQL.
//!
//! ```no_run
//! use tailwater_redshift::{Fault, Kind, Options, Redshift};
//! use tailwater_servers::S3;
//!
//! # fn main() -> anyhow::Result<()> {
//! let s3 = S3::with_bucket("lake")?;
//! let redshift = Redshift::start(Options::default())?;
//! redshift.s3(&s3.endpoint(), S3::ACCESS_KEY, S3::SECRET_KEY); // what COPY reads with
//! let warehouse = redshift.create_database("this_test")?;      // a URL
//!
//! redshift.inject(Fault::lose_after().on("^COMMIT"));          // committed, but nobody hears of it
//! redshift.inject(Fault::serialization_violation().on("^COMMIT").every(3));
//! redshift.pause();                                            // connections are refused
//! redshift.resume()?;
//!
//! let commits = redshift.statements().iter().filter(|statement| statement.committed).count();
//! let copies = redshift.statements().iter().filter(|statement| statement.kind == Kind::Copy).count();
//! # let _ = (warehouse, commits, copies); Ok(()) }
//! ```
//!
//! What it accepts is an allow-list: what nobody has seen Redshift accept is refused. The README has every rule and how
//! well it is known. The server listens on a port of the loopback interface, and is stopped and removed, with its
//! PostgreSQL, when its value is dropped. Calls block for as long as they take, which a test may do.

pub mod catalog;
pub mod copy;
mod error;
mod faults;
pub mod http;
mod loader;
mod log;
mod server;
pub mod session;
mod sql;
mod types;

pub use copy::{Relax, Unverified};
pub use error::Refusal;
pub use faults::Fault;
pub use loader::Loader;
pub use log::Executed;
pub use server::{Auth, BinaryNumeric, Isolation, Logins, Options, Redshift, Server};
pub use sql::Kind;
pub use types::ColumnType;
