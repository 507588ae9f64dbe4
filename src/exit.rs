//! Exit codes. Schedulers act on them, so they are a promise; numbers of 64 and more are those of `sysexits.h`.

use std::process::ExitCode;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Done: drained after a stop signal, caught up with `--once`, or nothing found by `check`.
    Ok = 0,
    /// `check` found problems, `status` found something that does not move, `verify` found differences.
    Findings = 1,
    /// Another writer owns the shard's log or the group's fence.
    Fenced = 3,
    /// `--once` copied everything but the tables that are parked.
    Parked = 4,
    /// `verify` found no difference and could not compare everything.
    NotCompared = 5,
    /// The command line was not understood.
    Usage = 64,
    /// Data that cannot be right: a corrupt event, an entry that does not follow its predecessor, a damaged file.
    Data = 65,
    /// The source no longer has what must be read next: purged binlogs or GTIDs.
    Gone = 66,
    /// A server or store stayed unreachable for as long as retrying was worthwhile.
    Unavailable = 69,
    /// A mistake in Tailwater itself.
    Internal = 70,
    /// Reading or writing failed on this machine: full disk, no such folder.
    Io = 74,
    /// A password was refused or a right is missing.
    Permission = 77,
    /// The configuration, or a setting of a server, cannot work.
    Config = 78,
    /// A second stop signal cut the draining short. Nothing is lost; what was not committed is read again.
    Interrupted = 130,
}

impl Exit {
    /// Every code, in numeric order.
    pub const ALL: [Self; 14] = [
        Self::Ok,
        Self::Findings,
        Self::Fenced,
        Self::Parked,
        Self::NotCompared,
        Self::Usage,
        Self::Data,
        Self::Gone,
        Self::Unavailable,
        Self::Internal,
        Self::Io,
        Self::Permission,
        Self::Config,
        Self::Interrupted,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What the number means, for the documentation.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done: drained after a stop signal, caught up with `--once`, or nothing found by `check`",
            Self::Findings => {
                "`check` found problems, or `status` found a parked table or a shard that stands still, or `verify` found differences"
            }
            Self::Fenced => "another writer owns the shard's log or the group's fence",
            Self::Parked => "`--once` copied everything but the tables that are parked",
            Self::NotCompared => "`verify` found no difference and could not compare everything",
            Self::Usage => "the command line was not understood",
            Self::Data => "data that cannot be right: a corrupt event, a broken log, a damaged file",
            Self::Gone => "the source no longer has what must be read next: purged binlogs or GTIDs",
            Self::Unavailable => "a server or store stayed unreachable",
            Self::Internal => "a mistake in Tailwater itself",
            Self::Io => "reading or writing failed on this machine, for example on a full disk",
            Self::Permission => "a password was refused or a right is missing",
            Self::Config => "the configuration, or a setting of a server, cannot work",
            Self::Interrupted => "a second stop signal cut the draining short; nothing is lost",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The exit codes as a Markdown table.
pub fn exit_table() -> String {
    let rows: String = Exit::ALL.iter().map(|e| format!("| {} | {} |\n", e.code(), e.meaning())).collect();
    format!("| Code | Meaning |\n| --- | --- |\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_without_repetition() {
        assert!(Exit::ALL.windows(2).all(|w| w[0].code() < w[1].code()));
    }
}
