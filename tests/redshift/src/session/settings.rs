//! Settings of a session (S2, S3).

use std::collections::BTreeMap;

use crate::Refusal;
use crate::catalog::{Scope, quote_ident, quote_literal, sql_name};

/// Every setting there is, with its default. Others are unknown.
const KNOWN: &[(&str, &str)] = &[
    ("analyze_threshold_percent", "10"),
    ("application_name", ""),
    ("autocommit", "on"),
    ("cast_super_null_on_error", "on"),
    ("client_encoding", "UTF8"),
    ("datestyle", "ISO, MDY"),
    ("enable_case_sensitive_identifier", "off"),
    ("enable_case_sensitive_super_attribute", "off"),
    ("error_on_nondeterministic_update", "off"),
    ("extra_float_digits", "0"),
    ("json_parse_truncate_strings", "off"),
    ("navigate_super_null_on_error", "on"),
    ("parse_super_null_on_error", "off"),
    ("query_group", "default"),
    ("search_path", "$user, public"),
    ("statement_timeout", "0"),
    ("timezone", "UTC"),
    ("wlm_query_slot_count", "1"),
];

/// Of those, the ones that the private PostgreSQL must know, and its name for them.
const FORWARDED: &[(&str, &str)] = &[
    ("extra_float_digits", "extra_float_digits"),
    ("json_parse_truncate_strings", "redshift.json_parse_truncate_strings"),
    ("statement_timeout", "statement_timeout"),
    ("timezone", "timezone"),
];

/// Parameters that SHOW knows besides.
const READ_ONLY: &[(&str, &str)] = &[
    ("server_version", "8.0.2"),
    ("server_encoding", "UNICODE"),
    ("integer_datetimes", "on"),
    ("max_connections", "500"),
    ("transaction_isolation", "serializable"),
];

/// What a session has set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    changed: BTreeMap<String, String>,
}

fn unknown(name: &str) -> Refusal {
    Refusal::new("42704", format!("unrecognized configuration parameter \"{name}\""))
}

impl Settings {
    /// Sets a value, or the default.
    pub(crate) fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), Refusal> {
        let name = name.to_ascii_lowercase();
        if READ_ONLY.iter().any(|(known, _)| *known == name) {
            return Err(Refusal::new("55P02", format!("parameter \"{name}\" cannot be changed")));
        }
        if !KNOWN.iter().any(|(known, _)| *known == name) {
            return Err(unknown(&name));
        }
        let Some(value) = value else {
            self.changed.remove(&name);
            return Ok(());
        };
        check(&name, value)?;
        self.changed.insert(name, value.to_owned());
        Ok(())
    }

    /// A value.
    pub(crate) fn get(&self, name: &str) -> Result<String, Refusal> {
        let name = name.to_ascii_lowercase();
        if let Some(value) = self.changed.get(&name) {
            return Ok(value.clone());
        }
        let found = KNOWN.iter().chain(READ_ONLY).find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned()).ok_or_else(|| unknown(&name))
    }

    /// Every setting and its value.
    pub(crate) fn all(&self) -> Vec<(String, String)> {
        KNOWN
            .iter()
            .map(|(name, default)| {
                ((*name).to_owned(), self.changed.get(*name).map_or(*default, String::as_str).to_owned())
            })
            .collect()
    }

    /// How names are understood.
    pub(crate) fn scope(&self, user: &str) -> Scope {
        let on = |name: &str| self.get(name).is_ok_and(|value| is_on(&value));
        let path = self.get("search_path").unwrap_or_default();
        let search_path = path
            .split(',')
            .map(|name| name.trim().trim_matches(['"', '\'']))
            .filter(|name| !name.is_empty())
            .map(|name| if name == "$user" { user.to_owned() } else { name.to_ascii_lowercase() })
            .collect();
        Scope { case_sensitive: on("enable_case_sensitive_identifier"), search_path }
    }

    /// Statements that bring the private PostgreSQL to the same values.
    pub(crate) fn statements(&self, user: &str) -> String {
        let mut text = String::new();
        for (name, theirs) in FORWARDED {
            let value = self.get(name).unwrap_or_default();
            text.push_str(&format!("SET {theirs} = {}; ", quote_literal(&value)));
        }
        let path: Vec<_> = self.scope(user).search_path.iter().map(|name| quote_ident(&sql_name(name))).collect();
        let path = if path.is_empty() { String::new() } else { format!(", {}", path.join(", ")) };
        text.push_str(&format!("SET search_path = redshift, pg_catalog{path}"));
        text
    }
}

/// Whether a switch is on.
fn is_on(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "on" | "true" | "1" | "yes" | "t")
}

/// Checks a value where Redshift does.
fn check(name: &str, value: &str) -> Result<(), Refusal> {
    const DIGITS: std::ops::RangeInclusive<i64> = -15..=2;
    let invalid = || Refusal::new("22023", format!("invalid value for parameter \"{name}\": \"{value}\""));
    match name {
        "extra_float_digits" => {
            let digits: i64 = value.parse().map_err(|_| invalid())?;
            if DIGITS.contains(&digits) {
                return Ok(());
            }
            let message =
                format!("{digits} is outside the valid range for parameter \"extra_float_digits\" (-15 .. 2)");
            Err(Refusal::new("22023", message))
        }
        "client_encoding" => {
            let known = ["utf8", "utf-8", "unicode"].contains(&value.to_ascii_lowercase().as_str());
            if known { Ok(()) } else { Err(invalid()) }
        }
        "enable_case_sensitive_identifier"
        | "enable_case_sensitive_super_attribute"
        | "json_parse_truncate_strings"
        | "error_on_nondeterministic_update"
        | "autocommit" => {
            let off = matches!(value.to_ascii_lowercase().as_str(), "off" | "false" | "0" | "no" | "f");
            if off || is_on(value) {
                return Ok(());
            }
            Err(Refusal::new("22023", format!("parameter \"{name}\" requires a Boolean value")))
        }
        "datestyle" if !value.to_ascii_uppercase().contains("ISO") => {
            Err(Refusal::new("0A000", "a date style other than ISO is not served by the stand-in"))
        }
        "statement_timeout" => value.parse::<u32>().map(drop).map_err(|_| invalid()),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Settings;

    #[test]
    fn settings_are_an_allow_list() {
        let mut settings = Settings::default();
        settings.set("search_path", Some("a, \"B\"")).unwrap();
        assert_eq!(settings.scope("u").search_path, ["a", "b"]);
        assert_eq!(settings.set("work_mem", Some("1")).unwrap_err().code, "42704");
        assert_eq!(settings.set("extra_float_digits", Some("3")).unwrap_err().code, "22023");
        settings.set("search_path", None).unwrap();
        assert_eq!(settings.scope("u").search_path, ["u", "public"]);
    }
}
