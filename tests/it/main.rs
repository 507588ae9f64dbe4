//! Tests of the whole program and against real servers, in one binary: linking is the slowest step.

mod cli;
mod generated;
