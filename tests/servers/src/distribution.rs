//! Where the programs of a server come from: a variable, the cache, the system, or Debian.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

use crate::cache;
use crate::debian::{self, Packages};

/// Set to `1`, programs of the system are passed over and the cache is used.
pub(crate) const IGNORE_SYSTEM_VARIABLE: &str = "TAILWATER_IGNORE_SYSTEM";

/// A server that can be had, and how.
#[derive(Debug)]
pub(crate) struct Distribution {
    /// Name for messages, and with the suite the key of the cache entry.
    pub(crate) name: &'static str,
    /// Packages that hold the server and the client programs the tests use.
    pub(crate) packages: Packages,
    /// The server program; `--version` of it must print `version`.
    pub(crate) server: &'static str,
    /// Text that tells a fitting version.
    pub(crate) version: &'static str,
    /// Variable that names the server program; the clients are looked for beside it.
    pub(crate) variable: &'static str,
    /// Folders of programs inside a root, the first match counts.
    pub(crate) folders: &'static [&'static str],
    /// All programs needed, the server included.
    pub(crate) programs: &'static [&'static str],
}

/// The programs of one server, ready to run.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    folders: Vec<PathBuf>,
    /// The folder that holds `usr`, when the programs are unpacked packages.
    pub(crate) root: Option<PathBuf>,
}

impl Installation {
    /// Path of a program; it can be run as it is.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf> {
        self.folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
            .ok_or_else(|| anyhow!("there is no program `{name}` in {:?}", self.folders))
    }
}

impl Distribution {
    /// Finds the programs, fetching them when this machine does not have them.
    ///
    /// In order: the variable, the cache, a fitting program of the system, Debian's packages.
    pub(crate) fn install(&self) -> Result<Installation> {
        self.install_in(&cache::folder()?)
    }

    pub(crate) fn install_in(&self, cache: &Path) -> Result<Installation> {
        if let Some(path) = std::env::var_os(self.variable).filter(|path| !path.is_empty()) {
            let path = PathBuf::from(path);
            let Some(folder) = path.parent().filter(|_| path.is_file()) else {
                bail!("{} names no program: {}", self.variable, path.display());
            };
            return Ok(self.beside(folder));
        }
        let key = self.key();
        if !cache.join(&key).is_dir()
            && let Some(found) = self.on_system()
        {
            return Ok(found);
        }
        let root = cache::entry(cache, &key, |draft, target| self.fetch(draft, target)).with_context(|| {
            format!(
                "cannot get {} (set {} to the path of a `{}` to use that instead)",
                self.name, self.variable, self.server
            )
        })?;
        let folders = self.folders.iter().map(|folder| root.join(folder)).collect();
        Ok(Installation { folders, root: Some(root) })
    }

    fn key(&self) -> String {
        format!("{}-{}-{}", self.name, self.packages.suite, std::env::consts::ARCH)
    }

    fn beside(&self, folder: &Path) -> Installation {
        let mut folders = vec![folder.to_path_buf(), folder.join("../bin")];
        folders.extend(search_path());
        Installation { folders, root: None }
    }

    fn on_system(&self) -> Option<Installation> {
        if std::env::var_os(IGNORE_SYSTEM_VARIABLE).is_some_and(|value| value == "1") {
            return None;
        }
        let system = self.folders.iter().map(|folder| Path::new("/").join(folder));
        let fits = |folder: &PathBuf| {
            let server = folder.join(self.server);
            server.is_file() && version_of(&server).is_ok_and(|text| text.contains(self.version))
        };
        let folder = system.chain(search_path()).find(fits)?;
        let found = self.beside(&folder);
        self.programs.iter().all(|name| found.program(name).is_ok()).then_some(found)
    }

    fn fetch(&self, draft: &Path, target: &Path) -> Result<()> {
        let started = Instant::now();
        eprintln!("fetching {} from Debian's suite {} into {}", self.name, self.packages.suite, target.display());
        debian::unpack(&self.packages, draft)?;
        self.write_launchers(draft, target)?;
        eprintln!("fetched {} in {:.1} s", self.name, started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Puts a small program in the place of each real one, which runs it with the loader and the
    /// libraries it was built with: the unpacked C library may be newer than the system's.
    ///
    /// The real program takes the path of its launcher for its own, so a server that runs a program
    /// beside it (as `initdb` does) runs that one's launcher.
    fn write_launchers(&self, draft: &Path, target: &Path) -> Result<()> {
        let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
        let loader = loader_in(draft, &triplet)?;
        let libraries = ["usr/lib", "lib"]
            .map(|folder| target.join(folder).join(&triplet))
            .map(|path| path.display().to_string())
            .join(":");
        for name in self.programs {
            let program = self
                .folders
                .iter()
                .map(|folder| Path::new(folder).join(name))
                .find(|path| draft.join(path).is_file())
                .ok_or_else(|| anyhow!("the packages of {} hold no `{name}`", self.name))?;
            let real = program.with_extension("real");
            fs::rename(draft.join(&program), draft.join(&real))?;
            let script = format!(
                "#!/bin/sh\nexec '{loader}' --library-path '{libraries}' --argv0 \"$0\" '{real}' \"$@\"\n",
                loader = target.join(&loader).display(),
                real = target.join(&real).display(),
            );
            let launcher = draft.join(&program);
            fs::write(&launcher, script)?;
            fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
}

/// Finds the loader, as a file: its usual path may be a link that leads out of the root.
fn loader_in(root: &Path, triplet: &str) -> Result<PathBuf> {
    let name = match std::env::consts::ARCH {
        "x86_64" => "ld-linux-x86-64.so.2",
        "aarch64" => "ld-linux-aarch64.so.1",
        other => bail!("no known loader for {other}"),
    };
    let triplets = ["usr/lib", "lib"].map(|folder| Path::new(folder).join(triplet));
    let plain = ["usr/lib64", "lib64", "usr/lib", "lib"].map(PathBuf::from);
    triplets
        .into_iter()
        .chain(plain)
        .map(|folder| folder.join(name))
        .find(|path| fs::symlink_metadata(root.join(path)).is_ok_and(|found| found.is_file()))
        .ok_or_else(|| anyhow!("the packages hold no loader {name}"))
}

fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).filter(|folder| folder.is_absolute()).collect()
}

fn version_of(program: &Path) -> Result<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
