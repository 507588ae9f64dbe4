//! Where everything lies in the lake: the only module that builds or takes apart object paths.
//!
//! A [`Store`](super::Store) is rooted at `<root>/<pipeline>`; every path here is below it. `schemas/lake.md` draws the
//! whole tree. Names come from people and from MySQL, so each becomes one part in which only letters, digits, `_`, `-`
//! and inner dots stand for themselves and every other byte is percent-encoded: no name can leave its folder.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::{Digest, Origin, Seq, Shard, Target};

/// Bytes of a part that do not stand for themselves.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.');

/// Longest encoded name, in bytes. File systems end at 255 for a file's name, which also holds
/// numbers and a nonce, or two names in a partition's folder.
const PART_BYTES_MAX: usize = 120;

/// How much of a longer name stays in front of its digest.
const PART_BYTES_KEPT: usize = 100;

/// Digits of an entry number: enough for every u64, so that names sort by number.
const NUMBER_DIGITS: usize = 20;

/// Longest path, in bytes. S3 ends at 1024 with the bucket's prefix included.
const PATH_BYTES_MAX: usize = 900;

/// Path of an object below the pipeline's root. Holds no empty, `.` or `..` part, ever.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectPath(String);

/// The text is not a path of the lake.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an object path of the lake: its parts must be percent-encoded names")]
pub struct BadPath(String);

impl ObjectPath {
    /// Takes a path from an entry or a listing, where it is outside input.
    ///
    /// # Errors
    /// [`BadPath`] unless every part could have been made by this module.
    pub fn parse(text: &str) -> Result<Self, BadPath> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'%' | b'=' | b'~');
        let part = |p: &str| !p.is_empty() && !p.starts_with('.') && p.bytes().all(fine);
        if text.len() > PATH_BYTES_MAX || !text.split('/').all(part) {
            return Err(BadPath(text.chars().take(200).collect()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The path itself, parts joined by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// A name as one part of a path.
///
/// Names that would be longer than `PART_BYTES_MAX` keep their beginning and end in `~` and 16 digits of their digest.
pub fn part(name: &str) -> String {
    let mut text = utf8_percent_encode(name, PART).to_string();
    if text.is_empty() {
        // No name is empty by configuration; an empty part must not merge two folders all the same.
        return "~".to_owned();
    }
    if text.starts_with('.') {
        text.replace_range(..1, "%2E");
    }
    if text.len() > PART_BYTES_MAX {
        // Encoded text is ASCII, so any cut is a character boundary; one through an escape is harmless behind the `~`.
        text.truncate(PART_BYTES_KEPT);
        text.push('~');
        text.push_str(Digest::of(name.as_bytes()).short());
    }
    text
}

/// `log/<shard>/<number>.json`
pub fn entry(shard: &Shard, number: u64) -> ObjectPath {
    ObjectPath(format!("log/{}/{number:0NUMBER_DIGITS$}.json", part(shard.as_str())))
}

/// Number of the entry that lies at `path`, if it is an entry of `shard`.
pub fn entry_number(shard: &Shard, path: &ObjectPath) -> Option<u64> {
    number(path.0.strip_prefix(&entry_prefix(shard))?)
}

/// The number that an object's name says.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    (digits.len() == NUMBER_DIGITS && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// `log/<shard>/`: what a listing of one log begins with.
pub fn entry_prefix(shard: &Shard) -> String {
    format!("log/{}/", part(shard.as_str()))
}

/// Prefix of all logs.
pub const LOGS: &str = "log/";

/// The shard of an object below [`LOGS`], `None` when its name was too long to be spelt out in a path; and a path behind
/// all objects of that log.
pub fn shard_of_log(path: &ObjectPath) -> Option<(Option<Shard>, ObjectPath)> {
    let (encoded, _) = path.0.strip_prefix(LOGS)?.split_once('/')?;
    let name = percent_encoding::percent_decode_str(encoded).decode_utf8().ok();
    let shard = name.map(|n| Shard::new(n.as_ref())).filter(|s| part(s.as_str()) == encoded);
    // '0' follows '/', so this is greater than every path of the log and no greater than any of a longer name.
    Some((shard, ObjectPath(format!("{LOGS}{encoded}0"))))
}

/// `log/<shard>/head.json`: a hint where the newest entry is.
pub fn head(shard: &Shard) -> ObjectPath {
    ObjectPath(format!("log/{}/head.json", part(shard.as_str())))
}

/// `floors/<shard>/<number>.json`: says that entries below `number` do not exist.
pub fn floor(shard: &Shard, number: u64) -> ObjectPath {
    ObjectPath(format!("{}{number:0NUMBER_DIGITS$}.json", floors(shard)))
}

/// `floors/<shard>/`: what a listing of a log's floors begins with.
pub fn floors(shard: &Shard) -> String {
    format!("floors/{}/", part(shard.as_str()))
}

/// The floor that an object at `path` says, if it is one of `shard`.
pub fn floor_number(shard: &Shard, path: &ObjectPath) -> Option<u64> {
    number(path.0.strip_prefix(&floors(shard))?)
}

/// `schema/<target>/<schema id>.json`
pub fn schema(target: &Target, id: &Digest) -> ObjectPath {
    ObjectPath(format!("schema/{}/{}.json", part(target.as_str()), part(id.as_str())))
}

/// `requests/<id>.json`: what a command asks of a running extractor.
pub fn request(id: &str) -> ObjectPath {
    ObjectPath(format!("requests/{}.json", part(id)))
}

/// `requests/`
pub const REQUESTS: &str = "requests/";

/// `rebuilds/<target>.json`: what a command asks of a running applier.
pub fn rebuild(target: &Target) -> ObjectPath {
    ObjectPath(format!("rebuilds/{}.json", part(target.as_str())))
}

/// `rebuilds/`
pub const REBUILDS: &str = "rebuilds/";

/// `control/paused/<id>.json`: what an operator holds back.
pub fn paused(id: &str) -> ObjectPath {
    ObjectPath(format!("{PAUSED}{}.json", part(id)))
}

/// `control/paused/`
pub const PAUSED: &str = "control/paused/";

/// `control/retry/<group>-<origin>.json`: a parked table that an operator wants tried again.
pub fn retry(group: &str, origin: &Origin) -> ObjectPath {
    ObjectPath(format!("{RETRY}{}-{}.json", part(group), origin_part(origin)))
}

/// `control/retry/`
pub const RETRY: &str = "control/retry/";

/// `control/`: what a listing of all that operators want begins with.
pub const CONTROL: &str = "control/";

/// `snapshots/<origin>/<seq>.json`: how far a snapshot that is under way has been read. Holds keys, which are row values.
pub fn snapshot(origin: &Origin, seq: Seq) -> ObjectPath {
    ObjectPath(format!("snapshots/{}/{seq}.json", origin_part(origin)))
}

/// `polls/<origin>.json`: up to where a table has been read that is asked again and again. Holds keys, which are row values.
pub fn poll(origin: &Origin) -> ObjectPath {
    ObjectPath(format!("polls/{}.json", origin_part(origin)))
}

/// `verified/<shard>.json`: up to where the shard's tables are known to be equal in the warehouse.
pub fn verified(shard: &Shard) -> ObjectPath {
    ObjectPath(format!("verified/{}.json", part(shard.as_str())))
}

/// `consumers/<name>.json`: who applies the logs, and how far.
pub fn consumer(name: &str) -> ObjectPath {
    ObjectPath(format!("consumers/{}.json", part(name)))
}

/// `consumers/`
pub const CONSUMERS: &str = "consumers/";

/// `manifests/<group>/<epoch>-<name>.json`: which files a COPY of Redshift loads. Removed when it is done.
pub fn manifest(group: &str, epoch: i64, name: &str) -> ObjectPath {
    ObjectPath(format!("{}{epoch}-{}.json", manifests(group), part(name)))
}

/// `manifests/<group>/`: what a listing of a group's manifests begins with.
pub fn manifests(group: &str) -> String {
    format!("manifests/{}/", part(group))
}

/// The epoch under which a group's manifest was written, `None` when it is none.
pub fn manifest_epoch(group: &str, path: &ObjectPath) -> Option<i64> {
    path.0.strip_prefix(&manifests(group))?.split_once('-')?.0.parse().ok()
}

/// `data/`: what a listing of all data files begins with.
pub const DATA: &str = "data/";

/// `check/<nonce>.json`: the object with which `check` proves that the store honours create-if-absent.
pub fn probe(nonce: &str) -> ObjectPath {
    ObjectPath(format!("check/{}.json", part(nonce)))
}

/// `data/<target>/`: what a listing of a target's files begins with.
pub fn data_prefix(target: &Target) -> String {
    format!("data/{}/", part(target.as_str()))
}

/// The folder level between a target and its files: `dt=2026-11-21`, `updated_at=2026-11`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    column: String,
    value: String,
}

impl Partition {
    /// The partition by day of source commit, from UTC microseconds: `dt=2026-11-21`.
    pub fn day(committed_at: i64) -> Self {
        const DAY_MICROS: i64 = 86_400_000_000;
        let (year, month, day) = civil(committed_at.div_euclid(DAY_MICROS));
        Self { column: "dt".into(), value: format!("{year:04}-{month:02}-{day:02}") }
    }

    /// A partition by another column; both names are encoded.
    pub fn of(column: impl Into<String>, value: impl Into<String>) -> Self {
        Self { column: column.into(), value: value.into() }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", part(&self.column), part(&self.value))
    }
}

/// Gregorian date of a day counted from 1970-01-01 (eras of 400 years, which all have 146,097 days).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468; // days since 0000-03-01: leap days end the year
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Which writer made a data file: the last part of its name, `<claim>x<name tag><process nonce>`.
///
/// `claim` is the number of the entry with which the writer took over the log. Of two writers of one shard the one
/// with the larger claim fenced the other for ever, so a file tells by its name whether it can still be committed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WriterMark {
    /// Number of the writer's claim entry.
    pub claim: u64,
    /// Eight hexadecimal digits that stand for the writer's configured name.
    pub tag: String,
    /// Eight hexadecimal digits drawn by the process.
    pub nonce: String,
}

impl fmt::Display for WriterMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}{}", self.claim, self.tag, self.nonce)
    }
}

impl WriterMark {
    fn parse(text: &str) -> Option<Self> {
        let (claim, rest) = text.split_once('x')?;
        if rest.len() != 16 || !rest.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let (tag, nonce) = rest.split_at_checked(8)?;
        Some(Self { claim: claim.parse().ok()?, tag: tag.into(), nonce: nonce.into() })
    }
}

/// Name of a data file: `<shard>-<first seq>-<part>-<writer>.parquet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataName {
    /// The shard as encoded by [`part`]; long names cannot be decoded, so it is only ever compared.
    pub shard: String,
    /// Least `_tw_seq` in the file, always smaller than the `next_seq` of the entry that names the file.
    pub first_seq: Seq,
    /// Tells apart files of one writer that begin with the same seq (partitions, chunks, pieces of a large transaction).
    pub part: u32,
    /// Who wrote it.
    pub writer: WriterMark,
}

impl DataName {
    /// The name for a file of `shard`.
    pub fn new(shard: &Shard, first_seq: Seq, number: u32, writer: WriterMark) -> Self {
        Self { shard: part(shard.as_str()), first_seq, part: number, writer }
    }

    /// Takes apart the path of a data file. `None` when it is none.
    pub fn parse(path: &ObjectPath) -> Option<Self> {
        let (_, name) = path.0.strip_prefix(DATA)?.rsplit_once('/')?;
        let mut parts = name.strip_suffix(".parquet")?.rsplitn(4, '-');
        let writer = WriterMark::parse(parts.next()?)?;
        let number = parts.next()?.parse().ok()?;
        let first_seq = Seq(parts.next()?.parse().ok()?);
        Some(Self { shard: parts.next()?.to_owned(), first_seq, part: number, writer })
    }

    /// Whether the file belongs to `shard`.
    pub fn is_of(&self, shard: &Shard) -> bool {
        self.shard == part(shard.as_str())
    }
}

/// `data/<target>/<partition>/<name>.parquet`
pub fn data(target: &Target, partition: &Partition, name: &DataName) -> ObjectPath {
    let DataName { shard, first_seq, part: number, writer } = name;
    ObjectPath(format!("data/{}/{partition}/{shard}-{first_seq}-{number}-{writer}.parquet", part(target.as_str())))
}

/// Eight hexadecimal digits that stand for `name` in a [`WriterMark`].
pub(crate) fn writer_tag(name: &str) -> String {
    Digest::of(name.as_bytes()).as_str().chars().take(8).collect()
}

/// How an origin is written as a part, where a tool groups by it.
pub fn origin_part(origin: &Origin) -> String {
    part(&origin.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
