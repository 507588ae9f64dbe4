//! From the first byte to the first ReadyForQuery (S1–S4).

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use md5::{Digest, Md5};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, ParameterStatus, PasswordMessageFamily, SecretKey, Startup,
};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use pgwire::tokio::TlsAcceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::options::Auth;
use super::state::Server;
use super::wire::Wire;
use crate::Refusal;
use crate::http::database_user;
use crate::session::Session;

/// Time that a client has to log in.
const LOGIN_LIMIT: Duration = Duration::from_secs(60);
/// First eight bytes of a client that asks for TLS.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// First eight bytes of a client that asks for GSSAPI.
const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

/// A client that has logged in.
pub(super) struct Client {
    pub(super) wire: Wire,
    pub(super) session: Session,
}

/// Negotiates TLS, authenticates and opens the session. `None` when the client needs no answer any more.
pub(super) async fn accept(
    server: &Arc<Server>,
    tls: Option<&TlsAcceptor>,
    stream: TcpStream,
) -> io::Result<Option<Client>> {
    let login = async {
        let Some((mut wire, secure)) = negotiate(tls, stream).await? else { return Ok(None) };
        let startup = match wire.receive().await? {
            Some(PgWireFrontendMessage::Startup(startup)) => startup,
            Some(PgWireFrontendMessage::CancelRequest(cancel)) => {
                let secret = cancel.secret_key.as_i32().unwrap_or_default();
                // A client that cancels waits for no answer.
                let _ = server.cancel(cancel.pid, secret).await;
                return Ok(None);
            }
            _ => return Ok(None),
        };
        wire.started();
        match log_in(server, &mut wire, &startup, secure).await? {
            Ok(session) => Ok(Some(Client { wire, session })),
            Err(refusal) => {
                wire.refuse(&Refusal { fatal: true, ..refusal }).await?;
                wire.flush().await?;
                Ok(None)
            }
        }
    };
    tokio::time::timeout(LOGIN_LIMIT, login).await.unwrap_or(Ok(None))
}

/// Answers requests for encryption until the client starts.
async fn negotiate(tls: Option<&TlsAcceptor>, mut stream: TcpStream) -> io::Result<Option<(Wire, bool)>> {
    let mut head = [0; 8];
    loop {
        stream.read_exact(&mut head).await?;
        if head != TLS_REQUEST && head != GSS_REQUEST {
            // The first bytes of the startup message.
            return Ok(Some((Wire::new(Box::new(stream), &head), false)));
        }
        match (head == TLS_REQUEST, tls) {
            (true, Some(acceptor)) => {
                stream.write_all(b"S").await?;
                let secure = acceptor.accept(stream).await?;
                return Ok(Some((Wire::new(Box::new(secure), &[]), true)));
            }
            _ => stream.write_all(b"N").await?,
        }
    }
}

async fn log_in(
    server: &Arc<Server>,
    wire: &mut Wire,
    startup: &Startup,
    secure: bool,
) -> io::Result<Result<Session, Refusal>> {
    if server.options.require_tls && !secure {
        return Ok(Err(Refusal::new("28000", "no pg_hba.conf entry for this host, SSL off")));
    }
    let get = |name: &str| startup.parameters.get(name).cloned();
    let Some(user) = get("user") else { return Ok(Err(Refusal::new("28000", "no user name is given"))) };
    let database = get("database").unwrap_or_else(|| user.clone());
    if let Err(refusal) = authenticate(server, wire, &user, &database).await? {
        return Ok(Err(refusal));
    }
    let mut session = match Session::open(Arc::clone(server), &database, database_user(&user)).await {
        Ok(session) => session,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Err(refusal) = greet(server, wire, startup, &mut session).await? {
        session.close().await;
        return Ok(Err(refusal));
    }
    Ok(Ok(session))
}

async fn authenticate(server: &Server, wire: &mut Wire, user: &str, database: &str) -> io::Result<Result<(), Refusal>> {
    let salt = salt();
    match server.options.auth {
        Auth::Md5 => {
            wire.send(PgWireBackendMessage::Authentication(Authentication::MD5Password(salt.to_vec()))).await?
        }
        Auth::Cleartext => wire.send(PgWireBackendMessage::Authentication(Authentication::CleartextPassword)).await?,
        Auth::Sha256 => wire.send_raw(&digest_request(salt)),
    }
    wire.flush().await?;
    let answer = match wire.receive().await? {
        Some(PgWireFrontendMessage::PasswordMessageFamily(message)) => password(message),
        _ => None,
    };
    let failed = || Refusal::new("28000", format!("password authentication failed for user \"{user}\""));
    let Some(answer) = answer else { return Ok(Err(failed())) };
    let known = server.logins.valid(user, database, SystemTime::now());
    let good = known.iter().any(|known| match server.options.auth {
        Auth::Md5 => answer == md5_answer(user, known, salt),
        Auth::Cleartext => answer == *known,
        Auth::Sha256 => false,
    });
    if !good {
        return Ok(Err(failed()));
    }
    wire.send(PgWireBackendMessage::Authentication(Authentication::Ok)).await?;
    Ok(Ok(()))
}

fn password(message: PasswordMessageFamily) -> Option<String> {
    message.into_password().ok().map(|message| message.password)
}

/// Code 13: algorithm, salt, server's nonce and iterations, as AWS's drivers expect them.
fn digest_request(salt: [u8; 4]) -> Vec<u8> {
    const DIGEST: i32 = 13;
    const SHA256: i32 = 0;
    const ITERATIONS: i32 = 1;
    let mut body = Vec::new();
    body.extend(DIGEST.to_be_bytes());
    body.extend(SHA256.to_be_bytes());
    body.extend(4_i32.to_be_bytes());
    body.extend(salt);
    body.extend(4_i32.to_be_bytes());
    body.extend(salt);
    body.extend(ITERATIONS.to_be_bytes());
    let mut message = vec![b'R'];
    message.extend(i32::try_from(body.len() + 4).unwrap_or(i32::MAX).to_be_bytes());
    message.extend(body);
    message
}

/// Four bytes that differ from login to login.
fn salt() -> [u8; 4] {
    use std::hash::{BuildHasher, Hasher};
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    (random as u32 | 0x0101_0101).to_be_bytes()
}

/// `md5` + md5(md5(password + user) + salt), as in PostgreSQL's protocol.
fn md5_answer(user: &str, password: &str, salt: [u8; 4]) -> String {
    let inner = hex(&Md5::digest([password.as_bytes(), user.as_bytes()].concat()));
    format!("md5{}", hex(&Md5::digest([inner.as_bytes(), salt.as_slice()].concat())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks the parameters of the start and tells the server's.
async fn greet(
    server: &Server,
    wire: &mut Wire,
    startup: &Startup,
    session: &mut Session,
) -> io::Result<Result<(), Refusal>> {
    for (name, value) in &startup.parameters {
        if matches!(
            name.as_str(),
            "user" | "database" | "client_protocol_version" | "driver_version" | "os_version" | "plugin_name"
        ) {
            continue;
        }
        let set = if name == "options" { set_options(session, value).await } else { session.set(name, value).await };
        if let Err(refusal) = set {
            return Ok(Err(refusal));
        }
    }
    let (process, superuser) = match session.process().await {
        Ok(known) => known,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let told = [
        ("server_version", "8.0.2".to_owned()),
        ("server_encoding", "UTF8".to_owned()),
        ("client_encoding", "UTF8".to_owned()),
        ("integer_datetimes", "on".to_owned()),
        ("is_superuser", superuser),
        ("session_authorization", startup.parameters.get("user").cloned().unwrap_or_default()),
        ("DateStyle", "ISO, MDY".to_owned()),
        ("TimeZone", session.setting("timezone")),
    ];
    for (name, value) in told {
        wire.send(PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name.to_owned(), value))).await?;
    }
    let secret = i32::from_be_bytes(salt());
    server.register(session.id(), secret, process);
    wire.send(PgWireBackendMessage::BackendKeyData(BackendKeyData::new(session.id(), SecretKey::I32(secret)))).await?;
    Ok(Ok(()))
}

/// `options=-c name=value …`.
async fn set_options(session: &mut Session, options: &str) -> Result<(), Refusal> {
    let mut words = options.split_whitespace();
    while let Some(word) = words.next() {
        let assignment = match word {
            "-c" => words.next().unwrap_or_default(),
            other => other.strip_prefix("-c").or_else(|| other.strip_prefix("--")).unwrap_or(other),
        };
        let (name, value) = assignment.split_once('=').unwrap_or((assignment, ""));
        session.set(name, value).await?;
    }
    Ok(())
}
