//! A lake in a folder of an ordinary file system.
//!
//! Create-if-absent is `link`: it fails when the name is taken, on every POSIX file system and atomically. The content
//! is written and flushed under a temporary name before, so that a name in the tree always means a whole, durable
//! object. Temporary files lie in `.tmp` of the root, which no object path can name.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Created, LIST_PAGE, Listed, Page, Store, StoreError, StoreErrorKind};
use crate::lake::paths::{DATA, ObjectPath};

/// Folder of unfinished files.
const TEMPORARY: &str = ".tmp";

/// Age at which an unfinished file cannot belong to a running process: no write takes a day.
const TEMPORARY_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Tries of writing into a folder that deletions may remove for being empty. One in a row is rare.
const PARENT_TRIES: u32 = 8;

/// A [`Store`] in a folder.
#[derive(Clone, Debug)]
pub struct Directory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Makes temporary names unique in this process.
    count: AtomicU64,
    /// Makes them unique among processes, also of other machines that mount the folder.
    nonce: u64,
}

impl Directory {
    /// The store in `root`, which is created if needed. Removes unfinished files that are older than a day.
    ///
    /// # Errors
    /// When the folder cannot be made or written to.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        let failed = |e: io::Error| failure("open", &root, e);
        let temporary = root.join(TEMPORARY);
        make_folder(&temporary).map_err(failed)?;
        let root = root.canonicalize().map_err(failed)?;
        remove_old(&root.join(TEMPORARY));
        Ok(Self { inner: Arc::new(Inner { root, count: AtomicU64::new(0), nonce: rand::random() }) })
    }

    /// Runs `work` where blocking is allowed and names the object in its error.
    async fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        path: &ObjectPath,
        work: impl FnOnce(&Inner, &Path) -> Result<T, Failed> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        let full = inner.root.join(path.as_str());
        let done = tokio::task::spawn_blocking(move || {
            work(&inner, &full).map_err(|f| {
                let mut error = failure(action, &full, f.cause);
                if f.undecided {
                    error.kind = StoreErrorKind::Other;
                }
                error
            })
        });
        done.await.unwrap_or_else(|e| Err(failure(action, &self.inner.root, io::Error::other(e))))
    }
}

/// An IO error and whether the effect may have happened all the same.
struct Failed {
    cause: io::Error,
    undecided: bool,
}

impl From<io::Error> for Failed {
    fn from(cause: io::Error) -> Self {
        Self { cause, undecided: false }
    }
}

#[async_trait]
impl Store for Directory {
    async fn get(&self, path: &ObjectPath) -> Result<Option<Bytes>, StoreError> {
        let read = |inner: &Inner, full: &Path| Ok(inner.absent(fs::read(full))?.map(Bytes::from));
        self.blocking("read", path, read).await
    }

    async fn size(&self, path: &ObjectPath) -> Result<Option<u64>, StoreError> {
        let measure = |inner: &Inner, full: &Path| {
            Ok(inner.absent(fs::metadata(full))?.and_then(|m| m.is_file().then_some(m.len())))
        };
        self.blocking("measure", path, measure).await
    }

    async fn create(&self, path: &ObjectPath, content: Bytes) -> Result<Created, StoreError> {
        self.blocking("create", path, move |inner, full| inner.create(full, &content)).await
    }

    async fn put(&self, path: &ObjectPath, content: Bytes) -> Result<(), StoreError> {
        let replace = move |inner: &Inner, full: &Path| {
            let temporary = inner.write_temporary(&content)?;
            let folder = in_parent(full, || fs::rename(&temporary.0, full))?;
            std::mem::forget(temporary);
            flush_folder(&folder).map_err(|cause| Failed { cause, undecided: true })
        };
        self.blocking("replace", path, replace).await
    }

    async fn delete(&self, path: &ObjectPath) -> Result<(), StoreError> {
        let is_data = path.as_str().starts_with(DATA);
        let delete = move |inner: &Inner, full: &Path| {
            inner.absent(fs::remove_file(full))?;
            if let Some(partition) = full.parent().filter(|_| is_data) {
                // Refused while something is in it. Days come and go, so empty ones would pile up.
                let _ = fs::remove_dir(partition);
            }
            Ok(())
        };
        self.blocking("delete", path, delete).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&ObjectPath>) -> Result<Page, StoreError> {
        let inner = Arc::clone(&self.inner);
        let (prefix, start_after) = (prefix.to_owned(), start_after.map(|p| p.as_str().to_owned()));
        let walk = tokio::task::spawn_blocking(move || {
            let mut walk = Walk { prefix, start_after, found: Vec::new() };
            let walked = walk.folder(&inner.root, "");
            let checked = walked.and_then(|()| inner.check_mounted());
            checked.map_err(|e| failure("list", &inner.root.join(&walk.prefix), e))?;
            let next = (walk.found.len() == LIST_PAGE).then(|| walk.found.last().map(|l| l.path.clone())).flatten();
            Ok(Page { objects: walk.found, next })
        });
        walk.await.unwrap_or_else(|e| Err(failure("list", &self.inner.root, io::Error::other(e))))
    }

    fn url(&self, path: &ObjectPath) -> String {
        self.inner.root.join(path.as_str()).display().to_string()
    }

    fn describe(&self) -> String {
        format!("folder {}", self.inner.root.display())
    }
}

/// A temporary file, removed when dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now goes when it is a day old.
        let _ = fs::remove_file(&self.0);
    }
}

impl Inner {
    /// Turns "not found" into `None`, unless it is the whole lake that is not there: a reader would wait for ever.
    fn absent<T>(&self, result: io::Result<T>) -> io::Result<Option<T>> {
        let found = absent(result)?;
        if found.is_none() {
            self.check_mounted()?;
        }
        Ok(found)
    }

    /// The folder of unfinished files is made when the store is opened, so without it another file system, or none, is
    /// mounted at the root.
    fn check_mounted(&self) -> io::Result<()> {
        fs::metadata(self.root.join(TEMPORARY)).map(|_| ())
    }

    fn write_temporary(&self, content: &[u8]) -> io::Result<Temporary> {
        let name = format!("{:016x}-{}", self.nonce, self.count.fetch_add(1, Ordering::Relaxed));
        // Not made anew when it is missing: that is a root whose file system is not mounted, and objects written below
        // the bare mount point would be lost from sight.
        let path = self.root.join(TEMPORARY).join(name);
        let mut file = File::create_new(&path)?;
        let temporary = Temporary(path);
        file.write_all(content)?;
        // Some file systems (delayed allocation, quotas, NFS) report a full disk only here.
        file.sync_all()?;
        Ok(temporary)
    }

    fn create(&self, full: &Path, content: &[u8]) -> Result<Created, Failed> {
        if full.try_exists()? {
            // Cheap answer for the common loser; the link below decides.
            flush_folder(full.parent().unwrap_or(&self.root))?;
            return Ok(Created::Exists);
        }
        let temporary = self.write_temporary(content)?;
        let mut created = Ok(());
        let folder = in_parent(full, || {
            created = fs::hard_link(&temporary.0, full);
            match &created {
                Err(e) if e.kind() == ErrorKind::NotFound => Err(ErrorKind::NotFound.into()),
                _ => Ok(()),
            }
        })?;
        let created = match created {
            Ok(()) => Created::New,
            // NFS may repeat a request whose answer was lost; two names on our own file mean it was ours.
            Err(e) if e.kind() == ErrorKind::AlreadyExists && links(&temporary.0) > 1 => Created::New,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Created::Exists,
            Err(e) => return Err(e.into()),
        };
        flush_folder(&folder).map_err(|cause| Failed { cause, undecided: true })?;
        Ok(created)
    }
}

#[cfg(unix)]
fn links(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map_or(0, |m| m.nlink())
}

#[cfg(not(unix))]
fn links(_: &Path) -> u64 {
    0
}

/// Turns "not found" into `None`. A file where a folder should be means the same.
fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Does what needs the folder of `full`, and again where a deletion has just removed the folder for being empty. Answers the
/// folder.
fn in_parent(full: &Path, mut work: impl FnMut() -> io::Result<()>) -> io::Result<PathBuf> {
    let parent = full.parent().unwrap_or(full).to_owned();
    let mut tries = PARENT_TRIES;
    loop {
        make_folder(&parent)?;
        tries -= 1;
        match work() {
            Err(e) if e.kind() == ErrorKind::NotFound && tries > 0 => {}
            Err(e) => return Err(e),
            Ok(()) => return Ok(parent),
        }
    }
}

/// Makes a folder and its parents and flushes the name of each new one: a durable file in a forgotten folder is lost.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent().filter(|p| !p.as_os_str().is_empty()) {
        make_folder(parent)?;
    }
    match fs::create_dir(folder) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
        Err(e) => return Err(e),
    }
    match folder.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(parent) => flush_folder(parent),
        None => Ok(()),
    }
}

#[cfg(unix)]
fn flush_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn flush_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn remove_old(temporary: &Path) {
    let Ok(entries) = fs::read_dir(temporary) else { return };
    let now = SystemTime::now();
    for entry in entries.flatten() {
        let age = entry.metadata().and_then(|m| m.modified()).map(|t| now.duration_since(t).unwrap_or_default());
        if age.is_ok_and(|age| age > TEMPORARY_AGE_MAX) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A walk through the tree in byte order of whole paths, which is S3's order.
struct Walk {
    prefix: String,
    start_after: Option<String>,
    found: Vec<Listed>,
}

impl Walk {
    /// Visits `folder`, whose objects' paths begin with `base`. Names of one folder are sorted in memory.
    fn folder(&mut self, folder: &Path, base: &str) -> io::Result<()> {
        let Some(entries) = absent(fs::read_dir(folder))? else { return Ok(()) };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // A folder sorts with the slash that its objects have behind its name.
            let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
            let path = format!("{base}{name}{slash}");
            if !name.starts_with('.') && self.may_match(&path) {
                names.push(path);
            }
        }
        names.sort_unstable();
        for path in names {
            if self.found.len() == LIST_PAGE {
                break;
            }
            let full = folder.join(path.strip_prefix(base).unwrap_or(&path));
            if path.ends_with('/') {
                self.folder(&full, &path)?;
            } else if let Ok(object) = ObjectPath::parse(&path) {
                // Gone since the folder was read: not there.
                if let Some(meta) = absent(fs::metadata(&full))? {
                    self.found.push(Listed { path: object, bytes: meta.len() });
                }
            }
        }
        Ok(())
    }

    /// Whether `path`, or for a folder something in it, can be wanted.
    fn may_match(&self, path: &str) -> bool {
        let inside = path.ends_with('/');
        let after = self.start_after.as_deref().is_none_or(|s| path > s || (inside && s.starts_with(path)));
        after && (path.starts_with(&self.prefix) || (inside && self.prefix.starts_with(path)))
    }
}

fn failure(action: &'static str, path: &Path, cause: io::Error) -> StoreError {
    let (kind, problem, mend) = match cause.kind() {
        ErrorKind::StorageFull => (StoreErrorKind::Full, "the disk is full", "free space there"),
        ErrorKind::QuotaExceeded => {
            (StoreErrorKind::Full, "the disk quota is used up", "raise the quota or free space")
        }
        ErrorKind::PermissionDenied => (
            StoreErrorKind::Denied,
            "permission denied",
            "give the user that runs this process the right to write there",
        ),
        ErrorKind::ReadOnlyFilesystem => (StoreErrorKind::Denied, "the file system is read-only", "mount it writable"),
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            (StoreErrorKind::Missing, "the lake's folder is not there", "is its file system mounted?")
        }
        ErrorKind::Unsupported => {
            let mend = "use a file system with hard links (ext4, xfs, btrfs, zfs, apfs, NFS)";
            (StoreErrorKind::Refused, "the file system has no hard links", mend)
        }
        ErrorKind::InvalidFilename => {
            (StoreErrorKind::Refused, "the file system refuses the name", "use one that takes names of 255 bytes")
        }
        ErrorKind::Interrupted | ErrorKind::TimedOut | ErrorKind::StaleNetworkFileHandle | ErrorKind::ResourceBusy => {
            (StoreErrorKind::Transient, "the file system did not answer in time", "check the mount")
        }
        _ => (StoreErrorKind::Other, "the file system reported an error", "check the disk and its mount"),
    };
    StoreError {
        kind,
        action,
        url: path.display().to_string(),
        problem: problem.to_owned(),
        mend: Some(mend.to_owned()),
        source: Some(Box::new(cause)),
    }
}
