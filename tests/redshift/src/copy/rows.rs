//! Rows of files on their way into PostgreSQL.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use sqlx::PgConnection;
use tokio::sync::mpsc;

use super::Failure;
use super::files::s3_url;
use super::parquet::{self, Location, Plan, Stop};
use super::scan_error::{ScanError, https_url};
use super::store::{Object, Store};
use crate::Refusal;

/// Files read and decoded side by side; each is held in memory.
const FILES_AT_ONCE: usize = 2;
/// Chunks of rows that wait for PostgreSQL.
const CHUNKS_WAITING: usize = 8;

/// Signature, flags and length of the header extension of binary COPY.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Field count of the trailer.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// Loads the files by one statement; returns the number of rows.
pub(super) async fn stream(
    connection: &mut PgConnection,
    sql: &str,
    store: &Store<'_>,
    files: Vec<Object>,
    plan: Plan,
    region: &str,
) -> Result<u64, Failure> {
    if files.is_empty() {
        return Ok(0);
    }
    let mut sink = connection.copy_in_raw(sql).await.map_err(|error| refused(&error))?;
    sink.send(HEADER).await.map_err(|error| refused(&error))?;
    let (chunks, mut arrived) = mpsc::channel::<Vec<u8>>(CHUNKS_WAITING);
    let plan = Arc::new(plan);
    let decode = async move {
        let files = stream::iter(files).map(|file| decode(store, file, Arc::clone(&plan), chunks.clone(), region));
        files.buffered(FILES_AT_ONCE).try_fold(0, |sum, rows| async move { Ok(sum + rows) }).await
    };
    let send = async {
        let mut sent = Ok(());
        while let (Ok(()), Some(chunk)) = (&sent, arrived.recv().await) {
            sent = sink.send(chunk).await.map(drop);
        }
        // Whoever still decodes learns that nobody listens.
        arrived.close();
        sent
    };
    let (decoded, sent) = futures::join!(decode, send);
    match (decoded, sent) {
        (Ok(rows), Ok(())) => {
            sink.send(TRAILER.as_slice()).await.map_err(|error| refused(&error))?;
            sink.finish().await.map_err(|error| refused(&error))?;
            Ok(rows)
        }
        (Err(Stop::Failed(error)), _) => {
            // The statement has failed already; how PostgreSQL takes it changes nothing.
            let _ = sink.abort("the load failed").await;
            Err(Failure::Scan(error))
        }
        (_, Err(error)) => Err(refused(&error).into()),
        (Err(Stop::Unwanted), Ok(())) => Err(ScanError::scan("the load was interrupted").into()),
    }
}

/// Reads one file and decodes it away from the runtime.
async fn decode(
    store: &Store<'_>,
    file: Object,
    plan: Arc<Plan>,
    chunks: mpsc::Sender<Vec<u8>>,
    region: &str,
) -> Result<u64, Stop> {
    let location = Location { s3: s3_url(&file), https: https_url(region, &file.bucket, &file.key) };
    let bytes = store.get(&file).await.map_err(|unread| {
        let missing = ScanError::scan(format!("File not found. File name: {}", location.https));
        let changed = ScanError::scan(format!("{}. File name: {}", unread.text, location.https));
        let error = match unread.status {
            404 => missing,
            416 => changed,
            _ => unread.error(),
        };
        error.in_file(&location.s3)
    })?;
    let https = location.https.clone();
    let decoded = tokio::task::spawn_blocking(move || {
        parquet::load(&plan, &location, &bytes, &mut |chunk| chunks.blocking_send(chunk).is_ok())
    });
    // Files made to break readers may make this one panic.
    decoded.await.unwrap_or_else(|_| Err(ScanError::scan(format!("File '{https}' is corrupt")).into()))
}

/// PostgreSQL's refusal of the rows.
fn refused(error: &sqlx::Error) -> Refusal {
    match error.as_database_error() {
        Some(error) => {
            let code = error.code().unwrap_or_default();
            let code = if matches!(&*code, "42501" | "57014" | "40P01" | "53100") { code } else { "XX000".into() };
            Refusal::new(&code, error.message())
        }
        None => Refusal::new("XX000", "the stand-in's own database does not answer"),
    }
}
