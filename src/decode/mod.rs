//! From row images to Arrow columns.
//!
//! A [`Plan`] is compiled once per TABLE_MAP content; [`Rows`] walks the images of one rows event by it and appends
//! values to a [`ChunkBuilder`]. No value is allocated on its own, and no row exists in between.

mod cells;
pub mod charset;
pub mod chunk;
mod column;
mod decimal;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod fixture;
pub mod json;
mod long;
pub mod plan;
pub mod policy;
pub mod rows;
mod temporal;
mod tombstone;
mod value;

pub use chunk::{Chunk, ChunkBuilder, Note, ValueNotes};
pub use plan::{Declared, Plan, PlanError};
pub use policy::{Bounds, InvalidText, LongValues, Policies, TinyInt1, ValuePolicy, ZeroDates};
pub use rows::{DecodeError, Fault, RowTime, Rows};
