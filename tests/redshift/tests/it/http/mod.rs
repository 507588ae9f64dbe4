//! The endpoints over HTTP, asked by the AWS SDKs.

mod api;
mod credentials;
mod data_api;
mod server;
