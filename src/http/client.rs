//! Giving a command to a running process on its port.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    client::conn::http1,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::config::Secret;

/// Longest time for a command: it looks at the lake and perhaps at the warehouse.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why a command had no success.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Nobody listens there.
    #[error("no process answers at {address}")]
    Nobody {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What answers does not speak HTTP, or stopped to.
    #[error("the process at {address} did not answer")]
    Broken {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It said no.
    #[error("the process at {address} refused: {reason}")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// The answer's status.
        status: StatusCode,
        /// In its own words.
        reason: String,
    },
}

/// Posts a command and answers what the process says.
///
/// # Errors
/// [`CommandError`].
pub async fn command(
    address: SocketAddr,
    token: Option<&Secret>,
    verb: &str,
    object: &Value,
) -> Result<Value, CommandError> {
    let stream = TcpStream::connect(address).await.map_err(|source| CommandError::Nobody { address, source })?;
    let (status, content) =
        match tokio::time::timeout(ANSWER_TIME_MAX, post(stream, address, token, verb, object)).await {
            Ok(answer) => answer.map_err(|source| CommandError::Broken { address, source })?,
            Err(late) => return Err(CommandError::Broken { address, source: late.into() }),
        };
    let said: Value = serde_json::from_slice(&content).unwrap_or_default();
    if status.is_success() {
        return Ok(said);
    }
    let reason = said.get("error").and_then(Value::as_str).map_or_else(|| status.to_string(), str::to_owned);
    Err(CommandError::Refused { address, status, reason })
}

async fn post(
    stream: TcpStream,
    address: SocketAddr,
    token: Option<&Secret>,
    verb: &str,
    object: &Value,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("/api/control/{verb}"))
        .header(HOST, address.to_string())
        .header(CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {}", token.reveal().trim()));
    }
    exchange(stream, request.body(Full::new(Bytes::from(object.to_string())))?).await
}

/// Sends one request over a connection of its own; the answer's status and content.
pub(crate) async fn exchange(
    stream: TcpStream,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let content = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
    drop(sender);
    // It ends by itself; what it says of its end changes nothing.
    let _ = connection.await;
    Ok((status, content))
}
