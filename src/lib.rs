//! Tailwater.

pub mod decode;
