//! The folder where unpacked servers and initialised data folders are kept between runs.
//!
//! Everything in it can be deleted at any time; it is then made again. Entries are made under a
//! temporary name and renamed into place, so an entry that exists is complete.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

/// Variable that names the cache folder; without it the folder follows the XDG rules.
pub(crate) const CACHE_VARIABLE: &str = "TAILWATER_CACHE";

/// The cache folder: `$TAILWATER_CACHE`, else `$XDG_CACHE_HOME/tailwater`, else `~/.cache/tailwater`.
///
/// # Errors
/// When none of the variables is set or the folder cannot be made.
pub fn folder() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = set(CACHE_VARIABLE)
        .map(PathBuf::from)
        .or_else(|| set("XDG_CACHE_HOME").map(|home| Path::new(&home).join("tailwater")))
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache/tailwater")))
        .ok_or_else(|| anyhow!("no cache folder: set {CACHE_VARIABLE}, XDG_CACHE_HOME or HOME"))?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the cache folder {}", folder.display()))?;
    fs::canonicalize(&folder).with_context(|| format!("cannot resolve the cache folder {}", folder.display()))
}

/// Returns the cache entry `key`, calling `make` with an empty folder when it is not there yet.
///
/// `make` is told the final path too, because some files name the folder they are in. Processes
/// that ask for the same key at once wait for one of them to make it.
pub(crate) fn entry(cache: &Path, key: &str, make: impl FnOnce(&Path, &Path) -> Result<()>) -> Result<PathBuf> {
    let target = cache.join(key);
    if target.is_dir() {
        return Ok(target);
    }
    let locks = cache.join("locks");
    fs::create_dir_all(&locks).with_context(|| format!("cannot make {}", locks.display()))?;
    let path = locks.join(format!("{}.lock", key.replace('/', "_")));
    let lock = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    // Released when `lock` is dropped, and by the kernel when this process dies.
    lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    if target.is_dir() {
        return Ok(target);
    }
    let draft = tempfile::Builder::new()
        .prefix("draft-")
        .tempdir_in(cache)
        .with_context(|| format!("cannot make a folder in {}", cache.display()))?;
    let contents = draft.path().join("contents");
    fs::create_dir(&contents).with_context(|| format!("cannot make {}", contents.display()))?;
    make(&contents, &target)?;
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    fs::rename(&contents, &target).with_context(|| format!("cannot move the new entry to {}", target.display()))?;
    Ok(target)
}

/// A short text that changes when any of `parts` does: an entry made in another way gets another key.
pub(crate) fn fingerprint(parts: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    format!("{:08x}", hasher.finish() >> 32)
}

/// Copies a folder with everything in it. Holes in sparse files are filled.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for item in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let item = item.with_context(|| format!("cannot read {}", from.display()))?;
        let (source, target) = (item.path(), to.join(item.file_name()));
        if item.file_type()?.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            fs::copy(&source, &target).with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    // Servers check the mode of their data folder (PostgreSQL refuses a readable one).
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn an_entry_is_made_once_when_many_ask_for_it() {
        let cache = tempfile::tempdir().unwrap();
        let made = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let path = entry(cache.path(), "a/b", |draft, _| {
                        made.fetch_add(1, Ordering::Relaxed);
                        fs::write(draft.join("file"), "text").map_err(Into::into)
                    });
                    assert!(path.unwrap().join("file").exists());
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }

    #[test]
    fn an_entry_that_fails_is_not_there_and_is_tried_again() {
        let cache = tempfile::tempdir().unwrap();
        entry(cache.path(), "a", |_, _| anyhow::bail!("no")).unwrap_err();
        assert!(!cache.path().join("a").exists());
        entry(cache.path(), "a", |_, _| Ok(())).unwrap();
        assert!(cache.path().join("a").is_dir());
    }
}
