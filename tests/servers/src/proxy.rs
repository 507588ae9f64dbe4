//! A TCP proxy that does to a connection what networks do.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;

use crate::background::Background;

/// Bytes passed on at once.
const CHUNK: usize = 16 * 1024;

/// A proxy in front of one server, with faults that can be switched while it runs. Dropping it
/// ends every connection.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _background: Background,
}

#[derive(Debug)]
struct Shared {
    settings: watch::Sender<Settings>,
    /// Faults that wait for a byte from the server.
    armed: Mutex<Armed>,
    accepted: AtomicU64,
    to_client: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    target: SocketAddr,
    /// Counts the cuts; a connection ends when it changes.
    cuts: u64,
    down: bool,
    stalled: bool,
    delay: Duration,
}

/// Both count the bytes still to pass from the server before the fault.
#[derive(Debug, Default)]
struct Armed {
    cut: Option<u64>,
    corrupt: Option<u64>,
}

impl Proxy {
    /// Starts a proxy to `target` on a port that the system chooses.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for a proxy")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let settings = Settings { target, cuts: 0, down: false, stalled: false, delay: Duration::ZERO };
        let shared = Arc::new(Shared {
            settings: watch::Sender::new(settings),
            armed: Mutex::default(),
            accepted: AtomicU64::new(0),
            to_client: AtomicU64::new(0),
        });
        let serving = Arc::clone(&shared);
        let background = Background::run("proxy", async move {
            if let Err(error) = serve(listener, serving).await {
                eprintln!("the proxy stopped: {error}");
            }
        })?;
        Ok(Self { address, shared, _background: background })
    }

    /// Host and port for clients.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Port for clients.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `url` with its port replaced by the proxy's, for instance `mysql.url()`.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let target = self.shared.settings.borrow().target;
        url.replacen(&target.to_string(), &self.address.to_string(), 1)
    }

    /// Sends new connections to another server; live ones stay where they are.
    pub fn set_target(&self, target: SocketAddr) {
        self.change(|settings| settings.target = target);
    }

    /// Resets every live connection now. New ones pass.
    pub fn cut(&self) {
        self.change(|settings| settings.cuts += 1);
    }

    /// `true` resets every live connection and every new one; `false` lets new ones pass again.
    pub fn set_down(&self, down: bool) {
        self.change(|settings| {
            settings.down = down;
            settings.cuts += u64::from(down);
        });
    }

    /// `true` holds all bytes back, with connections open (a host that went silent); `false` lets
    /// them go on.
    pub fn set_stalled(&self, stalled: bool) {
        self.change(|settings| settings.stalled = stalled);
    }

    /// Every piece of data in either direction waits this long first.
    pub fn set_delay(&self, delay: Duration) {
        self.change(|settings| settings.delay = delay);
    }

    /// Passes `bytes` more from server to client, counted over all connections, then resets the
    /// connection that has the next one. Happens once.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.armed().cut = Some(bytes);
    }

    /// Inverts the byte `offset` from now on from server to client, counted over all connections
    /// and from 0. Happens once.
    pub fn corrupt_at(&self, offset: u64) {
        self.shared.armed().corrupt = Some(offset);
    }

    /// Whether a fault of [`cut_after`](Self::cut_after) or [`corrupt_at`](Self::corrupt_at) is
    /// still to come.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        let armed = self.shared.armed();
        armed.cut.is_some() || armed.corrupt.is_some()
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Bytes passed from server to client so far.
    #[must_use]
    pub fn bytes_to_client(&self) -> u64 {
        self.shared.to_client.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) {
        self.shared.settings.send_modify(change);
    }
}

impl Shared {
    fn armed(&self) -> MutexGuard<'_, Armed> {
        self.armed.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Applies the armed faults to bytes from the server. Returns how many of them pass when the
    /// connection is to be cut after those.
    fn damage(&self, bytes: &mut [u8]) -> Option<usize> {
        let mut armed = self.armed();
        let count = bytes.len() as u64;
        if let Some(offset) = armed.corrupt.take() {
            match usize::try_from(offset).ok().and_then(|offset| bytes.get_mut(offset)) {
                Some(byte) => *byte = !*byte,
                None => armed.corrupt = Some(offset - count),
            }
        }
        let left = armed.cut.take()?;
        if left < count {
            return usize::try_from(left).ok();
        }
        armed.cut = Some(left - count);
        None
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (client, _) = listener.accept().await?;
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(connect(client, Arc::clone(&shared)));
    }
}

/// Serves one connection until either side ends it or it is cut.
async fn connect(mut client: TcpStream, shared: Arc<Shared>) {
    let mut settings = shared.settings.subscribe();
    let Settings { target, cuts, down, .. } = *settings.borrow_and_update();
    let server = if down { None } else { TcpStream::connect(target).await.ok() };
    let Some(mut server) = server else {
        reset(&client);
        return;
    };
    // Errors of these are those of a connection that is gone, which the first read meets again.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let passing = async {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::try_join!(
            pass(from_client, to_server, &shared, Direction::ToServer),
            pass(from_server, to_client, &shared, Direction::ToClient),
        )
    };
    // In this order: what comes behind a cut does not pass, however busy the machine is.
    let orderly = tokio::select! {
        biased;
        _ = settings.wait_for(|now| now.cuts != cuts) => false,
        passed = passing => passed.is_ok(),
    };
    if !orderly {
        reset(&client);
        reset(&server);
    }
}

/// Makes the closing of a connection a reset, as when a host or a firewall drops out.
fn reset(stream: &TcpStream) {
    // An error means that the other side has closed it already.
    let _ = stream.set_zero_linger();
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

/// Copies one direction to its end, and passes the end on. The error is a cut.
async fn pass(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    shared: &Shared,
    direction: Direction,
) -> std::io::Result<()> {
    let mut settings = shared.settings.subscribe();
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = from.read(&mut buffer).await?;
        // The sender of the settings lives as long as `shared`, so waiting for it does not fail.
        let delay = match settings.wait_for(|now| !now.stalled).await {
            Ok(now) => now.delay,
            Err(_) => Duration::ZERO,
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if count == 0 {
            return to.shutdown().await;
        }
        let bytes = &mut buffer[..count];
        let cut = match direction {
            Direction::ToServer => None,
            Direction::ToClient => shared.damage(bytes),
        };
        let passing = &bytes[..cut.unwrap_or(count)];
        to.write_all(passing).await?;
        if direction == Direction::ToClient {
            shared.to_client.fetch_add(passing.len() as u64, Ordering::Relaxed);
        }
        if cut.is_some() {
            // The bytes before the cut must arrive: a reset would overtake them.
            to.shutdown().await?;
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
    }
}
