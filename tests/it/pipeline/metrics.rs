//! What the figures of a running program say, held against what happens.

mod dashboards;
mod families;
mod lag;
mod rules;
pub(super) mod scrape;
mod situations;
