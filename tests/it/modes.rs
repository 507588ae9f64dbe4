//! Sources whose binlog nobody follows: copied whole again and again, or asked for what is new.
//!
//! Every test ends with the comparison that shares no code with Tailwater, and none has more rights on its source than `SELECT`.

mod full;
mod incremental;
mod scene;
mod switching;
