//! A server of the S3 protocol over a folder, in this process.

mod faults;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;

use faults::FaultyService;
pub use faults::{S3Fault, S3Request};

use crate::background::Background;
use crate::process::Server;

/// A running S3 server, stopped and removed when dropped. It checks signatures and checksums, and
/// answers `If-None-Match: *` and `If-Match` on PUT as S3 does.
#[derive(Debug)]
pub struct S3 {
    address: SocketAddr,
    faults: Arc<faults::Faults>,
    // The order matters: the server ends before its folder goes.
    _background: Background,
    folder: Server,
}

impl S3 {
    /// The access key id that the server knows.
    pub const ACCESS_KEY: &str = "AKIATAILWATERTEST";
    /// The secret access key that belongs to it.
    pub const SECRET_KEY: &str = "tailwater-test-secret-key";
    /// A region to sign for; the server takes any.
    pub const REGION: &str = "us-east-1";

    /// Starts a server without buckets on a port that the system chooses.
    ///
    /// # Errors
    /// When no folder or port can be had.
    pub fn start() -> Result<Self> {
        let folder = Server::new("s3")?;
        let files = s3s_fs::FileSystem::new(folder.folder())
            .map_err(|error| anyhow!("the S3 server cannot use its folder: {error:?}"))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(Self::ACCESS_KEY, Self::SECRET_KEY));
        let faults = Arc::default();
        let service = FaultyService::new(builder.build(), Arc::clone(&faults));

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for S3")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let background = Background::run("s3", async move {
            if let Err(error) = serve(listener, service).await {
                eprintln!("the S3 server stopped: {error:#}");
            }
        })?;
        Ok(Self { address, faults, _background: background, folder })
    }

    /// Starts a server with one bucket.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn with_bucket(bucket: &str) -> Result<Self> {
        let server = Self::start()?;
        server.create_bucket(bucket)?;
        Ok(server)
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Endpoint URL. Clients must use path style: the bucket is not in the host name.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn create_bucket(&self, name: &str) -> Result<()> {
        let folder = self.bucket_folder(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))
    }

    /// The folder with the objects of a bucket, one file each, to look at or to damage.
    #[must_use]
    pub fn bucket_folder(&self, name: &str) -> PathBuf {
        self.folder.folder().join(name)
    }

    /// Keys of all objects of a bucket, sorted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn keys(&self, bucket: &str) -> Result<Vec<String>> {
        let folder = self.bucket_folder(bucket);
        let mut keys = Vec::new();
        collect_keys(&folder, &folder, &mut keys)?;
        keys.sort();
        Ok(keys)
    }

    /// Makes requests fail from now on; faults are tried in the order they were injected, and one
    /// request meets one fault at most.
    pub fn inject(&self, fault: S3Fault) {
        self.faults.add(fault);
    }

    /// How many faults are still to come.
    #[must_use]
    pub fn pending_faults(&self) -> usize {
        self.faults.pending()
    }

    /// Takes back the faults that have not happened.
    pub fn clear_faults(&self) {
        self.faults.clear();
    }

    /// The requests answered or failed so far (the last 10,000), oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<S3Request> {
        self.faults.requests()
    }
}

async fn serve(listener: TcpListener, service: FaultyService) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let http = auto::Builder::new(TokioExecutor::new());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection = http.serve_connection(TokioIo::new(stream), service.clone()).into_owned();
        tokio::spawn(async move {
            // An error is a client that went away, or a fault that was asked for.
            let _ = connection.await;
        });
    }
}

fn collect_keys(root: &Path, folder: &Path, keys: &mut Vec<String>) -> Result<()> {
    for item in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let item = item?;
        let path = item.path();
        if item.file_type()?.is_dir() {
            collect_keys(root, &path, keys)?;
        } else {
            keys.push(path.strip_prefix(root)?.to_string_lossy().into_owned());
        }
    }
    Ok(())
}
