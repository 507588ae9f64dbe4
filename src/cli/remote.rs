//! Verbs that talk to a running process on its port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::Value;

use super::Failure;
use crate::{
    config::{Config, HTTP_PORT, Listen, mask_urls},
    exit::Exit,
    http::client::{self, CommandError},
};

/// Gives the process of the configuration a command, and answers what it says that it did.
pub(super) async fn command(config: &Config, verb: &str, mut object: Value) -> Result<String, Failure> {
    let address = address(config)?;
    if let Some(object) = object.as_object_mut() {
        object.insert("pipeline".to_owned(), config.pipeline.clone().into());
    }
    let said = client::command(address, config.http.token.as_ref(), verb, &object).await.map_err(explain)?;
    Ok(said.get("done").and_then(Value::as_str).unwrap_or("done").to_owned())
}

/// Where the process of this configuration listens, as seen from this machine.
fn address(config: &Config) -> Result<SocketAddr, Failure> {
    let unknown = |what: &str| {
        let hint = "name its address by --http, as its log has it (\"serving metrics\"); or send it SIGHUP to reload";
        Err(Failure::new(Exit::Usage, anyhow::anyhow!("{what}")).hint(hint))
    };
    match config.http.listen {
        None => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, HTTP_PORT))),
        Some(Listen::Off) => unknown("the process takes no commands: http.listen is off"),
        Some(Listen::At(address)) if address.port() == 0 => {
            unknown("the process listens on a port that the system chose")
        }
        Some(Listen::At(address)) if address.ip().is_unspecified() => {
            let own = if address.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) };
            Ok(SocketAddr::new(own, address.port()))
        }
        Some(Listen::At(address)) => Ok(address),
    }
}

fn explain(error: CommandError) -> Failure {
    let hint = match &error {
        CommandError::Nobody { .. } => {
            "start the process, or name the address of one that runs by --http; pause, resume, unpark and snapshot need none"
        }
        CommandError::Broken { .. } => "see whether something else listens there, and name the process by --http",
        CommandError::Refused { status, .. } => match status.as_u16() {
            401 => "give the token of the process by http.token, token_file or token_env of the configuration",
            421 => "name the process of this pipeline by --http",
            422 => "mend what is named; the process goes on as before",
            _ => "see the process's log",
        },
    };
    let exit = match &error {
        CommandError::Nobody { .. } | CommandError::Broken { .. } => Exit::Unavailable,
        CommandError::Refused { status, .. } => match status.as_u16() {
            401 | 403 => Exit::Permission,
            422 => Exit::Config,
            _ => Exit::Usage,
        },
    };
    Failure::new(exit, anyhow::anyhow!("{}", mask_urls(&crate::errors::chain(&error)))).hint(hint)
}
