//! Names with an identity: shard, origin, target.

use std::{fmt, str::FromStr};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is percent-encoded inside one part of an origin: its two separators and the escape itself.
const ORIGIN_PART: &AsciiSet = &CONTROLS.add(b'%').add(b':').add(b'.');

/// Name of a source server *as an identity*: it stays when the host behind it is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Shard(String);

/// Name of a table in the warehouse and of its folder in the lake. One target may be fed by many origins.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Target(String);

macro_rules! plain_name {
    ($name:ident) => {
        impl $name {
            /// Takes any text; the configuration refuses empty names.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
plain_name!(Shard);
plain_name!(Target);

/// What the name of a shadow begins with: no name of a warehouse's table does.
const SHADOW: &str = ":rebuild:";

impl Target {
    /// The private table beside the target in which it is rebuilt.
    #[must_use]
    pub fn shadow(&self) -> Self {
        Self(format!("{SHADOW}{}", self.0))
    }

    /// The target whose shadow this is; `None` of an ordinary target.
    pub fn shadowed(&self) -> Option<Self> {
        self.0.strip_prefix(SHADOW).map(Self::new)
    }
}

/// One source table of one shard, the unit of ordering: `s01:shop_07.orders_03`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "String")]
pub struct Origin {
    /// The shard that owns the table.
    pub shard: Shard,
    /// MySQL schema (database) name.
    pub database: String,
    /// MySQL table name.
    pub table: String,
}

impl Origin {
    /// The origin of `database.table` on `shard`.
    pub fn new(shard: &Shard, database: impl Into<String>, table: impl Into<String>) -> Self {
        Self { shard: shard.clone(), database: database.into(), table: table.into() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}.{}",
            utf8_percent_encode(self.shard.as_str(), ORIGIN_PART),
            utf8_percent_encode(&self.database, ORIGIN_PART),
            utf8_percent_encode(&self.table, ORIGIN_PART)
        )
    }
}

/// The text is not `<shard>:<database>.<table>`.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an origin: expected <shard>:<database>.<table>")]
pub struct BadOrigin(String);

impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let bad = || BadOrigin(text.to_owned());
        let part = |p: &str| percent_decode_str(p).decode_utf8().map(|s| s.into_owned()).map_err(|_| bad());
        let (shard, rest) = text.split_once(':').ok_or_else(bad)?;
        let (database, table) = rest.split_once('.').ok_or_else(bad)?;
        if shard.is_empty() || database.is_empty() || table.is_empty() || table.contains(['.', ':']) {
            return Err(bad());
        }
        Ok(Self { shard: Shard(part(shard)?), database: part(database)?, table: part(table)? })
    }
}

impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn origin_text_round_trips_separators_inside_names() {
        let o = Origin::new(&Shard::new("eu:1"), "shop.07", "50%_off");
        assert_eq!(o.to_string(), "eu%3A1:shop%2E07.50%25_off");
        assert_eq!(o.to_string().parse::<Origin>().unwrap(), o);
    }

    #[test]
    fn shadows_know_whose_they_are() {
        let target = Target::new("shop.orders");
        assert_eq!(target.shadowed(), None);
        assert_eq!(target.shadow().shadowed(), Some(target));
    }

    #[test]
    fn origin_refuses_missing_parts() {
        for bad in ["", "s1", "s1:db", ":db.t", "s1:.t", "s1:db.", "s1:db.t.u", "s1:db.a:b"] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
