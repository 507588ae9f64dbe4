//! Values that no output of the program ever shows.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What stands in the place of a secret wherever one would be shown.
pub const MASK: &str = "***";

/// A password or token. `Debug`, `Display` and `Serialize` show [`MASK`]; only [`Secret::reveal`] gives the value.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that hands it to a server.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(MASK)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true, "description": "Never shown in any output." })
    }
}

/// `text` with the password of every URL in it masked.
///
/// The last line of defence for messages that other libraries write (an argument parser quotes what it does not
/// understand). Own code never puts a secret into a message in the first place.
pub fn mask_urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end = tail.find([' ', '\n', '\t', '\'', '"', '`']).unwrap_or(tail.len());
        let (address, after) = tail.split_at(end);
        // The last @ ends the user part, because a carelessly written password may contain one.
        match address.rsplit_once('@') {
            Some((user, host)) => {
                match user.split_once(':') {
                    Some((name, _)) => out.extend([name, ":", MASK]),
                    None => out.push_str(user),
                }
                out.extend(["@", host]);
            }
            None => out.push_str(address),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn no_output_shows_a_secret() {
        let secret = Secret::new("hunter2");
        for shown in [format!("{secret}"), format!("{secret:?}"), serde_json::to_string(&secret).unwrap()] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert_eq!(secret.reveal(), "hunter2");
    }

    #[test]
    fn passwords_inside_urls_are_masked_in_foreign_text() {
        assert_eq!(
            mask_urls("unexpected argument 's1=mysql://u:p@ss:w@h:3306' found, also postgres://a:b@c/d"),
            "unexpected argument 's1=mysql://u:***@h:3306' found, also postgres://a:***@c/d"
        );
        assert_eq!(mask_urls("s3://bucket/prefix and mysql://u@h"), "s3://bucket/prefix and mysql://u@h");
    }
}
