//! Whether a lake's commit log is whole: read from its files, without Tailwater's code.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Digits of an entry's number in its file name.
const NUMBER_DIGITS: usize = 20;

/// The log of one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogReport {
    /// The shard.
    pub shard: String,
    /// Number of the newest entry.
    pub entries: u64,
    /// Number of the oldest entry that is kept; 1 where nothing was removed.
    pub floor: u64,
    /// Writers that claimed the log, one after the other.
    pub claims: u64,
    /// Files that the entries name.
    pub files: usize,
    /// Rows in them.
    pub rows: u64,
    /// Files in the lake that no entry of the shard names: uploaded by writers that were killed
    /// before their commit.
    pub unlisted: usize,
}

/// Checks every shard's log of the only pipeline in the folder `lake`: entries from the floor on are numbered without
/// a gap, each names the digest of the one before, continues its numbers, and names files that are
/// there with the size stated.
///
/// # Errors
/// The first fault found, with the entry.
pub fn check_log(lake: &Path) -> Result<Vec<LogReport>> {
    let root = pipeline(lake)?;
    let mut shards: Vec<PathBuf> = entries_of(&root.join("log"))?.into_iter().filter(|path| path.is_dir()).collect();
    shards.sort();
    shards.iter().map(|folder| shard(&root, folder)).collect()
}

/// Entries in all logs of the lake, counted by their files; 0 while there is none.
#[must_use]
pub fn count_entries(lake: &Path) -> usize {
    let Ok(root) = pipeline(lake) else { return 0 };
    let files = files_below(&root.join("log")).unwrap_or_default();
    let is_entry = |path: &PathBuf| path.file_stem().is_some_and(|stem| stem.len() == NUMBER_DIGITS);
    files.iter().filter(|path| is_entry(path)).count()
}

/// The folder that has `log` in it: the lake itself or a folder below.
fn pipeline(lake: &Path) -> Result<PathBuf> {
    let mut level = vec![lake.to_owned()];
    // `<lake>/<pipeline>/log`, with a bucket and a prefix before it where the lake is on S3.
    for _ in 0..4 {
        let mut found: Vec<PathBuf> = level.iter().filter(|path| path.join("log").is_dir()).cloned().collect();
        match (found.pop(), found.pop()) {
            (Some(root), None) => return Ok(root),
            (Some(_), Some(_)) => bail!("{} holds more than one pipeline", lake.display()),
            _ => {}
        }
        let mut next = Vec::new();
        for folder in &level {
            next.extend(entries_of(folder)?.into_iter().filter(|path| path.is_dir()));
        }
        level = next;
    }
    bail!("{} holds no commit log", lake.display())
}

fn entries_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let items = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    items.map(|item| Ok(item?.path())).collect()
}

fn shard(root: &Path, folder: &Path) -> Result<LogReport> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut numbers = Vec::new();
    for path in entries_of(folder)? {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_some_and(|end| end == "json") && stem.len() == NUMBER_DIGITS {
            numbers.push((stem.parse::<u64>().with_context(|| format!("the name of {}", path.display()))?, path));
        }
    }
    numbers.sort();
    let floor = floor(root, &name)?;
    let mut report = LogReport { shard: name.clone(), floor, entries: 0, claims: 0, files: 0, rows: 0, unlisted: 0 };
    let mut listed = HashSet::new();
    let mut before: Option<(Value, String)> = None;
    // What lies below the floor is to be removed, and does not exist for anybody.
    let (removing, kept): (Vec<_>, Vec<_>) = numbers.into_iter().partition(|(number, _)| *number < floor);
    for ((number, path), wanted) in kept.into_iter().zip(floor..) {
        if number != wanted {
            bail!("the log of {name} has a gap: entry {wanted} is missing, {number} is there");
        }
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let entry: Value = serde_json::from_slice(&bytes).with_context(|| format!("entry {number} of {name}"))?;
        check_entry(&entry, number, before.as_ref())
            .and_then(|()| check_files(root, &entry, &mut listed, &mut report))
            .with_context(|| format!("entry {number} of {name}"))?;
        report.entries = number;
        report.claims += u64::from(entry["kind"] == "claim");
        before = Some((entry, blake3::hash(&bytes).to_hex().to_string()));
    }
    if report.entries == 0 {
        bail!("the log of {name} is empty");
    }
    for (_, path) in removing {
        let entry: Value = serde_json::from_slice(&fs::read(&path)?)?;
        listed.extend(named(&entry).map(|file| root.join(file["path"].as_str().unwrap_or_default())));
    }
    report.unlisted = files_below(&root.join("data"))?
        .into_iter()
        .filter(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            file.starts_with(&format!("{name}-")) && !listed.contains(path)
        })
        .count();
    Ok(report)
}

fn check_entry(entry: &Value, number: u64, before: Option<&(Value, String)>) -> Result<()> {
    if entry["number"] != number {
        bail!("it calls itself {}", entry["number"]);
    }
    let (first, next) = (whole(&entry["first_seq"])?, whole(&entry["next_seq"])?);
    if first > next {
        bail!("its numbers run backward: {first} to {next}");
    }
    let Some((last, digest)) = before else {
        if entry["previous"].is_null() != (number == 1) {
            bail!("only the first of all entries names none before it");
        }
        if number > 1 && entry["catalog"].is_null() {
            bail!("it is the oldest and has no catalog, so those behind it may lack theirs");
        }
        return Ok(());
    };
    if entry["previous"] != **digest {
        bail!("it does not continue the entry before it: digests differ");
    }
    if entry["log_id"] != last["log_id"] {
        bail!("it belongs to another log");
    }
    if whole(&last["next_seq"])? != first {
        bail!("it begins at {first}, the entry before ends at {}", last["next_seq"]);
    }
    Ok(())
}

fn check_files(root: &Path, entry: &Value, listed: &mut HashSet<PathBuf>, report: &mut LogReport) -> Result<()> {
    let (first, next) = (whole(&entry["first_seq"])?, whole(&entry["next_seq"])?);
    let steps = entry["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    for open in named(entry).filter(|file| file["step"].is_null()) {
        let path = root.join(open["path"].as_str().context("a file without a path")?);
        if !path.is_file() {
            bail!("{} is of an open transaction and not there", path.display());
        }
        listed.insert(path);
    }
    for step in steps.iter().filter(|step| step["step"] == "file") {
        let name = step["path"].as_str().context("a file without a path")?;
        let path = root.join(name);
        let size = fs::metadata(&path).with_context(|| format!("{name} is named and not there"))?.len();
        if step["bytes"] != size {
            bail!("{name} has {size} bytes, the entry says {}", step["bytes"]);
        }
        let (low, high) = (whole(&step["seqs"][0])?, whole(&step["seqs"][1])?);
        // Rows of a snapshot carry the number that it began with, in an entry from then on; those of a source that is asked, the
        // number of their statement.
        let snapshot = step["ops"]["s"].as_u64().is_some_and(|rows| rows > 0);
        let asked = entry["position"]["file"].is_null() && low == high;
        if (low < first && !snapshot && !asked) || high >= next || low > high {
            bail!("{name} holds {low} to {high}, outside of {first} to {next}");
        }
        let ops: u64 = ["i", "u", "d", "s"].iter().filter_map(|op| step["ops"][op].as_u64()).sum();
        let rows = step["rows"].as_u64().context("a file without rows")?;
        if ops != rows {
            bail!("{name} has {rows} rows and {ops} operations");
        }
        if !listed.insert(path) {
            bail!("{name} is named twice");
        }
        report.files += 1;
        report.rows += rows;
    }
    Ok(())
}

/// The floor of a shard's log: the greatest of those that are there.
fn floor(root: &Path, shard: &str) -> Result<u64> {
    let folder = root.join("floors").join(shard);
    if !folder.is_dir() {
        return Ok(1);
    }
    let stems =
        entries_of(&folder)?.into_iter().filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    let numbers: Vec<u64> = stems.map(|stem| Ok(stem.parse()?)).collect::<Result<_>>()?;
    Ok(numbers.into_iter().max().unwrap_or(1))
}

/// Everything that an entry names: its files, and those of transactions that are undecided behind it.
fn named(entry: &Value) -> impl Iterator<Item = &Value> {
    let steps = entry["steps"].as_array().into_iter().flatten().filter(|step| step["step"] == "file");
    let open = entry["open_xa"].as_object().into_iter().flat_map(|open| open.values());
    steps.chain(open.filter_map(Value::as_array).flatten())
}

fn whole(value: &Value) -> Result<i64> {
    value.as_i64().with_context(|| format!("{value} is no number"))
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop().filter(|folder| folder.is_dir()) {
        for path in entries_of(&folder)? {
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    Ok(files)
}
