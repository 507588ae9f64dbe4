//! Gathers decoded rows: one open batch per table, sealed into the rows of one file.
//!
//! Everything here is synchronous and knows neither MySQL nor the lake. An [`OpenBatch`] only appends; which changes
//! survive (`net`) is decided when the batch is sealed, on the encoding pool, so that the decode thread pays nothing
//! for it.

mod memory;
mod net;
mod open;
mod seal;

pub use memory::{Budget, Hold};
pub use open::{OpenBatch, SealReason};
pub use seal::{SealError, Sealed};
