//! Identifiers and passwords.

use aws_lc_rs::rand;

/// Characters of passwords: those of base 64, and the ones that clients forget to escape.
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=$%&@:?#";
/// Length of a password; Redshift's have some hundreds.
const PASSWORD_CHARACTERS: usize = 256;

fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // It fails only where the system has no randomness at all; what is made of it guards tests.
    let _ = rand::fill(&mut bytes);
    bytes
}

/// A temporary password.
pub(super) fn password() -> String {
    bytes::<PASSWORD_CHARACTERS>()
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}

/// A version 4 UUID.
pub(super) fn uuid() -> String {
    let mut bytes = bytes::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Bytes as digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
