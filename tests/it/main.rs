//! The one integration-test binary: real servers and whole pipelines.

mod decode;

