#![allow(clippy::unwrap_used)]

mod lake;
