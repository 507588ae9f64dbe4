//! Exit codes. Schedulers act on them, so they are a promise; numbers of 64 and more are those of `sysexits.h`.

use std::process::ExitCode;

/// Most problems that `check` tells apart by its code: the codes above are `sysexits.h`'s, which say what kind of failure it is.
pub const PROBLEMS_MAX: u8 = 63;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Done: drained after a stop signal, caught up with `--once`, or nothing found by `check`.
    Ok,
    /// `check` found so many problems, 1 to [`PROBLEMS_MAX`].
    Problems(u8),
    /// `status` found something that does not move, `verify` found differences, `plan` obstacles.
    Findings,
    /// Another writer owns the shard's log or the group's fence.
    Fenced,
    /// `--once` copied everything but the tables that are parked.
    Parked,
    /// `verify` found no difference and could not compare everything.
    NotCompared,
    /// The command line was not understood.
    Usage,
    /// Data that cannot be right: a corrupt event, an entry that does not follow its predecessor, a damaged file.
    Data,
    /// The source no longer has what must be read next: purged binlogs or GTIDs.
    Gone,
    /// A server or store stayed unreachable for as long as retrying was worthwhile.
    Unavailable,
    /// A mistake in Tailwater itself.
    Internal,
    /// Reading or writing failed on this machine: full disk, no such folder.
    Io,
    /// A password was refused or a right is missing.
    Permission,
    /// The configuration, or a setting of a server, cannot work.
    Config,
    /// A second stop signal cut the draining short. Nothing is lost; what was not committed is read again.
    Interrupted,
}

impl Exit {
    /// Every code that has one meaning, in numeric order; those of [`Exit::Problems`] are counts.
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

    /// How `check` ends that found so many problems.
    pub fn of_problems(problems: usize) -> Self {
        match u8::try_from(problems).unwrap_or(PROBLEMS_MAX).min(PROBLEMS_MAX) {
            0 => Self::Ok,
            problems => Self::Problems(problems),
        }
    }

    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Problems(problems) => problems,
            Self::Findings => 1,
            Self::Fenced => 3,
            Self::Parked => 4,
            Self::NotCompared => 5,
            Self::Usage => 64,
            Self::Data => 65,
            Self::Gone => 66,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::Io => 74,
            Self::Permission => 77,
            Self::Config => 78,
            Self::Interrupted => 130,
        }
    }

    /// What the number means, for the documentation.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done: drained after a stop signal, caught up with `--once`, or nothing found by `check`",
            Self::Findings => {
                "`status` found a parked table or a shard that stands still, `verify` found differences, or `plan` obstacles; and one problem \
                 of `check`, whose code is the number of problems that it found, from 1 to 63"
            }
            Self::Problems(_) => "so many problems were found by `check`",
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

    #[test]
    fn problems_are_counted_below_the_codes_of_failures() {
        let code = |problems| Exit::of_problems(problems).code();
        assert_eq!([0, 1, 5, 63, 64, 256, 70_000].map(code), [0, 1, 5, 63, 63, 63, 63]);
        assert_eq!(Exit::of_problems(0), Exit::Ok);
        assert!(PROBLEMS_MAX < Exit::Usage.code());
    }
}
