//! From row-image bytes to values.

pub mod json;
