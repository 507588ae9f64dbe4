//! What bad input gets: one clear error with its mend, the documented exit code, nothing lost, nothing half applied, no
//! secret shown.

mod check;
mod lake;
mod place;
mod source;
mod tables;
