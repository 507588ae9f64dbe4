//! `[lake]`: where Parquet files and the commit logs lie.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Span, problem::Misfit, written::written};

/// The lake. Access to S3 uses the default credential chain of the AWS SDK (environment, profile, web identity,
/// container, instance).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lake {
    /// A folder (`./lake`, `/var/lib/tailwater/lake`) or `s3://bucket/prefix`.
    #[schemars(extend("examples" = ["./lake"]))]
    pub url: LakeUrl,
    /// Endpoint of an S3-compatible store, such as `http://127.0.0.1:9000`. Default: AWS. The store must honour
    /// `If-None-Match: *` on PUT; `check` proves that it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "http-url"))]
    pub endpoint: Option<String>,
    /// Region of the bucket. Default: the region of the AWS environment or profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Whether the bucket's name stands in the path instead of the host name. Default: true with an `endpoint`, false
    /// without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// Which readers the files are made for. Default `redshift` where the warehouse is Redshift, else `any`. A machine that
    /// only extracts learns the warehouse from nothing but its own configuration: give it the same `[warehouse]`, or
    /// this key. Files written before a change stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_for: Option<MadeFor>,
    /// Compression of the Parquet files. Default `zstd` (level 1), half the size of Snappy and faster end to end; `snappy`
    /// where they are made for Redshift, because it is what its COPY is known to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<Codec>,
    /// How often gathered changes become files and a log entry. Every interval costs at least one object per shard and
    /// changed table, so seconds suit folders and PostgreSQL, a minute suits S3 bills. From 100 ms to 1 h. Default: the
    /// warehouse's `tick`; 60 s where no warehouse is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flush_interval: Option<Span>,
    /// How long one attempt of a request to S3 may go unanswered; a body adds a second for each MiB. A request is tried
    /// again for at most three such times and 10 s before it counts as failed. From 1 s to 5 minutes. Default 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_timeout: Option<Span>,
    /// How long the lake keeps what was written, at least: `30d`, `12h`. What is older and applied by every warehouse is removed
    /// by the extractors, or by `tailwater gc`. A table that shall be rebuilt from the lake alone needs a snapshot that is
    /// not older. From 1 s to 3650 d. Default: for ever; nothing is ever removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Span>,
}

impl Lake {
    /// Least and greatest retention. Any is safe for warehouses, which say how far they are; a short one leaves little to rebuild
    /// tables from.
    pub const RETENTION: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3650 * 86_400));

    /// A lake with defaults for everything but its place.
    pub fn new(url: LakeUrl) -> Self {
        Self {
            url,
            endpoint: None,
            region: None,
            path_style: None,
            made_for: None,
            codec: None,
            flush_interval: None,
            request_timeout: None,
            retention: None,
        }
    }

    /// Whether the bucket's name stands in the path.
    pub fn uses_path_style(&self) -> bool {
        self.path_style.unwrap_or(self.endpoint.is_some())
    }
}

/// Which readers the Parquet files are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MadeFor {
    /// Every reader of Parquet; Tailwater itself feeds the warehouse.
    Any,
    /// Redshift's COPY: JSON is written as plain bytes, U+0000 in text becomes U+FFFD, and values longer than Redshift
    /// holds follow `long_text`.
    Redshift,
}

/// Compression of Parquet files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// Zstandard, level 1.
    Zstd,
    /// Snappy, which every reader understands.
    Snappy,
}

/// Where the lake lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LakeUrl {
    /// A folder of a local file system. Relative paths start at the working folder.
    Folder(PathBuf),
    /// A bucket of S3 or a compatible store.
    S3 {
        /// Bucket.
        bucket: String,
        /// Prefix without slashes at its ends; empty for the bucket's root.
        prefix: String,
    },
}

impl FromStr for LakeUrl {
    type Err = Misfit;

    fn from_str(text: &str) -> Result<Self, Misfit> {
        const FORM: &str = "write a folder (\"./lake\") or \"s3://bucket/prefix\"";
        let text = text.trim();
        if text.is_empty() {
            return Err(Misfit::new("no place is given", FORM));
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            // Bucket naming rules of S3: 3 to 63 characters, lower-case letters, digits, dots and hyphens.
            let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
            if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(letters) {
                return Err(Misfit::new(
                    format!("{bucket:?} is not a bucket name"),
                    "use 3 to 63 lower-case letters, digits, dots and hyphens",
                ));
            }
            return Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() });
        }
        if let Some(path) = text.strip_prefix("file://") {
            return Ok(Self::Folder(path.into()));
        }
        match text.split_once("://") {
            Some((scheme, _)) => Err(Misfit::new(format!("{scheme}:// is not a kind of lake"), FORM)),
            None => Ok(Self::Folder(text.into())),
        }
    }
}

impl fmt::Display for LakeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

written!(LakeUrl, "lake-url");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn places_read_and_print() {
        for (text, printed) in [
            ("./lake", "./lake"),
            ("file:///srv/lake", "/srv/lake"),
            ("s3://my-bucket", "s3://my-bucket"),
            ("s3://my-bucket/a/b/", "s3://my-bucket/a/b"),
        ] {
            assert_eq!(text.parse::<LakeUrl>().unwrap().to_string(), printed);
        }
        for bad in ["", "s3://", "s3://Bucket/x", "gs://bucket", "http://x"] {
            assert!(bad.parse::<LakeUrl>().is_err(), "{bad}");
        }
    }
}
