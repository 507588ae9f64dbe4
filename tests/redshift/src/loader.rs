//! How the stand-in's COPY reaches objects, and how strict it is.

/// What COPY reads with, whatever credentials the statement names.
#[derive(Clone, Debug, Default)]
pub struct Loader {
    /// The S3-protocol endpoint, as a URL. Without one every COPY fails.
    pub endpoint: Option<String>,
    /// Access key that the endpoint knows.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Region that requests are signed for.
    pub region: String,
    /// What is let through although nobody has measured that Redshift does.
    pub relax: Relax,
}

/// Permissions and checks beyond what has been measured; all are off unless asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relax {
    /// Accept pairs of column type and Parquet type that nobody has measured.
    pub unmeasured_types: bool,
    /// Accept zstd pages.
    pub zstd: bool,
    /// Let SERIALIZETOJSON parse strings that carry the Parquet logical type JSON.
    pub json_logical_type: bool,
    /// Not a relaxation: fail when the file's column names differ from the table's by position,
    /// which Redshift does not look at.
    pub strict_names: bool,
}
