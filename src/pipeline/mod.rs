//! The two halves, and the process that runs them: the only modules that know all stages.

pub mod apply;
pub mod check;
pub mod control;
pub mod definitions;
pub mod extract;
pub mod gc;
pub mod init;
pub mod open;
pub mod plan;
pub mod reanchor;
pub mod rebuild;
pub mod request;
pub mod run;
pub mod status;
pub mod verify;
