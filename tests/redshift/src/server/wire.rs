//! Messages over a socket, plain or TLS.

use std::io;

use bytes::BytesMut;
use pgwire::messages::response::{CommandComplete, ErrorResponse, NoticeResponse, ReadyForQuery, TransactionStatus};
use pgwire::messages::{DecodeContext, PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Refusal;
use crate::session::Notice;

/// Bytes to collect before they are sent.
const SEND_BYTES: usize = 64 * 1024;
/// Largest message of a client: a statement of 16 MB and room for parameters.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A socket.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    received: BytesMut,
    pending: BytesMut,
    context: DecodeContext,
}

impl Wire {
    /// A connection of which these bytes have been read already.
    pub(super) fn new(stream: Box<dyn Stream>, read: &[u8]) -> Self {
        let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
        context.awaiting_frontend_ssl = false;
        Self { stream, received: BytesMut::from(read), pending: BytesMut::new(), context }
    }

    /// From now on messages have a kind.
    pub(super) fn started(&mut self) {
        self.context.awaiting_frontend_startup = false;
    }

    /// The next message; `None` when the client is gone.
    pub(super) async fn receive(&mut self) -> io::Result<Option<PgWireFrontendMessage>> {
        loop {
            let decoded = PgWireFrontendMessage::decode(&mut self.received, &self.context);
            match decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))? {
                Some(message) => return Ok(Some(message)),
                None if self.received.len() > MESSAGE_BYTES_MAX => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "message too large"));
                }
                None => {}
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Queues a message.
    pub(super) async fn send(&mut self, message: PgWireBackendMessage) -> io::Result<()> {
        message.encode(&mut self.pending).map_err(|error| io::Error::other(error.to_string()))?;
        if self.pending.len() > SEND_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Queues bytes that `pgwire` has no message for.
    pub(super) fn send_raw(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Sends what is queued.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.pending).await?;
        self.pending.clear();
        self.stream.flush().await
    }

    pub(super) async fn complete(&mut self, tag: String) -> io::Result<()> {
        self.send(PgWireBackendMessage::CommandComplete(CommandComplete::new(tag))).await
    }

    pub(super) async fn ready(&mut self, status: char) -> io::Result<()> {
        let status = match status {
            'T' => TransactionStatus::Transaction,
            'E' => TransactionStatus::Error,
            _ => TransactionStatus::Idle,
        };
        self.send(PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(status))).await?;
        self.flush().await
    }

    pub(super) async fn refuse(&mut self, refusal: &Refusal) -> io::Result<()> {
        let severity = if refusal.fatal { "FATAL" } else { "ERROR" };
        let mut fields = fields(severity, &refusal.code, &refusal.message);
        if let Some(detail) = &refusal.detail {
            fields.push((b'D', detail.clone()));
        }
        self.send(PgWireBackendMessage::ErrorResponse(ErrorResponse::new(fields))).await
    }

    pub(super) async fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        let fields = fields(notice.severity, notice.code, &notice.message);
        self.send(PgWireBackendMessage::NoticeResponse(NoticeResponse::new(fields))).await
    }
}

/// Fields of an error or notice. 8.0 has no field `V`.
fn fields(severity: &str, code: &str, message: &str) -> Vec<(u8, String)> {
    vec![(b'S', severity.to_owned()), (b'C', code.to_owned()), (b'M', message.to_owned())]
}
