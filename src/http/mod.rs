//! One HTTP port: metrics, probes, status and a live page.
//!
//! | path | what | token |
//! | --- | --- | --- |
//! | `/metrics` | every figure, for Prometheus | asked for |
//! | `/healthz` | whether a restart would help | open |
//! | `/readyz` | whether everything moves, with what to do where it does not | open |
//! | `/api/status` | the process's own state as JSON | asked for |
//! | `/api/control/…` | commands, see `control` | asked for; without one on loopback alone |
//! | `/` | a page that shows it | open, it asks for the token itself |
//!
//! Every answer is made of what the process has in memory: no request ever reaches a source, the lake or the warehouse. So
//! watching costs them nothing, and an answer comes while they are away. Everything a client can make us hold is bounded, see
//! [`server`].

mod access;
mod answer;
pub mod client;
mod control;
mod exposition;
mod health;
mod page;
mod route;
mod server;
mod slow;
pub mod status;

pub use access::Access;
pub use health::Condition;
pub use route::Site;
pub use server::{Bound, HttpError, Serving};
