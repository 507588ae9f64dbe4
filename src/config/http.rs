//! `[http]`: the one port for metrics, probes, status and the live page.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Secret, Span, problem::Misfit, written::written};

/// Port where nothing else is said. Prometheus' list of exporters has given away 9100 to 9999 (9187 is PostgreSQL's, 9104
/// MySQL's), and both may run beside us; this one spells "TAIL" on a telephone's keys and lies below the ports that systems
/// hand out by themselves.
pub const PORT: u16 = 8245;

/// The port that `run`, `extract` and `apply` answer on: `/metrics`, `/healthz`, `/readyz`, `/api/status` and a live page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address and port, such as `127.0.0.1:8245`, `0.0.0.0:8245` or `[::]:8245`; port 0 takes a free one and logs it; `off`
    /// serves nothing. A port that is taken ends the program before anything else begins. Where nothing is written it is
    /// `127.0.0.1:8245`, and a free port of 127.0.0.1 where another process has that one. `--http` and `TAILWATER_HTTP` win
    /// over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["127.0.0.1:8245"]))]
    pub listen: Option<Listen>,
    /// Bearer token that everything but `/healthz` and `/readyz` asks for. At most one of `token`, `token_file` and
    /// `token_env`. Without one, whoever reaches the port may read figures and names of tables; rows are never shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// File that holds the token, read at start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Environment variable that holds the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// Lag from which `/readyz` says that a shard or a group is not ready. From 1 s to 30 d. Default 15 min.
    pub ready_lag: Span,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: None, token: None, token_file: None, token_env: None, ready_lag: Span::seconds(900) }
    }
}

impl Http {
    /// Bounds of [`ready_lag`](Self::ready_lag).
    pub(super) const READY_LAG: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30 * 86_400));
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// On an address.
    At(SocketAddr),
}

impl FromStr for Listen {
    type Err = Misfit;

    fn from_str(text: &str) -> Result<Self, Misfit> {
        let text = text.trim();
        if text == "off" {
            return Ok(Self::Off);
        }
        // A name may have several addresses, and which of them is reached from outside is not for us to guess.
        let spelt = match text.strip_prefix("localhost:") {
            Some(port) => format!("{}:{port}", Ipv4Addr::LOCALHOST),
            None => text.to_owned(),
        };
        spelt.parse().map(Self::At).map_err(|_| {
            let mend = format!("write \"127.0.0.1:{PORT}\", \"0.0.0.0:{PORT}\", \"[::]:{PORT}\" or \"off\"");
            Misfit::new(format!("{text:?} is not an address with a port"), mend)
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

written!(Listen, "listen-address");
