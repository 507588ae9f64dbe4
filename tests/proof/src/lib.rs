//! What proves that Tailwater copies rightly: load on real servers, and a comparison of source and
//! warehouse that shares no code with Tailwater.

pub mod compare;
pub mod lag;
pub mod panels;
pub mod program;
pub mod workload;
