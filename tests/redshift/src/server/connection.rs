//! A connection after the login: the simple protocol, and where the extended one begins.

use std::io;
use std::sync::Arc;

use pgwire::messages::data::{DataRow, FieldDescription, RowDescription};
use pgwire::messages::response::EmptyQueryResponse;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use pgwire::tokio::TlsAcceptor;
use tokio::net::TcpStream;

use super::encode;
use super::extended::Prepared;
use super::startup::{self, Client};
use super::state::Server;
use super::wire::Wire;
use crate::Refusal;
use crate::session::{Execution, Failure, Field, Outcome, Session};

/// Serves one client to its end.
pub(super) async fn serve(server: Arc<Server>, tls: Option<TlsAcceptor>, stream: TcpStream) {
    // An error is a client that went away.
    let Ok(Some(client)) = startup::accept(&server, tls.as_ref(), stream).await else { return };
    let Client { wire, session } = client;
    let mut connection = Connection { server, wire, session, prepared: Prepared::default() };
    let _ = connection.run().await;
    let Connection { wire, session, .. } = connection;
    // The session first: when the client sees the end of the connection, its transaction has ended too.
    session.close().await;
    drop(wire);
}

/// A client's connection.
pub(super) struct Connection {
    pub(super) server: Arc<Server>,
    pub(super) wire: Wire,
    pub(super) session: Session,
    pub(super) prepared: Prepared,
}

/// What comes after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    GoOn,
    /// A fault took the connection, or the client left.
    End,
}

impl Connection {
    async fn run(&mut self) -> io::Result<()> {
        self.wire.ready(self.session.status()).await?;
        while let Some(message) = self.wire.receive().await? {
            let next = match message {
                PgWireFrontendMessage::Terminate(_) => Next::End,
                PgWireFrontendMessage::Query(query) => self.simple(&query.query).await?,
                message if message.is_extended_query() => self.extended(message).await?,
                _ => {
                    self.wire.refuse(&Refusal::fatal("08P01", "this message is not expected here")).await?;
                    self.wire.flush().await?;
                    Next::End
                }
            };
            if next == Next::End {
                break;
            }
        }
        Ok(())
    }

    async fn simple(&mut self, text: &str) -> io::Result<Next> {
        let Execution { outcomes, failure } = self.session.run(text).await;
        let empty = outcomes.is_empty() && failure.is_none();
        for outcome in outcomes {
            self.answer(outcome, None).await?;
        }
        if empty {
            self.wire.send(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new())).await?;
        }
        match failure {
            None => {}
            Some(Failure::Lost) => return Ok(Next::End),
            Some(Failure::Refused(refusal)) => {
                self.wire.refuse(&refusal).await?;
                if refusal.fatal {
                    self.wire.flush().await?;
                    return Ok(Next::End);
                }
            }
        }
        self.wire.ready(self.session.status()).await?;
        Ok(Next::GoOn)
    }

    /// Sends an answer. `formats` are those of the extended protocol, which has described the columns before.
    pub(super) async fn answer(&mut self, outcome: Outcome, formats: Option<&[i16]>) -> io::Result<Option<Refusal>> {
        for notice in &outcome.notices {
            self.wire.notice(notice).await?;
        }
        if let Some(rows) = &outcome.rows {
            if formats.is_none() {
                self.wire.send(row_description(&rows.fields, &[])).await?;
            }
            for row in &rows.rows {
                match encode::row(row, &rows.fields, formats.unwrap_or_default(), self.server.options.binary_numeric) {
                    Ok((data, count)) => {
                        self.wire.send(PgWireBackendMessage::DataRow(DataRow::new(data, count))).await?
                    }
                    Err(refusal) => return Ok(Some(refusal)),
                }
            }
        }
        self.wire.complete(outcome.tag).await?;
        Ok(None)
    }
}

/// The message that describes columns.
pub(super) fn row_description(fields: &[Field], formats: &[i16]) -> PgWireBackendMessage {
    let describe = |(index, field): (usize, &Field)| {
        let size = encode::type_size(field.type_oid);
        FieldDescription::new(field.name.clone(), 0, 0, field.type_oid, size, -1, encode::format(formats, index))
    };
    PgWireBackendMessage::RowDescription(RowDescription::new(fields.iter().enumerate().map(describe).collect()))
}
