//! The port: connections, and the bounds on them.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{route::Site, slow::Impatient};
use crate::{
    config::{HTTP_PORT, Http, Listen},
    live::{LOOK_EVERY, now},
};

/// Connections at once: some browsers, a few scrapers and the probes. Further ones wait in the system's queue.
const CONNECTIONS: usize = 64;

/// Bytes of a request's head. Ours are a few hundred; tokens and cookies of other sites may come along.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Longest time for a request's head to come, which is also how long a connection may be idle: above the usual interval
/// between two scrapes, so that they share one.
const HEAD_TIME_MAX: Duration = Duration::from_secs(40);

/// Longest time that an answer may wait for a client to read on.
const READ_TIME_MAX: Duration = Duration::from_secs(10);

/// How long answers that are under way may take when the process ends.
const GOODBYE: Duration = Duration::from_secs(1);

/// Wait after a connection could not be accepted, which happens when the process is out of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// The port cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}, the address for metrics, probes and the live page")]
pub struct HttpError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl HttpError {
    /// What the operator does about it.
    pub fn mend(&self) -> String {
        let at = self.address.ip();
        match self.source.kind() {
            io::ErrorKind::AddrInUse => format!(
                "another process has the port: give this one its own by http.listen or --http, such as {}, let the system choose \
                 by {}, or serve nothing by --http off",
                SocketAddr::new(at, self.address.port().wrapping_add(1).max(1024)),
                SocketAddr::new(at, 0)
            ),
            io::ErrorKind::AddrNotAvailable => {
                format!("this machine has no address {at}: write 127.0.0.1 or 0.0.0.0 in http.listen")
            }
            io::ErrorKind::PermissionDenied => "ports below 1024 belong to root: choose a greater one".to_owned(),
            _ => "choose another address by http.listen or --http, or serve nothing by --http off".to_owned(),
        }
    }
}

/// A port that is ours; nothing is answered yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Takes the configured port; `None` where nothing is to be served.
    ///
    /// Where no address is written and the usual port is taken, a free one is as good: nobody can have been told to ask the
    /// usual one for *this* process.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub async fn open(config: &Http) -> Result<Option<Self>, HttpError> {
        let bind = async |address: SocketAddr| match TcpListener::bind(address).await {
            Ok(listener) => {
                let address = listener.local_addr().unwrap_or(address);
                Ok(Some(Self { listener, address }))
            }
            Err(source) => Err(HttpError { address, source }),
        };
        match config.listen {
            Some(Listen::Off) => Ok(None),
            Some(Listen::At(address)) => bind(address).await,
            None => {
                let usual = SocketAddr::from(([127, 0, 0, 1], HTTP_PORT));
                match bind(usual).await {
                    Err(e) if e.source.kind() == io::ErrorKind::AddrInUse => {
                        tracing::info!(port = HTTP_PORT, "the usual port is another process's; taking a free one");
                        bind(SocketAddr::new(usual.ip(), 0)).await
                    }
                    other => other,
                }
            }
        }
    }

    /// Where it listens; never with port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until [`Serving::end`].
    pub fn serve(self, site: Arc<Site>) -> Serving {
        tracing::info!(address = %self.address, url = format!("http://{}/", self.address), "serving metrics, probes and the live page");
        let (stop, stopped) = watch::channel(false);
        let looking = tokio::spawn(look(Arc::clone(&site), stopped.clone()));
        let accepting = tokio::spawn(accept(self.listener, site, stopped));
        Serving { stop, tasks: [looking, accepting] }
    }
}

/// A port that answers.
#[derive(Debug)]
pub struct Serving {
    stop: watch::Sender<bool>,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

impl Serving {
    /// Finishes what is being answered, within a second.
    pub async fn end(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            // A panic there has been logged and is no reason to fail a process that is done.
            let _ = task.await;
        }
    }
}

/// Remembers the figures now and then, for curves and rates.
async fn look(site: Arc<Site>, mut stopped: watch::Receiver<bool>) {
    loop {
        site.look(site.metrics.snapshot(now()));
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

async fn accept(listener: TcpListener, site: Arc<Site>, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        // Ended ones are taken out so that the set does not grow.
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let (site, stopped) = (Arc::clone(&site), stopped.clone());
                connections.spawn(async move {
                    converse(stream, site, stopped).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection for metrics and probes");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    let _ = timeout(GOODBYE, async { while connections.join_next().await.is_some() {} }).await;
    connections.shutdown().await;
}

/// Answers on one connection until it ends or the process does. What goes wrong concerns the client alone.
async fn converse(stream: TcpStream, site: Arc<Site>, mut stopped: watch::Receiver<bool>) {
    // Answers are written at once; waiting for more would only delay the last packet.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, std::convert::Infallible>(site.respond(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Impatient::new(stream, READ_TIME_MAX)), service);
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => Some(outcome),
        _ = stopped.wait_for(|stop| *stop) => None,
    };
    let outcome = match outcome {
        Some(outcome) => outcome,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection for metrics and probes ended");
    }
}
