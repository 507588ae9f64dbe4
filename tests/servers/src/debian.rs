//! Unpacks Debian packages with all they depend on into a folder, without installing them.
//!
//! apt gets a state of its own: one source line for the wanted suite (the mirror is this
//! machine's own), its own lists, and an empty status file. The empty status makes apt fetch every
//! library, so the root is complete and its programs run through its own loader on any Debian.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::process;

/// Names the mirror when the machine's apt sources do not.
pub(crate) const MIRROR_VARIABLE: &str = "TAILWATER_DEBIAN_MIRROR";

/// Bound on one apt run. The largest fetch is about 100 MB.
const APT_LIMIT: Duration = Duration::from_secs(15 * 60);

/// What to unpack.
#[derive(Debug)]
pub(crate) struct Packages {
    /// Debian suite, for instance `bookworm`.
    pub(crate) suite: &'static str,
    /// Package names; what they depend on is added, what they recommend is not.
    pub(crate) names: &'static [&'static str],
}

/// Fetches and unpacks `packages` into the existing folder `root`.
pub(crate) fn unpack(packages: &Packages, root: &Path) -> Result<()> {
    let state = tempfile::Builder::new()
        .prefix("tailwater-apt-")
        .tempdir()
        .context("cannot make a folder for the state of apt")?;
    let state = state.path();
    for folder in ["lists/partial", "archives/partial"] {
        fs::create_dir_all(state.join(folder))?;
    }
    fs::write(state.join("status"), "")?;
    let line = source_line(packages.suite)?;
    fs::write(state.join("sources.list"), line)?;

    apt(state, &["update"])?;
    let mut install = vec!["install", "--download-only", "--yes", "--no-install-recommends"];
    install.extend(packages.names);
    apt(state, &install)?;

    let mut archives = 0;
    for item in fs::read_dir(state.join("archives"))? {
        let path = item?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            dpkg_extract(&path, root)?;
            archives += 1;
        }
    }
    if archives == 0 {
        bail!("apt fetched nothing for {:?} from suite {}", packages.names, packages.suite);
    }
    Ok(())
}

fn apt(state: &Path, arguments: &[&str]) -> Result<()> {
    let mut options: Vec<(&str, OsString)> = vec![
        ("Dir::Etc::sourcelist", state.join("sources.list").into()),
        ("Dir::Etc::sourceparts", "/dev/null".into()),
        ("Dir::Etc::preferences", "/dev/null".into()),
        ("Dir::Etc::preferencesparts", "/dev/null".into()),
        ("Dir::State", state.into()),
        ("Dir::State::Lists", state.join("lists").into()),
        ("Dir::State::status", state.join("status").into()),
        ("Dir::Cache", state.into()),
        ("Dir::Cache::archives", state.join("archives").into()),
        ("Dir::Log", state.into()),
        // Hooks are for the system's own state, which is not touched here.
        ("APT::Update::Post-Invoke", "".into()),
        ("APT::Update::Post-Invoke-Success", "".into()),
        ("Acquire::Languages", "none".into()),
        ("Acquire::Retries", "3".into()),
        ("Acquire::http::Timeout", "60".into()),
        ("Acquire::https::Timeout", "60".into()),
    ];
    if rustix::process::geteuid().is_root() {
        // apt's own user could not write into a folder that belongs to root.
        options.push(("APT::Sandbox::User", "root".into()));
    }
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
    for (name, value) in options {
        let mut option = OsString::from(format!("{name}="));
        option.push(value);
        command.arg("-o").arg(option);
    }
    command.arg("-q").args(arguments);

    let log = state.join("apt.log");
    let output = File::create(&log)?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let mut child = command.spawn().map_err(|error| {
        anyhow!("cannot run apt-get ({error}): this way of getting servers needs Debian or a relative")
    })?;
    let Some(status) = process::wait(&mut child, APT_LIMIT)? else {
        bail!("apt-get {} took longer than {APT_LIMIT:?}", arguments.join(" "));
    };
    if !status.success() {
        let said = fs::read_to_string(&log).unwrap_or_default();
        bail!("apt-get {} failed ({status}):\n{}", arguments.join(" "), said.trim_end());
    }
    Ok(())
}

fn dpkg_extract(archive: &Path, root: &Path) -> Result<()> {
    let output = Command::new("dpkg")
        .arg("-x")
        .args([archive, root])
        .stdin(Stdio::null())
        .output()
        .context("cannot run dpkg")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("dpkg cannot unpack {}: {}", archive.display(), said.trim_end());
    }
    Ok(())
}

fn source_line(suite: &str) -> Result<String> {
    let mirror = match std::env::var(MIRROR_VARIABLE) {
        Ok(mirror) if !mirror.is_empty() => mirror,
        _ => machine_mirror(Path::new("/etc/apt"))
            .ok_or_else(|| anyhow!("apt's sources name no Debian mirror: set {MIRROR_VARIABLE}"))?,
    };
    let keys = ["gpg", "pgp"]
        .map(|end| PathBuf::from(format!("/usr/share/keyrings/debian-archive-keyring.{end}")))
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| anyhow!("no Debian archive keys: install debian-archive-keyring"))?;
    Ok(format!("deb [signed-by={}] {mirror} {suite} main\n", keys.display()))
}

/// The first mirror of Debian proper (not of its security updates) that apt is set up to use.
fn machine_mirror(etc_apt: &Path) -> Option<String> {
    let mut files = vec![etc_apt.join("sources.list")];
    if let Ok(items) = fs::read_dir(etc_apt.join("sources.list.d")) {
        let mut parts: Vec<_> = items.flatten().map(|item| item.path()).collect();
        parts.sort();
        files.extend(parts);
    }
    files
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "list" || end == "sources"))
        .filter_map(|path| fs::read_to_string(path).ok())
        .find_map(|text| mirror_in(&text))
}

/// Finds the mirror in the text of a `.list` or a `.sources` file.
fn mirror_in(text: &str) -> Option<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| line.starts_with("deb ") || line.to_ascii_lowercase().starts_with("uris:"))
        .flat_map(str::split_whitespace)
        .find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::mirror_in;

    #[test]
    fn the_mirror_is_found_in_both_forms_of_source_file() {
        let line = "# comment\ndeb [arch=amd64] https://mirror.example/debian/ stable main\n";
        assert_eq!(mirror_in(line).as_deref(), Some("https://mirror.example/debian/"));
        let fields = "Types: deb\n# http://old.example/debian\nURIs: http://mirror.example/debian\n";
        assert_eq!(mirror_in(fields).as_deref(), Some("http://mirror.example/debian"));
    }

    #[test]
    fn a_mirror_of_security_updates_or_of_others_does_not_count() {
        let text = "deb http://mirror.example/debian-security stable-security main\n\
                    deb http://tools.example/apt stable main\n";
        assert_eq!(mirror_in(text), None);
    }
}
