//! `[[source]]`: one MySQL server whose binlogs are read.

use std::{fmt, path::PathBuf, str::FromStr};

use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Mode, Secret, Span, problem::Misfit, secret::MASK, written::written};
use crate::model::{Digest, Shard};

/// Range of replication server ids that are derived when `server_id` is not set. Ids derived from private IPv4
/// addresses (10/8, 172.16/12, 192.168/16) and the small numbers that people choose lie outside of it.
pub const SERVER_IDS: std::ops::RangeInclusive<u32> = 1_000_000_000..=1_999_999_999;

/// Shard name of a lone source that gives none.
pub const LONE_SHARD: &str = "s1";

/// One MySQL server (a shard).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Name of the shard. It is an identity that is stored in every row (`_tw_origin`) and stays when the host behind
    /// it is replaced; renaming it makes a new shard. Letters, digits, `_`, `-`; at most 64 characters. Default: `s1`
    /// where there is only one source, required otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "shard-name"))]
    pub name: Option<String>,
    /// Address: `mysql://user@host:port`. The port defaults to 3306. A password may stand in it
    /// (`mysql://user:password@host`, percent-encoded), better in `password_file` or `password_env`.
    #[schemars(extend("examples" = ["mysql://tailwater@example.invalid:3306"]))]
    pub url: SourceUrl,
    /// Password of the user. At most one of `password`, `password_file`, `password_env` and a password in `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// File that holds the password, read at start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Environment variable that holds the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
    /// Encryption of the connection.
    #[serde(default)]
    pub tls: Tls,
    /// How its changes are found. Where its binlog cannot be followed (`log_bin` is off, `binlog_format` is not `ROW`, no
    /// replication grants), `full` and `incremental` ask its tables again and again, and `SELECT` is all they need; they
    /// see less, which `docs/modes.md` tells. Default `binlog`.
    #[serde(default)]
    pub mode: Mode,
    /// With `mode = "full"` or `"incremental"`: time from the beginning of one round over a table to the next. Default:
    /// `poll.interval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_interval: Option<Span>,
    /// Replication server id, unique among all replicas and readers of the server; two with one id disconnect each
    /// other. Default: derived from pipeline, shard and host name, between 1000000000 and 1999999999.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_294_967_295u32))]
    pub server_id: Option<u32>,
    /// Where a shard without a log begins: `snapshot` (all rows that the captured tables have, then what is committed from
    /// now on), `earliest` (the oldest binlog that is still there), `latest` (what is committed from now on), or a GTID
    /// set that counts as already read. A shard that has a log resumes from it; with `snapshot` the rows of captured
    /// tables that its log does not know are read too. Default `snapshot`.
    #[serde(default)]
    pub start: StartPoint,
    /// Interval of the heartbeats asked of the server while nothing is written; three missed ones count as a lost
    /// connection. At least 1 s, at most 5 minutes. Default 5 s.
    #[serde(default = "default_heartbeat")]
    pub heartbeat: Span,
}

fn default_heartbeat() -> Span {
    Span::seconds(5)
}

impl Source {
    /// A source with defaults for everything but its address.
    pub fn new(name: Option<String>, url: SourceUrl) -> Self {
        Self {
            name,
            url,
            password: None,
            password_file: None,
            password_env: None,
            tls: Tls::default(),
            mode: Mode::default(),
            poll_interval: None,
            server_id: None,
            start: StartPoint::default(),
            heartbeat: default_heartbeat(),
        }
    }

    /// The shard's name.
    pub fn shard(&self) -> Shard {
        Shard::new(self.name.as_deref().unwrap_or(LONE_SHARD))
    }

    /// The password from wherever it was given; `None` when the user has none.
    pub fn password(&self) -> Option<&Secret> {
        self.password.as_ref().or(self.url.password.as_ref())
    }

    /// The replication server id: the configured one, or one of [`SERVER_IDS`] derived from who reads what where.
    ///
    /// The host name takes part so that a standby on another machine does not disconnect the running reader before
    /// the commit log has decided who owns the shard.
    pub fn server_id(&self, pipeline: &str, hostname: &str) -> u32 {
        self.server_id.unwrap_or_else(|| {
            let digest = Digest::of(format!("{pipeline}\0{}\0{hostname}", self.shard()).as_bytes());
            let number = u64::from_str_radix(digest.short(), 16).unwrap_or_default();
            let width = u64::from(SERVER_IDS.end() - SERVER_IDS.start()) + 1;
            // The remainder is below 10^9 and fits.
            SERVER_IDS.start() + u32::try_from(number % width).unwrap_or_default()
        })
    }

    /// How the connection is encrypted: the configured mode; else none to the own machine and `required` elsewhere.
    pub fn tls_mode(&self) -> TlsMode {
        self.tls.mode.unwrap_or(match self.url.is_loopback() {
            true => TlsMode::Disabled,
            false => TlsMode::Required,
        })
    }
}

/// Encryption of a connection to MySQL.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Default: `disabled` where the host is this machine, `required` elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<TlsMode>,
    /// PEM file with the certificates to trust instead of the well-known authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Name the server's certificate must carry with `verify_identity`. Default: the host of `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// What is demanded of the server's certificate. The words are MySQL's own (`--ssl-mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// No encryption.
    Disabled,
    /// Encryption if the server offers it, any certificate.
    Preferred,
    /// Encryption, any certificate.
    Required,
    /// A certificate signed by a trusted authority.
    VerifyCa,
    /// A certificate signed by a trusted authority for this host name.
    VerifyIdentity,
}

/// Where a shard without a log begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StartPoint {
    /// The rows of all captured tables, then what is committed from now on.
    #[default]
    Snapshot,
    /// The oldest binlog that is still there.
    Earliest,
    /// What is committed from now on.
    Latest,
    /// What follows a GTID set, in the server's text form without white space.
    Gtid(String),
}

impl FromStr for StartPoint {
    type Err = Misfit;

    fn from_str(text: &str) -> Result<Self, Misfit> {
        match text.trim() {
            "snapshot" => Ok(Self::Snapshot),
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            other => {
                let set: String = other.split_whitespace().collect();
                if !set.is_empty() && set.split(',').all(looks_like_gtid) {
                    return Ok(Self::Gtid(set));
                }
                let hint = super::problem::suggestion(other, ["snapshot", "earliest", "latest"]);
                Err(Misfit::new(
                    format!("not a start point{hint}"),
                    "write \"snapshot\", \"earliest\", \"latest\" or a GTID set such as \"3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5\"",
                ))
            }
        }
    }
}

/// Shape only: `uuid[:tag]:interval…` (MySQL manual, "GTID Sets") or MariaDB's `domain-server-sequence`. The source
/// knows the arithmetic.
fn looks_like_gtid(member: &str) -> bool {
    let number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let Some((uuid, rest)) = member.split_once(':') else {
        let parts: Vec<&str> = member.split('-').collect();
        return parts.len() == 3 && parts.into_iter().all(number);
    };
    let groups: Vec<&str> = uuid.split('-').collect();
    let uuid_ok = groups.len() == 5
        && groups.iter().zip([8, 4, 4, 4, 12]).all(|(g, n)| g.len() == n && g.bytes().all(|b| b.is_ascii_hexdigit()));
    let interval = |s: &str| s.split('-').count() <= 2 && s.split('-').all(number);
    let tag = |s: &str| s.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && s.len() <= 32;
    uuid_ok && rest.split(':').all(|part| interval(part) || tag(part)) && rest.split(':').any(interval)
}

impl fmt::Display for StartPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Snapshot => "snapshot",
            Self::Earliest => "earliest",
            Self::Latest => "latest",
            Self::Gtid(set) => set,
        })
    }
}

written!(StartPoint, "start-point");

/// `mysql://user:password@host:port`, taken apart. Shows its password nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl {
    /// User name, percent-decoded.
    pub user: String,
    /// Password, percent-decoded.
    pub password: Option<Secret>,
    /// Host name or address; IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl SourceUrl {
    /// Whether the server runs on this machine by its name.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl FromStr for SourceUrl {
    type Err = Misfit;

    fn from_str(text: &str) -> Result<Self, Misfit> {
        const FORM: &str = "write mysql://user:password@host:port, with special characters percent-encoded";
        let bad = |what: &str| Misfit::new(what, FORM);
        let url = Url::parse(text.trim()).map_err(|e| bad(&format!("not an address of a MySQL server: {e}")))?;
        if url.scheme() != "mysql" {
            return Err(bad("the address does not begin with mysql://"));
        }
        let host = url.host_str().filter(|h| !h.is_empty()).ok_or_else(|| bad("the address names no host"))?;
        if url.username().is_empty() {
            return Err(bad("the address names no user"));
        }
        if !matches!(url.path(), "" | "/") {
            return Err(Misfit::new(
                "the address names a database",
                "end it after the port; [[table]] rules say which databases and tables are copied",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Misfit::new(
                "the address has parameters",
                "end it after the port; use the keys tls, server_id, heartbeat instead",
            ));
        }
        let decode = |s: &str, what: &str| {
            percent_decode_str(s)
                .decode_utf8()
                .map(|s| s.into_owned())
                .map_err(|_| bad(&format!("the {what} is not percent-encoded UTF-8")))
        };
        Ok(Self {
            user: decode(url.username(), "user")?,
            password: url.password().map(|p| decode(p, "password")).transpose()?.map(Secret::new),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port().unwrap_or(3306),
        })
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mask = if self.password.is_some() { format!(":{MASK}") } else { String::new() };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "mysql://{}{mask}@{open}{}{close}:{}", self.user, self.host, self.port)
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

written!(SourceUrl, "mysql-url");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_shows_no_password() {
        let url: SourceUrl = "mysql://cdc:p%40ss%3A@db-1.example:3307".parse().unwrap();
        assert_eq!((url.user.as_str(), url.host.as_str(), url.port), ("cdc", "db-1.example", 3307));
        assert_eq!(url.password.as_ref().unwrap().reveal(), "p@ss:");
        for shown in [format!("{url}"), format!("{url:?}"), serde_json::to_string(&url).unwrap()] {
            assert!(shown.contains("mysql://cdc:***@db-1.example:3307"), "{shown}");
        }
        let v6: SourceUrl = "mysql://u@[::1]".parse().unwrap();
        assert_eq!((v6.to_string().as_str(), v6.is_loopback()), ("mysql://u@[::1]:3306", true));
    }

    #[test]
    fn a_bad_address_is_refused_without_quoting_it() {
        for bad in
            ["", "hunter2", "postgres://u:hunter2@h", "mysql://h", "mysql://u:hunter2@h/db", "mysql://u:hunter2@h?x=1"]
        {
            let misfit = bad.parse::<SourceUrl>().unwrap_err();
            assert!(!misfit.to_string().contains("hunter2"), "{misfit}");
        }
    }

    #[test]
    fn start_points_read() {
        assert_eq!("earliest".parse(), Ok(StartPoint::Earliest));
        let set = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:11,\n3e11fa47-71ca-11e1-9e33-c80aa9429563:tag:7";
        assert_eq!(set.parse(), Ok(StartPoint::Gtid(set.replace('\n', ""))));
        assert_eq!("0-1-100".parse(), Ok(StartPoint::Gtid("0-1-100".into())));
        for bad in ["", "erliest", "now", "3e11fa47:1", "3e11fa47-71ca-11e1-9e33-c80aa9429562:x"] {
            assert!(bad.parse::<StartPoint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn derived_server_ids_are_stable_distinct_and_in_range() {
        let source = |name: &str| Source::new(Some(name.to_owned()), "mysql://u@h".parse().unwrap());
        let id = source("a").server_id("p", "host");
        assert_eq!(id, source("a").server_id("p", "host"));
        let others =
            [source("b").server_id("p", "host"), source("a").server_id("q", "host"), source("a").server_id("p", "g")];
        assert!(others.iter().all(|other| *other != id && SERVER_IDS.contains(other)));
    }
}
