//! Temporary passwords: issued over HTTP, asked for at login.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::random;

/// Passwords that one user may have at a time; the oldest goes first.
const PASSWORDS_MAX: usize = 1000;

/// The passwords that are valid, by login name.
#[derive(Default)]
pub struct Passwords {
    by_login: Mutex<HashMap<String, Vec<Password>>>,
}

#[derive(Clone)]
struct Password {
    text: String,
    /// `None`: every database.
    database: Option<String>,
    expires: SystemTime,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

impl Passwords {
    /// Makes a password for a login name (`IAM:alice`); returns it and when it expires.
    #[must_use]
    pub fn issue(&self, login: &str, database: Option<&str>, valid: Duration) -> (String, SystemTime) {
        let password = Password {
            text: random::password(),
            database: database.map(str::to_owned),
            expires: SystemTime::now() + valid,
        };
        let mut all = self.lock();
        let passwords = all.entry(login.to_owned()).or_default();
        let now = SystemTime::now();
        passwords.retain(|password| password.expires > now);
        if passwords.len() == PASSWORDS_MAX {
            passwords.remove(0);
        }
        passwords.push(password.clone());
        (password.text, password.expires)
    }

    /// The passwords by which a login name may enter a database now. A login compares all of them: an md5 answer does
    /// not tell which one it was made from.
    #[must_use]
    pub fn valid(&self, login: &str, database: &str) -> Vec<String> {
        let now = SystemTime::now();
        let fits = |password: &&Password| {
            password.expires > now && password.database.as_deref().is_none_or(|one| one == database)
        };
        let all = self.lock();
        let passwords = all.get(login).map(Vec::as_slice).unwrap_or_default();
        passwords.iter().filter(fits).map(|password| password.text.clone()).collect()
    }

    /// Lets every password expire, as if their time had passed. Sessions outlive their passwords.
    pub fn expire(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Password>>> {
        self.by_login.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The database user of a login name: `IAM:alice` and `IAMA:alice:group` are `alice`.
#[must_use]
pub fn database_user(login: &str) -> &str {
    let name = ["IAM:", "IAMA:", "IAMR:"].iter().find_map(|prefix| login.strip_prefix(prefix));
    name.map_or(login, |name| name.split(':').next().unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_valid_for_its_time_and_database() {
        let passwords = Passwords::default();
        let (one, _) = passwords.issue("IAM:a", Some("dev"), Duration::from_secs(900));
        let (two, _) = passwords.issue("IAM:a", None, Duration::from_secs(900));
        let (_, gone) = passwords.issue("IAM:a", None, Duration::ZERO);
        assert!(gone <= SystemTime::now() && one != two);
        assert_eq!(passwords.valid("IAM:a", "dev"), [one, two.clone()]);
        assert_eq!(passwords.valid("IAM:a", "other"), [two]);
        assert!(passwords.valid("a", "dev").is_empty());
        passwords.expire();
        assert!(passwords.valid("IAM:a", "dev").is_empty());
    }

    #[test]
    fn login_names_lead_to_users() {
        for (login, user) in [("IAM:a", "a"), ("IAMA:a:g1:g2", "a"), ("IAMR:role", "role"), ("plain", "plain")] {
            assert_eq!(database_user(login), user);
        }
    }
}
