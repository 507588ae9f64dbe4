//! Tests against real servers, in one binary.

mod charset;
