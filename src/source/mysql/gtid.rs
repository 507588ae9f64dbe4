//! Sets of global transaction identifiers: what has been read, and what a server has.
//!
//! A MySQL set is written `uuid:1-5:9,uuid:tag:1-3`: per source UUID and tag a list of closed intervals (MySQL Reference
//! Manual, "GTID Format and Storage"; tags exist from 8.3 on). A MariaDB position is the last sequence number per
//! replication domain, written `domain-server-sequence,…` (MariaDB Knowledge Base, "Global Transaction ID").

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, str::FromStr};

use mysql_async::Sid;

/// Largest group number MySQL hands out.
const GNO_MAX: u64 = i64::MAX as u64 - 1;

/// Longest tag MySQL accepts, in bytes.
const TAG_MAX: usize = 32;

/// A source UUID as its 16 bytes, in the order of the text form.
pub type Uuid = [u8; 16];

/// One transaction of a MySQL server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gtid {
    /// The server that first committed the transaction.
    pub uuid: Uuid,
    /// The tag in lower case; empty for none.
    pub tag: Box<str>,
    /// The group number, from 1.
    pub gno: u64,
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(f, &self.uuid)?;
        if !self.tag.is_empty() {
            write!(f, ":{}", self.tag)?;
        }
        write!(f, ":{}", self.gno)
    }
}

/// The text is not a GTID set or a MariaDB position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a GTID set: {why}")]
pub struct BadGtidSet {
    text: String,
    why: &'static str,
}

/// Sorted, disjoint, non-adjacent intervals of group numbers, `start..end` with `end` excluded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Intervals(Vec<(u64, u64)>);

impl Intervals {
    fn add(&mut self, start: u64, end: u64) {
        // The next transaction of a server that is being read extends its last interval: the only hot path.
        if let Some(last) = self.0.last_mut()
            && last.1 == start
        {
            last.1 = end;
            return;
        }
        let from = self.0.partition_point(|i| i.1 < start);
        let to = self.0.partition_point(|i| i.0 <= end);
        let touched = self.0.get(from..to).unwrap_or_default();
        let low = touched.first().map_or(start, |i| i.0.min(start));
        let high = touched.last().map_or(end, |i| i.1.max(end));
        self.0.splice(from..to.max(from), [(low, high)]);
    }

    fn contains(&self, start: u64, end: u64) -> bool {
        let at = self.0.partition_point(|i| i.1 < end);
        self.0.get(at).is_some_and(|i| i.0 <= start && end <= i.1)
    }

    fn subtract(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        let mut cuts = other.0.iter().peekable();
        for &(start, end) in &self.0 {
            let mut at = start;
            while let Some(cut) = cuts.peek() {
                if cut.1 <= at {
                    cuts.next();
                    continue;
                }
                if cut.0 >= end {
                    break;
                }
                if cut.0 > at {
                    left.push((at, cut.0));
                }
                at = cut.1;
                if at >= end {
                    break;
                }
            }
            if at < end {
                left.push((at, end));
            }
        }
        Self(left)
    }

    fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, i| sum.saturating_add(i.1 - i.0))
    }
}

/// A set of MySQL GTIDs. Printing it gives MySQL's canonical text without line breaks; parsing accepts what MySQL prints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GtidSet {
    // An entry is never empty, so that equality of the maps is equality of the sets.
    sids: BTreeMap<Uuid, BTreeMap<Box<str>, Intervals>>,
}

impl GtidSet {
    /// Adds one transaction.
    pub fn add(&mut self, gtid: &Gtid) {
        if let Some(intervals) = self.sids.get_mut(&gtid.uuid).and_then(|tags| tags.get_mut(&*gtid.tag)) {
            intervals.add(gtid.gno, gtid.gno + 1);
            return;
        }
        self.add_interval(gtid.uuid, &gtid.tag, gtid.gno, gtid.gno + 1);
    }

    fn add_interval(&mut self, uuid: Uuid, tag: &str, start: u64, end: u64) {
        self.sids.entry(uuid).or_default().entry(tag.into()).or_default().add(start, end);
    }

    /// Whether no transaction is in the set.
    pub fn is_empty(&self) -> bool {
        self.sids.is_empty()
    }

    /// How many transactions are in the set.
    pub fn count(&self) -> u64 {
        self.sids.values().flat_map(BTreeMap::values).fold(0, |sum: u64, i| sum.saturating_add(i.count()))
    }

    /// Whether the transaction is in the set.
    pub fn contains(&self, gtid: &Gtid) -> bool {
        self.intervals(&gtid.uuid, &gtid.tag).is_some_and(|i| i.contains(gtid.gno, gtid.gno + 1))
    }

    fn intervals(&self, uuid: &Uuid, tag: &str) -> Option<&Intervals> {
        self.sids.get(uuid)?.get(tag)
    }

    fn iter(&self) -> impl Iterator<Item = (&Uuid, &str, &Intervals)> {
        self.sids.iter().flat_map(|(uuid, tags)| tags.iter().map(move |(tag, i)| (uuid, &**tag, i)))
    }

    /// Whether every transaction of `self` is in `other`. The same question as MySQL's `GTID_SUBSET(self, other)`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|(uuid, tag, own)| {
            other.intervals(uuid, tag).is_some_and(|theirs| own.0.iter().all(|i| theirs.contains(i.0, i.1)))
        })
    }

    /// The transactions of `self` that are not in `other`, as MySQL's `GTID_SUBTRACT(self, other)`.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        let mut left = Self::default();
        for (uuid, tag, own) in self.iter() {
            let rest = other.intervals(uuid, tag).map_or_else(|| own.clone(), |theirs| own.subtract(theirs));
            if !rest.0.is_empty() {
                left.sids.entry(*uuid).or_default().insert(tag.into(), rest);
            }
        }
        left
    }

    /// Adds every transaction of `other`.
    pub fn union(&mut self, other: &Self) {
        for (uuid, tag, theirs) in other.iter() {
            for &(start, end) in &theirs.0 {
                self.add_interval(*uuid, tag, start, end);
            }
        }
    }

    /// The set in the form COM_BINLOG_DUMP_GTID wants.
    ///
    /// # Errors
    /// When the client library refuses one of the blocks; it accepts what this type can hold.
    pub fn sids(&self) -> Result<Vec<Sid<'static>>, BadGtidSet> {
        self.iter()
            .map(|(uuid, tag, intervals)| {
                let text = Block { uuid, tag, intervals, first: true }.to_string();
                text.parse().map_err(|_| BadGtidSet { text, why: "refused by the client library" })
            })
            .collect()
    }
}

/// One `uuid[:tag]:interval…` block, or the continuation of one with another tag.
struct Block<'a> {
    uuid: &'a Uuid,
    tag: &'a str,
    intervals: &'a Intervals,
    first: bool,
}

impl fmt::Display for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first {
            write_uuid(f, self.uuid)?;
        }
        if !self.tag.is_empty() {
            write!(f, ":{}", self.tag)?;
        }
        for &(start, end) in &self.intervals.0 {
            write!(f, ":{start}")?;
            if end - start > 1 {
                write!(f, "-{}", end - 1)?;
            }
        }
        Ok(())
    }
}

fn write_uuid(f: &mut fmt::Formatter<'_>, uuid: &Uuid) -> fmt::Result {
    for (i, byte) in uuid.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (uuid, tags)) in self.sids.iter().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            for (m, (tag, intervals)) in tags.iter().enumerate() {
                Block { uuid, tag, intervals, first: m == 0 }.fmt(f)?;
            }
        }
        Ok(())
    }
}

impl FromStr for GtidSet {
    type Err = BadGtidSet;

    fn from_str(text: &str) -> Result<Self, BadGtidSet> {
        let bad = |why| BadGtidSet { text: shortened(text), why };
        let mut set = Self::default();
        for block in text.split(',').map(str::trim).filter(|b| !b.is_empty()) {
            let mut parts = block.split(':').map(str::trim);
            let uuid = parse_uuid(parts.next().unwrap_or_default()).ok_or_else(|| bad("bad UUID"))?;
            let mut tag = String::new();
            let mut intervals = 0;
            for part in parts {
                if part.starts_with(|c: char| c.is_ascii_digit()) {
                    // MySQL accepts and drops intervals that end before they begin.
                    if let Some((start, end)) = parse_interval(part).ok_or_else(|| bad("bad interval"))? {
                        set.add_interval(uuid, &tag, start, end);
                    }
                    intervals += 1;
                } else {
                    tag = parse_tag(part).ok_or_else(|| bad("bad tag"))?;
                }
            }
            if intervals == 0 {
                return Err(bad("no interval after the UUID"));
            }
        }
        Ok(set)
    }
}

/// A text from outside as an error may show it: a set can be megabytes long.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 200;
    if text.chars().count() <= SHOWN {
        text.to_owned()
    } else {
        text.chars().take(SHOWN).chain("…".chars()).collect()
    }
}

/// The 16 bytes of a UUID, written with or without dashes.
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    let mut uuid = [0; 16];
    let mut digits = text.bytes().filter(|b| *b != b'-');
    for byte in &mut uuid {
        let high = (digits.next()? as char).to_digit(16)?;
        let low = (digits.next()? as char).to_digit(16)?;
        *byte = (high << 4 | low) as u8;
    }
    digits.next().is_none().then_some(uuid)
}

/// `Some(None)` is a valid interval without members.
fn parse_interval(text: &str) -> Option<Option<(u64, u64)>> {
    let (start, end) = text.split_once('-').map_or((text, text), |(a, b)| (a.trim(), b.trim()));
    let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
    if start == 0 || start > GNO_MAX || end > GNO_MAX {
        return None;
    }
    Some((start <= end).then_some((start, end + 1)))
}

fn parse_tag(text: &str) -> Option<String> {
    let tag = text.to_ascii_lowercase();
    let first = tag.bytes().next()?;
    let valid = (first.is_ascii_lowercase() || first == b'_')
        && tag.len() <= TAG_MAX
        && tag.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    valid.then_some(tag)
}

/// Where a MariaDB replica stands: the last transaction of each replication domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainPosition {
    domains: BTreeMap<u32, (u32, u64)>,
}

impl DomainPosition {
    /// Moves `domain` to the transaction `sequence` of `server`.
    pub fn advance(&mut self, domain: u32, server: u32, sequence: u64) {
        self.domains.insert(domain, (server, sequence));
    }

    /// Whether every domain of `self` is known to `other` and not ahead of it there.
    pub fn is_behind(&self, other: &Self) -> bool {
        self.domains.iter().all(|(domain, own)| other.domains.get(domain).is_some_and(|theirs| own.1 <= theirs.1))
    }

    /// Transactions of `other` behind `self`, by sequence numbers: too many where a server skips some.
    pub fn distance(&self, other: &Self) -> u64 {
        let own = |domain: &u32| self.domains.get(domain).map_or(0, |own| own.1);
        other.domains.iter().map(|(domain, theirs)| theirs.1.saturating_sub(own(domain))).sum()
    }

    /// Whether no domain has a transaction.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }
}

impl fmt::Display for DomainPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (domain, (server, sequence))) in self.domains.iter().enumerate() {
            write!(f, "{}{domain}-{server}-{sequence}", if n > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for DomainPosition {
    type Err = BadGtidSet;

    fn from_str(text: &str) -> Result<Self, BadGtidSet> {
        let bad = || BadGtidSet { text: shortened(text), why: "expected <domain>-<server>-<sequence>, …" };
        let mut position = Self::default();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let mut numbers = part.split('-');
            let mut next = || numbers.next().and_then(|n| n.parse::<u64>().ok()).ok_or_else(bad);
            let (domain, server, sequence) = (next()?, next()?, next()?);
            if numbers.next().is_some() {
                return Err(bad());
            }
            let domain = u32::try_from(domain).map_err(|_| bad())?;
            position.advance(domain, u32::try_from(server).map_err(|_| bad())?, sequence);
        }
        Ok(position)
    }
}

/// What has been read of a source, in its own notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Executed {
    /// MySQL with GTIDs.
    Set(GtidSet),
    /// MariaDB.
    Domains(DomainPosition),
    /// A server without GTIDs: file and offset are the only position.
    Untracked,
}

impl Executed {
    /// The text of the set or the domain list; `None` without GTIDs.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Set(set) => Some(set.to_string()),
            Self::Domains(domains) => Some(domains.to_string()),
            Self::Untracked => None,
        }
    }

    /// Whether everything in `target` has been read. Without GTIDs that cannot be told: `false`.
    pub fn covers(&self, target: &Self) -> bool {
        match (self, target) {
            (Self::Set(read), Self::Set(target)) => target.is_subset(read),
            (Self::Domains(read), Self::Domains(target)) => target.is_behind(read),
            _ => false,
        }
    }
}
