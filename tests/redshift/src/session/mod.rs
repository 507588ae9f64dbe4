//! Sessions, independent of how their statements arrive.

mod results;

pub use results::{Field, Notice, Outcome, Rows};
