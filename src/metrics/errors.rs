//! Errors and repeated attempts.

use prometheus_client::metrics::{counter::Counter, family::Family};

use super::{
    labels::{ByError, ErrorKind, Stage},
    register::Register,
};

/// What went wrong, by where and by what it means.
#[derive(Clone, Debug)]
pub(super) struct Errors {
    errors: Family<ByError, Counter>,
    retries: Family<ByError, Counter>,
}

impl Errors {
    pub(super) fn register(r: &mut Register) -> Self {
        let all = Self {
            errors: r.add("errors", "Errors, by stage and by what they mean for the run", Family::default()),
            retries: r.add("retries", "Attempts that were repeated, by stage and by what failed", Family::default()),
        };
        for &stage in Stage::ALL {
            for &kind in ErrorKind::ALL {
                // A counter that appears with its first error hides that error from rate() and increase().
                let by = ByError { stage, kind };
                drop(all.errors.get_or_create(&by));
                drop(all.retries.get_or_create(&by));
            }
        }
        all
    }

    pub(super) fn error(&self, stage: Stage, kind: ErrorKind) {
        self.errors.get_or_create(&ByError { stage, kind }).inc();
    }

    pub(super) fn retry(&self, stage: Stage, kind: ErrorKind) {
        self.retries.get_or_create(&ByError { stage, kind }).inc();
    }
}
