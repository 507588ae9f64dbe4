//! A strict stand-in for Amazon Redshift.

pub mod catalog;
pub mod copy;
mod error;
pub mod http;
mod loader;
pub mod session;
mod types;

pub use copy::{Relax, Unverified};
pub use error::Refusal;
pub use loader::Loader;
pub use types::ColumnType;
