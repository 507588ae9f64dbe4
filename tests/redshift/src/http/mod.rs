//! The Data API and the endpoint of temporary credentials.
