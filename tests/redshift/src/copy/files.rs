//! Which files a statement loads.

use futures::{StreamExt, TryStreamExt, stream};

use super::manifest::{self, Entry};
use super::scan_error::{OTHER_ERROR, ScanError, https_url};
use super::statement::Statement;
use super::store::{INVALID_RANGE, Object, Store};

/// Objects looked at side by side.
const LOOKS_AT_ONCE: usize = 16;
/// Longest manifest: it is held in memory.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// Ends of names by which COPY takes an object for compressed as a whole.
const COMPRESSED: &[&str] = &[".gz", ".bz2", ".snappy"];

/// Finds the files. A prefix that matches nothing is no error.
pub(super) async fn find(store: &Store<'_>, statement: &Statement, region: &str) -> Result<Vec<Object>, ScanError> {
    let files = if statement.manifest {
        let entries = read_manifest(store, statement).await?;
        let looks = stream::iter(entries).map(|entry| look(store, entry, region)).buffered(LOOKS_AT_ONCE);
        looks.try_filter_map(|found| async move { Ok(found) }).try_collect().await?
    } else {
        store.list(&statement.bucket, &statement.key).await.map_err(|unread| unread.error())?
    };
    for file in &files {
        if let Some(end) = COMPRESSED.iter().find(|end| file.key.ends_with(**end)) {
            let url = https_url(region, &file.bucket, &file.key);
            let text = format!(
                "File '{url}' has an invalid version number: its name ends in {end}, so it was decompressed first"
            );
            return Err(ScanError::scan(text).in_file(&s3_url(file)));
        }
    }
    Ok(files)
}

pub(super) fn s3_url(object: &Object) -> String {
    format!("s3://{}/{}", object.bucket, object.key)
}

async fn read_manifest(store: &Store<'_>, statement: &Statement) -> Result<Vec<Entry>, ScanError> {
    let problem = |text: &str| ScanError::new(format!("Problem reading manifest file - {text}"), OTHER_ERROR, "");
    let object = store.head(&statement.bucket, &statement.key).await.map_err(|unread| problem(&unread.text))?;
    if object.bytes > MANIFEST_BYTES_MAX {
        return Err(problem(&format!("it is longer than {MANIFEST_BYTES_MAX} bytes")));
    }
    let bytes = store.get(&object).await.map_err(|unread| problem(&unread.text))?;
    manifest::parse(&bytes)
}

/// Looks at an entry; `None` is one that may be missing and is.
async fn look(store: &Store<'_>, entry: Entry, region: &str) -> Result<Option<Object>, ScanError> {
    let object = match store.head(&entry.bucket, &entry.key).await {
        Ok(object) => object,
        Err(unread) if unread.is_missing() && !entry.mandatory => return Ok(None),
        Err(unread) => {
            let url = https_url(region, &entry.bucket, &entry.key);
            let file = format!("s3://{}/{}", entry.bucket, entry.key);
            let error = if unread.is_missing() {
                ScanError::scan(format!("File not found. File name: {url}"))
            } else {
                unread.error()
            };
            return Err(error.in_file(&file));
        }
    };
    // The reader looks for the footer where the manifest says that the file ends.
    let url = https_url(region, &object.bucket, &object.key);
    let error = match entry.content_length {
        length if length > object.bytes => ScanError::scan(format!("{INVALID_RANGE}. File name: {url}")),
        length if length < object.bytes => ScanError::scan(format!(
            "File '{url}' has an invalid version number (content_length {length}, size {})",
            object.bytes
        )),
        _ => return Ok(Some(object)),
    };
    Err(error.in_file(&s3_url(&object)))
}
