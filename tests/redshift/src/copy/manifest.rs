//! Manifests: which objects a COPY loads, and how long they are.
//!
//! Format: "Using a manifest to specify data files" of the developer guide. Parquet needs `meta.content_length`.

use serde_json::Value;

use super::scan_error::{MANIFEST_ERROR, OTHER_ERROR, ScanError};
use super::statement::split_url;

/// Most entries, to bound what one statement asks for.
const ENTRIES_MAX: usize = 100_000;

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) bucket: String,
    pub(super) key: String,
    /// Whether its absence fails the load; false unless it says so.
    pub(super) mandatory: bool,
    /// The length that the reader goes by.
    pub(super) content_length: u64,
}

/// Reads a manifest. Entries keep their order, and one that stands twice is loaded twice.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Entry>, ScanError> {
    let document: Value = serde_json::from_slice(bytes).map_err(|_| malformed("it is not JSON"))?;
    let Some(entries) = document.get("entries").and_then(Value::as_array) else {
        return Err(malformed("it has no list of entries"));
    };
    if entries.is_empty() || entries.len() > ENTRIES_MAX {
        return Err(malformed("it has no entries, or too many"));
    }
    entries.iter().map(entry).collect()
}

fn entry(entry: &Value) -> Result<Entry, ScanError> {
    let url = entry.get("url").and_then(Value::as_str).ok_or_else(|| malformed("an entry has no url"))?;
    let (bucket, key) = split_url(url)
        .filter(|(_, key)| !key.is_empty())
        .ok_or_else(|| malformed("an entry's url is not s3://bucket/key"))?;
    let mandatory = match entry.get("mandatory") {
        None => false,
        Some(Value::Bool(mandatory)) => *mandatory,
        Some(_) => return Err(malformed("an entry's mandatory is neither true nor false")),
    };
    let Some(meta) = entry.get("meta") else { return Err(incomplete("meta")) };
    let length = meta.get("content_length").ok_or_else(|| incomplete("content_length"))?;
    let content_length = length.as_u64().ok_or_else(|| malformed("a content_length is not a number of bytes"))?;
    Ok(Entry { bucket, key, mandatory, content_length })
}

fn malformed(why: &str) -> ScanError {
    ScanError::new(format!("Problem reading manifest file - Invalid manifest: {why}"), OTHER_ERROR, "")
}

fn incomplete(key: &str) -> ScanError {
    ScanError::new(format!("File entry does not have '{key}' key."), MANIFEST_ERROR, "")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().headline
    }

    #[test]
    fn entries_keep_their_order_and_repetitions() {
        let one = r#"{"url":"s3://b/a//x.parquet","mandatory":true,"meta":{"content_length":7}}"#;
        let two = r#"{"url":"s3://c/y","meta":{"content_length":0,"record_count":1},"more":1}"#;
        let entries = parse(format!(r#"{{"entries":[{one},{two},{one}],"schema":{{}}}}"#).as_bytes()).unwrap();
        let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["a//x.parquet", "y", "a//x.parquet"]);
        assert_eq!((entries[0].mandatory, entries[0].content_length, entries[1].mandatory), (true, 7, false));
    }

    #[test]
    fn the_length_is_required() {
        let entry = |meta: &str| refused(&format!(r#"{{"entries":[{{"url":"s3://b/k"{meta}}}]}}"#));
        assert_eq!(entry(""), "File entry does not have 'meta' key.");
        assert_eq!(entry(r#","meta":{}"#), "File entry does not have 'content_length' key.");
        assert!(entry(r#","meta":{"content_length":"7"}"#).starts_with("Problem reading manifest file"));
        assert!(entry(r#","meta":{"content_length":-1}"#).starts_with("Problem reading manifest file"));
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        let texts = [
            "",
            "[]",
            "{}",
            r#"{"entries":[]}"#,
            r#"{"entries":[{"meta":{"content_length":1}}]}"#,
            r#"{"entries":[{"url":"https://b/k","meta":{"content_length":1}}]}"#,
            r#"{"entries":[{"url":"s3://b","meta":{"content_length":1}}]}"#,
            r#"{"entries":[{"url":"s3://b/k","mandatory":"yes","meta":{"content_length":1}}]}"#,
            "\u{1f}\u{8b}compressed",
        ];
        for text in texts {
            assert!(refused(text).starts_with("Problem reading manifest file - Invalid manifest"), "{text}");
        }
    }
}
