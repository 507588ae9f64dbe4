//! The stores that tests run on, and a clock that stands still.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tailwater::lake::{Clock, Directory, S3, S3Options, StaticKeys, Store};
use tailwater_servers::S3 as Server;

use super::memory::Memory;

/// A store and what has to live as long as it does.
pub(super) struct Fixture {
    pub(super) store: Arc<dyn Store>,
    /// The S3 server, to make it fail.
    pub(super) server: Option<Server>,
    folder: Option<tempfile::TempDir>,
}

impl Fixture {
    pub(super) fn memory() -> Self {
        Self { store: Arc::new(Memory::default()), server: None, folder: None }
    }

    pub(super) fn directory() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: Arc::new(Directory::open(folder.path()).unwrap()), server: None, folder: Some(folder) }
    }

    pub(super) async fn s3() -> Self {
        let server = Server::with_bucket("lake").unwrap();
        Self { store: Arc::new(S3::open(s3_options(&server)).await.unwrap()), server: Some(server), folder: None }
    }

    pub(super) fn folder(&self) -> &std::path::Path {
        self.folder.as_ref().unwrap().path()
    }
}

pub(super) fn s3_options(server: &Server) -> S3Options {
    S3Options {
        bucket: "lake".into(),
        prefix: "root/shop".into(),
        region: Some(Server::REGION.into()),
        endpoint: Some(server.endpoint()),
        path_style: true,
        keys: Some(StaticKeys {
            access_key_id: Server::ACCESS_KEY.into(),
            secret_access_key: Server::SECRET_KEY.into(),
            session_token: None,
        }),
        request_timeout: None,
    }
}

/// Runs one async test function on every store.
macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        mod memory_store {
            $(#[tokio::test] async fn $name() { super::$name($crate::lake::stores::Fixture::memory()).await; })*
        }
        mod directory_store {
            $(#[tokio::test] async fn $name() { super::$name($crate::lake::stores::Fixture::directory()).await; })*
        }
        mod s3_store {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name($crate::lake::stores::Fixture::s3().await).await; })*
        }
    };
}
pub(super) use on_every_store;

/// A clock that moves when it is told to, or when somebody sleeps.
#[derive(Debug)]
pub(super) struct TestClock {
    micros: AtomicU64,
}

impl TestClock {
    pub(super) fn new() -> Arc<Self> {
        // 2026-11-21, so that sequence numbers look like real ones.
        Arc::new(Self { micros: AtomicU64::new(1_795_219_200_000_000) })
    }

    pub(super) fn advance(&self, by: Duration) {
        self.micros.fetch_add(by.as_micros() as u64, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn unix_micros(&self) -> i64 {
        self.micros.load(Ordering::SeqCst) as i64
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::SeqCst))
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
        // Lets others run, as a real wait would.
        tokio::task::yield_now().await;
    }
}
