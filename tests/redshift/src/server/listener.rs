//! Listening, on a runtime and threads of its own: tests may block theirs, or have none.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use pgwire::tokio::TlsAcceptor;
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet};

use super::connection;
use super::host::Shared;
use super::state::Server;
use super::tls;
use crate::http;

/// Threads of the runtime.
const WORKERS: usize = 2;
/// Bound on the end of what is under way when the server is dropped.
const END_LIMIT: Duration = Duration::from_secs(2);

/// The sockets of a server.
#[derive(Debug)]
pub(super) struct Listener {
    address: SocketAddr,
    http: Option<SocketAddr>,
    server: Arc<Server>,
    accepting: Mutex<Option<JoinHandle<()>>>,
    runtime: Option<Runtime>,
}

impl Listener {
    pub(super) fn start(server: Arc<Server>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("redshift")
            .enable_all()
            .build()
            .context("cannot start a runtime")?;
        let socket = TcpListener::bind(server.options.listen)
            .with_context(|| format!("cannot listen on {}", server.options.listen))?;
        let address = socket.local_addr()?;
        let mut listener = Self { address, http: None, server, accepting: Mutex::default(), runtime: Some(runtime) };
        if let Some(wanted) = listener.server.options.http {
            let socket = TcpListener::bind(wanted).with_context(|| format!("cannot listen on {wanted}"))?;
            socket.set_nonblocking(true)?;
            listener.http = Some(socket.local_addr()?);
            let service =
                Arc::new(http::Service::new(http::Options::default(), Arc::new(Shared(Arc::clone(&listener.server)))));
            let runtime = listener.runtime()?;
            let _guard = runtime.enter();
            let socket = tokio::net::TcpListener::from_std(socket)?;
            runtime.spawn(async move {
                if let Err(error) = http::serve(socket, service).await {
                    eprintln!("the HTTP endpoint stopped: {error}");
                }
            });
        }
        listener.accept(socket)?;
        Ok(listener)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Closes the socket and every connection. Returns when new connections are refused.
    pub(super) fn pause(&self) {
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(accepting), Ok(runtime)) = (accepting, self.runtime()) else { return };
        accepting.abort();
        // Waiting happens elsewhere: the caller may be inside a runtime of its own.
        let handle = runtime.handle().clone();
        let ended = std::thread::spawn(move || handle.block_on(accepting));
        // An aborted task ends with an error.
        let _ = ended.join();
    }

    pub(super) fn resume(&self) -> Result<()> {
        let socket = TcpListener::bind(self.address).with_context(|| format!("cannot listen on {}", self.address))?;
        self.accept(socket)
    }

    fn accept(&self, socket: TcpListener) -> Result<()> {
        socket.set_nonblocking(true)?;
        let tls = tls::acceptor(&self.server.options)?;
        let runtime = self.runtime()?;
        let _guard = runtime.enter();
        let socket = tokio::net::TcpListener::from_std(socket)?;
        let task = runtime.spawn(accept(socket, Arc::clone(&self.server), tls));
        *self.accepting.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(())
    }

    fn runtime(&self) -> Result<&Runtime> {
        self.runtime.as_ref().ok_or_else(|| anyhow!("the server has ended"))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Blocking is not allowed on a runtime's thread, where the caller may be.
            let ended = std::thread::spawn(move || runtime.shutdown_timeout(END_LIMIT));
            let _ = ended.join();
        }
    }
}

/// Accepts until aborted; the connections are aborted with it.
async fn accept(socket: tokio::net::TcpListener, server: Arc<Server>, tls: Option<TlsAcceptor>) {
    let mut connections = JoinSet::new();
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                connections.spawn(connection::serve(Arc::clone(&server), tls.clone(), stream));
            }
            // A client that was gone before it was accepted.
            Err(error) => eprintln!("a connection cannot be accepted: {error}"),
        }
        while connections.try_join_next().is_some() {}
    }
}
