//! Users and passwords.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Passwords of users; a user can have several, some of which expire.
#[derive(Debug, Default)]
pub struct Logins {
    users: Mutex<HashMap<String, Vec<Password>>>,
}

#[derive(Clone)]
struct Password {
    text: String,
    expires: Option<SystemTime>,
    /// The only database that it opens.
    database: Option<String>,
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Password").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Logins {
    /// Gives a user a password beside those it has. It is looked at when a client connects; sessions outlive it.
    pub fn set(&self, user: &str, password: &str, expires: Option<SystemTime>) {
        let mut users = self.lock();
        let passwords = users.entry(user.to_owned()).or_default();
        if expires.is_none() {
            passwords.retain(|known| known.expires.is_some());
        }
        passwords.push(Password { text: password.to_owned(), expires, database: None });
    }

    /// Lets a user in until a time, into one database or all. What has expired is forgotten.
    pub(crate) fn admit(&self, user: &str, password: &str, database: Option<&str>, expires: SystemTime) {
        let password =
            Password { text: password.to_owned(), expires: Some(expires), database: database.map(str::to_owned) };
        let now = SystemTime::now();
        let mut users = self.lock();
        let passwords = users.entry(user.to_owned()).or_default();
        passwords.retain(|known| known.expires.is_none_or(|expires| expires > now));
        passwords.push(password);
    }

    /// Takes away every password of a user.
    pub fn remove(&self, user: &str) {
        self.lock().remove(user);
    }

    /// The passwords that open a database to a user now.
    pub(crate) fn valid(&self, user: &str, opened: &str, now: SystemTime) -> Vec<String> {
        let users = self.lock();
        let passwords = users.get(user).map(Vec::as_slice).unwrap_or_default();
        let valid = passwords.iter().filter(|password| {
            password.expires.is_none_or(|expires| expires > now)
                && password.database.as_deref().is_none_or(|only| only == opened)
        });
        valid.map(|password| password.text.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Password>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
