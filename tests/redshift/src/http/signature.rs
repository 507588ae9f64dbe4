//! Signature Version 4 of requests ("Create a signed AWS API request", AWS IAM user guide).

use aws_lc_rs::constant_time;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, Tag, sign};

use super::Keys;
use super::answer::Answer;
use super::random::hex;
use super::request::Request;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Checks that a request was signed with the configured key.
pub(super) fn check(request: &Request, keys: &Keys) -> Result<(), Answer> {
    let Some(header) = request.header("authorization") else {
        return Err(refuse(request, 403, "MissingAuthenticationToken", "Missing Authentication Token"));
    };
    let Some(signed) = Signed::parse(header) else {
        return Err(refuse(request, 403, "IncompleteSignature", "the authorization header is not complete"));
    };
    if signed.key != keys.access_key {
        let message = "The security token included in the request is invalid.";
        return Err(refuse(request, 403, "UnrecognizedClientException", message));
    }
    let expected = signed.signature_of(request, &keys.secret_key);
    if constant_time::verify_slices_are_equal(expected.as_bytes(), signed.signature.as_bytes()).is_err() {
        let message = "The request signature we calculated does not match the signature you provided.";
        return Err(refuse(request, 403, "InvalidSignatureException", message));
    }
    Ok(())
}

/// In the protocol of the request.
fn refuse(request: &Request, status: u16, kind: &str, message: &str) -> Answer {
    match request.target() {
        Some(_) => Answer::error(status, kind, message),
        None => Answer::xml_error(status, kind, message),
    }
}

/// The parts of an authorization header.
struct Signed<'a> {
    key: &'a str,
    /// Day, region and service, as in the scope.
    day: &'a str,
    region: &'a str,
    service: &'a str,
    headers: &'a str,
    signature: &'a str,
}

impl<'a> Signed<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let mut parts = header.strip_prefix(ALGORITHM)?.trim_start().split(',').map(str::trim);
        let mut credential = parts.next()?.strip_prefix("Credential=")?.split('/');
        let headers = parts.next()?.strip_prefix("SignedHeaders=")?;
        let signature = parts.next()?.strip_prefix("Signature=")?;
        let (key, day) = (credential.next()?, credential.next()?);
        let (region, service) = (credential.next()?, credential.next()?);
        (credential.next()? == "aws4_request").then_some(Self { key, day, region, service, headers, signature })
    }

    fn signature_of(&self, request: &Request, secret: &str) -> String {
        let mut headers = String::new();
        for name in self.headers.split(';') {
            let values: Vec<&str> =
                request.head.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
            let value = values.join(",");
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            headers += &format!("{name}:{value}\n");
        }
        let canonical = format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            request.head.method,
            request.head.uri.path(),
            request.head.uri.query().unwrap_or_default(),
            self.headers,
            hex(digest(&SHA256, &request.body).as_ref())
        );
        let time = request.header("x-amz-date").unwrap_or_default();
        let (day, region, service) = (self.day, self.region, self.service);
        let hashed = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
        let text = format!("{ALGORITHM}\n{time}\n{day}/{region}/{service}/aws4_request\n{hashed}");
        let mut key = hmac(format!("AWS4{secret}").as_bytes(), day);
        for part in [region, service, "aws4_request"] {
            key = hmac(key.as_ref(), part);
        }
        hex(hmac(key.as_ref(), &text).as_ref())
    }
}

fn hmac(key: &[u8], text: &str) -> Tag {
    sign(&Key::new(HMAC_SHA256, key), text.as_bytes())
}
