//! Labels: their values where those are few, and the sets that families have.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use super::register::LabelNames;

/// A label's values, each with its text.
macro_rules! label_value {
    ($(#[$doc:meta])* $type:ident { $($(#[$of:meta])* $variant:ident => $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[$of])* $variant),+ }
        impl $type {
            /// All values.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its text.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
        impl EncodeLabelValue for $type {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
                EncodeLabelValue::encode(&self.text(), encoder)
            }
        }
    };
}

label_value! {
    /// Where something went wrong.
    Stage {
        /// Reading binlogs and tables.
        Source => "source",
        /// Decoding rows.
        Decode => "decode",
        /// Writing files and entries.
        Lake => "lake",
        /// Staging and merging.
        Warehouse => "warehouse",
        /// Comparing source and warehouse.
        Verify => "verify",
        /// Looking at source and warehouse for these very figures; copying goes on.
        Watch => "watch",
    }
}
label_value! {
    /// What an error means for the run.
    ErrorKind {
        /// Passes by itself; retried.
        Transient => "transient",
        /// Parks one table.
        Table => "table",
        /// Needs another configuration.
        Configuration => "configuration",
        /// Ends the run.
        Fatal => "fatal",
    }
}
label_value! {
    /// What was done to a value that its target cannot hold.
    ValuePolicy {
        /// Text was cut on a character's boundary.
        Cut => "cut",
        /// The value became NULL.
        Nulled => "nulled",
        /// Invalid parts of a text were replaced.
        Replaced => "replaced",
    }
}
label_value! {
    /// Part of a merge.
    MergePhase {
        /// Targets follow schema changes.
        Schema => "schema",
        /// Files into staging.
        Stage => "stage",
        /// The transaction that makes rows visible.
        Merge => "merge",
    }
}
label_value! {
    /// What a shard's decode thread waits for.
    Wait {
        /// Events of the source; most of the time of a shard that keeps up.
        Source => "source",
        /// A place in the queue of the Parquet encoders.
        Encoder => "encoder",
        /// Memory for rows.
        Memory => "memory",
        /// The committer, which waits for the lake.
        Commit => "commit",
    }
}
label_value! {
    /// Which half of the way stopped for a table.
    Half {
        /// Its rows no longer reach the lake.
        Extract => "extract",
        /// Its rows are in the lake and do not reach the warehouse.
        Apply => "apply",
    }
}

/// A set of labels.
macro_rules! label_set {
    ($($(#[$doc:meta])* $name:ident { $($label:ident: $type:ty),+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub(super) struct $name { $(pub(super) $label: $type),+ }
        impl LabelNames for $name {
            const NAMES: &'static [&'static str] = &[$(stringify!($label)),+];
        }
    )+};
}

label_set! {
    ByShard { shard: String }
    ByShardOp { shard: String, op: &'static str }
    ByPollRows { shard: String, outcome: &'static str }
    ByShardWait { shard: String, on: Wait }
    ByServer { shard: String, family: String, version: String, server: String }
    /// One target.
    ByTarget { table: String }
    ByTargetOp { table: String, op: &'static str }
    ByColumn { table: String, column: String, policy: ValuePolicy }
    ByGroup { group: String }
    ByPhase { group: String, phase: MergePhase }
    ByError { stage: Stage, kind: ErrorKind }
    Build { version: &'static str }
}
