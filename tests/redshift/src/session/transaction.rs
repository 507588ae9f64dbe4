//! Transactions: what BEGIN, COMMIT and errors do.

use super::{Failure, Notice, Outcome, Session};
use crate::Refusal;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No transaction.
    Idle,
    /// In one.
    Open,
    /// In one that can only be rolled back.
    Failed,
}

/// Whether a statement began the transaction it runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enclosed {
    /// It did, and ends it.
    Own,
    /// The client did.
    Clients,
}

impl Session {
    pub(super) async fn begin(&mut self, read_only: bool) -> Result<Outcome, Refusal> {
        let mut outcome = Outcome { tag: "BEGIN".to_owned(), ..Outcome::default() };
        if self.state == State::Open && !self.implicit {
            outcome.notices.push(warning("25001", "there is already a transaction in progress"));
            return Ok(outcome);
        }
        // In the middle of several statements the implicit transaction becomes the client's.
        let began = self.state == State::Open;
        self.implicit = false;
        if !began {
            self.saved = Some(self.settings.clone());
            self.snapshot = false;
            self.postgres(if read_only { "BEGIN READ ONLY" } else { "BEGIN" }).await?;
            self.state = State::Open;
        }
        Ok(outcome)
    }

    /// COMMIT; in a failed transaction it rolls back, as the tag says.
    pub(super) async fn commit(&mut self) -> Result<Outcome, Refusal> {
        match self.state {
            State::Idle => {
                let notices = vec![warning("25P01", "there is no transaction in progress")];
                Ok(Outcome { notices, tag: "COMMIT".to_owned(), ..Outcome::default() })
            }
            State::Failed => self.rollback().await,
            State::Open => {
                self.end(true).await?;
                Ok(Outcome { tag: "COMMIT".to_owned(), ..Outcome::default() })
            }
        }
    }

    pub(super) async fn rollback(&mut self) -> Result<Outcome, Refusal> {
        let mut outcome = Outcome { tag: "ROLLBACK".to_owned(), ..Outcome::default() };
        if self.state == State::Idle {
            outcome.notices.push(warning("25P01", "there is no transaction in progress"));
            return Ok(outcome);
        }
        self.end(false).await?;
        Ok(outcome)
    }

    /// Ends PostgreSQL's transaction. Whatever comes of it, the session is out of it.
    async fn end(&mut self, commit: bool) -> Result<(), Refusal> {
        let checked = if commit { self.check_keys().await } else { Ok(()) };
        let commit = commit && checked.is_ok();
        let ended = self.postgres(if commit { "COMMIT" } else { "ROLLBACK" }).await;
        self.state = State::Idle;
        self.implicit = false;
        self.snapshot = false;
        self.written.clear();
        let saved = self.saved.take();
        if let (Some(saved), true) = (saved, !commit || ended.is_err()) {
            self.settings = saved;
            self.apply_settings().await?;
        }
        ended.and(checked)
    }

    /// Makes sure that there is a transaction.
    pub(super) async fn enter(&mut self) -> Result<Enclosed, Refusal> {
        if self.state == State::Open {
            return Ok(Enclosed::Clients);
        }
        self.begin(false).await?;
        Ok(Enclosed::Own)
    }

    /// Ends what [`enter`](Self::enter) began.
    pub(super) async fn leave<T>(&mut self, enclosed: Enclosed, result: Result<T, Refusal>) -> Result<T, Refusal> {
        if enclosed == Enclosed::Clients {
            return result;
        }
        match result {
            Ok(value) => {
                self.end(true).await?;
                Ok(value)
            }
            Err(refusal) => {
                // The first error is the one to tell.
                let _ = self.end(false).await;
                Err(refusal)
            }
        }
    }

    /// Ends the transaction of several statements in one message.
    pub(super) async fn end_implicit(&mut self, result: Result<(), Failure>) -> Result<(), Failure> {
        let open = std::mem::take(&mut self.implicit) && self.state != State::Idle;
        if !open {
            return result;
        }
        let good = result.is_ok() && self.state == State::Open;
        let ended = self.end(good).await;
        result.and(ended.map_err(Failure::from))
    }

    /// A statement that no transaction allows.
    pub(super) fn outside_only(&self, what: &str) -> Result<(), Refusal> {
        if self.state == State::Idle && !self.implicit {
            return Ok(());
        }
        Err(Refusal::new("25001", format!("{what} cannot run inside a transaction block")))
    }
}

fn warning(code: &'static str, message: &str) -> Notice {
    Notice { severity: "WARNING", code, message: message.to_owned() }
}
