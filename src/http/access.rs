//! Who may ask for what.
//!
//! With a token, everything but the probes asks for it. Without one, the address decides: whoever can reach the port may
//! read, and nobody may change anything unless the port is on loopback.
//!
//! On loopback, the danger is the operator's own browser: a page from elsewhere may send requests to 127.0.0.1, and by giving
//! its own name that address (DNS rebinding) even read the answers. So a request must name us by an address or as `localhost`,
//! and one that changes something must not come from a page of another place.

use std::net::{IpAddr, SocketAddr};

use hyper::{
    StatusCode,
    header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN},
};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::answer::Answer;
use crate::config::Secret;

/// What browsers say of where a request comes from (Fetch Metadata).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The rules of one port.
#[derive(Debug)]
pub struct Access {
    /// Digest of the token: digests have one length, so comparing them tells nothing of the token's.
    token: Option<[u8; 32]>,
    loopback: bool,
}

impl Access {
    /// The rules of a port at `address`.
    pub fn new(token: Option<&Secret>, address: SocketAddr) -> Self {
        let token = token.map(|token| digest(token.reveal().trim()));
        Self { token, loopback: address.ip().to_canonical().is_loopback() }
    }

    /// Whether somebody may read figures and names.
    ///
    /// # Errors
    /// The refusal.
    pub(super) fn read(&self, headers: &HeaderMap) -> Result<(), Answer> {
        match &self.token {
            Some(token) => check(token, headers),
            None if self.loopback && !names_us(headers) => Err(Answer::error(
                StatusCode::MISDIRECTED_REQUEST,
                "this port has no token, so it answers to addresses and localhost alone; ask by one of them, or set http.token",
            )),
            None => Ok(()),
        }
    }

    /// Whether somebody may have the page: with a token everybody, because it shows nothing before it has one.
    ///
    /// # Errors
    /// The refusal.
    pub(super) fn page(&self, headers: &HeaderMap) -> Result<(), Answer> {
        if self.token.is_some() { Ok(()) } else { self.read(headers) }
    }

    /// Whether somebody may change what the process does. Stricter than [`read`](Self::read): without a token on loopback
    /// only, and never for a page of another place.
    ///
    /// # Errors
    /// The refusal.
    pub(super) fn control(&self, headers: &HeaderMap) -> Result<(), Answer> {
        self.read(headers)?;
        if self.token.is_none() && !self.loopback {
            return Err(Answer::error(
                StatusCode::FORBIDDEN,
                "commands need a token where the port is not on loopback: set http.token",
            ));
        }
        let site = headers.get(FETCH_SITE).map(|site| site.as_bytes());
        if headers.contains_key(ORIGIN) || site.is_some_and(|site| site != b"none") {
            return Err(Answer::error(
                StatusCode::FORBIDDEN,
                "commands are not taken from web pages; use the command line",
            ));
        }
        Ok(())
    }
}

fn check(token: &[u8; 32], headers: &HeaderMap) -> Result<(), Answer> {
    let given = headers.get(AUTHORIZATION).and_then(|given| given.to_str().ok()).and_then(|given| {
        let (scheme, token) = given.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    match given {
        Some(given) if bool::from(digest(given).ct_eq(token)) => Ok(()),
        Some(_) => Err(Answer::unauthorized("the token is not this process's")),
        None => Err(Answer::unauthorized("send the token of http.token: Authorization: Bearer TOKEN")),
    }
}

/// Whether the client wrote an address, or `localhost`, for us.
fn names_us(headers: &HeaderMap) -> bool {
    // Without the header it is no browser.
    let Some(host) = headers.get(HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    if host.parse::<SocketAddr>().is_ok() {
        return true;
    }
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.contains(']') { host } else { name });
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok() || host.parse::<IpAddr>().is_ok()
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8245);
    const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8245);

    fn headers(list: &[(HeaderName, &str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_token_is_asked_for_everywhere() {
        let secret = Secret::new("s3cret");
        for address in [LOOPBACK, ANYWHERE] {
            let access = Access::new(Some(&secret), address);
            let right = headers(&[(AUTHORIZATION, "bearer s3cret")]);
            assert!(access.read(&right).is_ok() && access.control(&right).is_ok());
            for wrong in ["Bearer s3cre", "Bearer s3cret2", "Basic s3cret", "s3cret", "Bearer"] {
                assert!(access.read(&headers(&[(AUTHORIZATION, wrong)])).is_err(), "{wrong}");
            }
            assert!(access.read(&headers(&[])).is_err());
        }
        assert!(!format!("{:?}", Access::new(Some(&secret), LOOPBACK)).contains("s3cret"));
    }

    #[test]
    fn without_a_token_loopback_is_for_those_who_name_it() {
        let access = Access::new(None, LOOPBACK);
        for name in ["127.0.0.1:8245", "127.0.0.1", "localhost:8245", "LocalHost", "[::1]:8245", "[::1]"] {
            assert!(access.read(&headers(&[(HOST, name)])).is_ok(), "{name}");
        }
        for name in ["evil.example:8245", "evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example"] {
            assert!(access.read(&headers(&[(HOST, name)])).is_err(), "{name}");
        }
        assert!(access.read(&headers(&[])).is_ok());
    }

    #[test]
    fn commands_come_from_no_web_page_and_without_a_token_from_no_other_machine() {
        let access = Access::new(None, LOOPBACK);
        assert!(access.control(&headers(&[])).is_ok());
        assert!(access.control(&headers(&[(FETCH_SITE, "none")])).is_ok());
        assert!(access.control(&headers(&[(FETCH_SITE, "cross-site")])).is_err());
        assert!(access.control(&headers(&[(ORIGIN, "https://evil.example")])).is_err());
        assert!(access.control(&headers(&[(ORIGIN, "null")])).is_err());
        let access = Access::new(None, ANYWHERE);
        assert!(access.read(&headers(&[(HOST, "tailwater.example")])).is_ok());
        assert!(access.control(&headers(&[])).is_err());
    }
}
