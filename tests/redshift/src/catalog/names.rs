//! Names: folding, truncation, and how they are kept in PostgreSQL.

/// Longest identifier of Redshift, in bytes.
pub(crate) const IDENTIFIER_BYTES_MAX: usize = 127;
/// Longest identifier of the private PostgreSQL, in bytes.
const POSTGRES_BYTES_MAX: usize = 63;

/// How the names of a session are understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `enable_case_sensitive_identifier`: quoted names keep their case.
    pub case_sensitive: bool,
    /// Schemas that names without one are looked for in, in order.
    pub search_path: Vec<String>,
}

impl Default for Scope {
    fn default() -> Self {
        Self { case_sensitive: false, search_path: vec!["public".to_owned()] }
    }
}

impl Scope {
    /// A name as the catalog has it: ASCII letters folded to lower case unless quoted in a
    /// case-sensitive session, and cut to 127 bytes on a character boundary.
    #[must_use]
    pub fn fold(&self, name: &str, quoted: bool) -> String {
        let mut folded = if quoted && self.case_sensitive { name.to_owned() } else { name.to_ascii_lowercase() };
        let mut end = folded.len().min(IDENTIFIER_BYTES_MAX);
        while !folded.is_char_boundary(end) {
            end -= 1;
        }
        folded.truncate(end);
        folded
    }
}

/// The name under which PostgreSQL keeps a (folded) name: itself, or a prefix and a hash of it when
/// it is longer than PostgreSQL's 63 bytes.
#[must_use]
pub fn sql_name(name: &str) -> String {
    if name.len() <= POSTGRES_BYTES_MAX {
        return name.to_owned();
    }
    const HASH_BYTES: usize = 16;
    let mut end = POSTGRES_BYTES_MAX - HASH_BYTES - 1;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{:016x}", &name[..end], fnv1a(name.as_bytes()))
}

/// Whether a name of PostgreSQL may stand for a longer one.
#[must_use]
pub(crate) fn is_shortened(name: &str) -> bool {
    name.len() > POSTGRES_BYTES_MAX - 4 && name.contains('~')
}

/// Quotes a name for PostgreSQL.
#[must_use]
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a text for PostgreSQL, which runs with `standard_conforming_strings`.
#[must_use]
pub fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// FNV-1a, 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
