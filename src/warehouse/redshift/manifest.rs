//! Manifests: which files a COPY loads, exactly those.
//!
//! Without a manifest COPY takes a prefix, and a prefix that matches nothing loads nothing without a word. With one, a file that
//! is missing is an error only when it is said to be mandatory, and columnar files need their exact size.
//! Developer guide, "Using a manifest to specify data files".

use bytes::Bytes;
use serde::Serialize;

use crate::{
    lake::{ObjectPath, Store},
    warehouse::StagedFile,
};

#[derive(Serialize)]
struct Manifest {
    entries: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    url: String,
    mandatory: bool,
    meta: Meta,
}

#[derive(Serialize)]
struct Meta {
    content_length: u64,
}

/// The manifest of the files, or the path that cannot be one of the lake's.
pub(crate) fn manifest<'a>(
    store: &dyn Store,
    files: impl IntoIterator<Item = &'a StagedFile>,
) -> Result<Bytes, String> {
    let entries = files.into_iter().map(|file| {
        let path = ObjectPath::parse(&file.path).map_err(|e| e.to_string())?;
        Ok(Entry { url: store.url(&path), mandatory: true, meta: Meta { content_length: file.bytes } })
    });
    let manifest = Manifest { entries: entries.collect::<Result<_, String>>()? };
    // Serialising plain structs cannot fail.
    Ok(serde_json::to_vec(&manifest).unwrap_or_default().into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{lake::Directory, model::TableSchema};

    #[test]
    fn every_file_is_mandatory_and_has_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let store = Directory::open(folder.path()).unwrap();
        let file = |path: &str, bytes| StagedFile {
            path: path.to_owned(),
            rows: 1,
            bytes,
            schema: Arc::new(TableSchema { columns: Vec::new() }),
        };
        let text = manifest(&store, &[file("data/a/dt=2026-11-21/x.parquet", 7), file("data/b.parquet", 8)]).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(json["entries"][0]["mandatory"], true);
        assert_eq!(json["entries"][1]["meta"]["content_length"], 8);
        assert!(json["entries"][0]["url"].as_str().unwrap().ends_with("/data/a/dt=2026-11-21/x.parquet"));
        manifest(&store, &[file("../x", 1)]).unwrap_err();
    }
}
