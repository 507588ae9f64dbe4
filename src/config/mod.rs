//! The configuration: plain data, its file format, and the check that reports every problem at once.
//!
//! A file is parsed into a neutral tree, its references are replaced, the tree is compared with
//! the JSON Schema generated from these very structs (unknown keys, types, formats), and only then becomes [`Config`].
//! What depends on several keys is checked last. Nothing here connects to anything.

mod columns;
mod document;
mod glob;
mod http;
mod lake;
mod limits;
mod load;
mod poll;
mod problem;
mod redshift;
mod reference;
mod rules;
mod schema;
mod secret;
mod shape;
mod short_form;
mod snapshot;
mod source;
mod tables;
mod template;
#[cfg(test)]
mod tests;
mod units;
mod validate;
mod verify;
mod warehouse;
mod written;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use columns::{ColumnRule, DistKey, Encoding, REDSHIFT_TEXT_BYTES_MAX, SORT_KEY_COLUMNS_MAX};
pub use glob::Pattern;
pub use http::{Http, Listen, PORT as HTTP_PORT};
pub use lake::{Codec, Lake, LakeUrl, MadeFor};
pub use limits::{Limits, Log, LogFormat};
pub use poll::{Mode, Poll, Polled, Polls, TableMode};
pub(crate) use problem::suggestion;
pub use problem::{Misfit, Problem, Problems};
pub use redshift::{RedshiftLogin, RedshiftSettings, RedshiftTls, RedshiftUrl};
pub use reference::Env;
pub use rules::{TablePolicy, TableRules};
pub use schema::{reference_table, schema};
pub use secret::{MASK, Secret, mask_urls};
pub use short_form::{ShortForm, Written};
pub use snapshot::Snapshot;
pub use source::{LONE_SHARD, SERVER_IDS, Source, SourceUrl, StartPoint, Tls, TlsMode};
pub use tables::{
    Deletes, InvalidText, KeyScope, LakeChanges, LongText, NoKey, Publish, TableRule, TargetTemplate, TinyInt1,
    ZeroDates,
};
pub use template::Template;
pub use units::{ByteSize, Span};
pub use validate::Role;
pub use verify::Verify;
pub use warehouse::{Warehouse, WarehouseUrl};

use crate::model::Digest;

/// Configuration of one pipeline: sources, tables, lake, warehouse.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the pipeline. It is the first folder below the lake's place, so that several pipelines may share a lake;
    /// changing it begins a new lake. Letters, digits, `_`, `-`; at most 64 characters. Default `default`.
    #[serde(default = "default_pipeline")]
    #[schemars(extend("format" = "pipeline-name"))]
    pub pipeline: String,
    /// MySQL servers to read. `apply` needs none.
    #[serde(default)]
    pub source: Vec<Source>,
    /// Where Parquet files and commit logs lie.
    pub lake: Lake,
    /// Where rows are merged into. `extract` needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warehouse: Option<Warehouse>,
    /// Which tables are copied, and how.
    #[serde(default)]
    pub table: Vec<TableRule>,
    /// How tables are read whose rows are not in the lake yet.
    #[serde(default)]
    pub snapshot: Snapshot,
    /// How often sources are asked whose binlog cannot be followed.
    #[serde(default)]
    pub poll: Poll,
    /// Comparing sources and warehouse in the background.
    #[serde(default)]
    pub verify: Verify,
    /// Metrics, probes and the live page.
    #[serde(default)]
    pub http: Http,
    /// Bounds on memory and batches.
    #[serde(default)]
    pub limits: Limits,
    /// Logging to standard error.
    #[serde(default)]
    pub log: Log,
}

fn default_pipeline() -> String {
    "default".to_owned()
}

impl Config {
    /// Digest of the effective configuration, defaults included, secrets masked: changing a password changes nothing,
    /// changing what is copied does.
    pub fn digest(&self) -> Digest {
        // Serialising plain structs into memory cannot fail.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// The table rules, ready to be asked.
    pub fn table_rules(&self) -> TableRules {
        TableRules::new(self.table.clone())
    }

    /// Which readers the lake's files are made for.
    pub fn made_for(&self) -> MadeFor {
        let redshift = self.warehouse.as_ref().is_some_and(|w| w.url.without_layout().is_none());
        self.lake.made_for.unwrap_or(if redshift { MadeFor::Redshift } else { MadeFor::Any })
    }

    /// Compression of the lake's files.
    pub fn codec(&self) -> Codec {
        self.lake.codec.unwrap_or(match self.made_for() {
            MadeFor::Any => Codec::Zstd,
            MadeFor::Redshift => Codec::Snappy,
        })
    }

    /// How often gathered changes become files and a log entry.
    pub fn flush_interval(&self) -> std::time::Duration {
        /// Without a warehouse nobody waits, and a minute keeps the bill for S3 requests small.
        const ALONE: Span = Span::seconds(60);
        let tick = self.warehouse.as_ref().map_or(ALONE, |w| w.tick());
        self.lake.flush_interval.unwrap_or(tick).get()
    }
}
