//! Everything that needs a real server.

mod source;
