//! Proving that a store keeps the one promise that everything rests on.

use bytes::Bytes;
use futures::future::try_join_all;

use super::{Created, Store, StoreError, StoreErrorKind, paths};

/// Creators that race. Two would do; a few more make an unlucky order of requests less likely to hide a fault.
const RACERS: usize = 8;

/// Creates one object from several sides at once and checks that exactly one succeeds and its content stays.
///
/// Stores that ignore `If-None-Match` answer success to everybody: on such a one two extractors would overwrite each
/// other's commits without noticing. `nonce` must be new for each call. Leaves nothing behind unless it fails.
///
/// # Errors
/// [`StoreErrorKind::Refused`] when the store does not keep the promise; otherwise what the store says.
pub async fn prove_create_if_absent(store: &dyn Store, nonce: &str) -> Result<(), StoreError> {
    let path = paths::probe(nonce);
    let content = |racer: usize| Bytes::from(format!("{{\"racer\":{racer}}}"));
    let race = (0..RACERS).map(|racer| store.create(&path, content(racer)));
    let answers = try_join_all(race).await?;
    let late = store.create(&path, content(RACERS)).await?;
    let found = store.get(&path).await?;
    store.delete(&path).await?;
    let winners: Vec<usize> =
        answers.iter().enumerate().filter(|(_, c)| **c == Created::New).map(|(racer, _)| racer).collect();
    let kept = match winners.as_slice() {
        [winner] => found == Some(content(*winner)),
        // The winner's answer was lost and a retry inside the store found its own object: still one content, kept.
        [] => (0..RACERS).any(|racer| found == Some(content(racer))),
        _ => false,
    };
    if kept && late == Created::Exists {
        return Ok(());
    }
    Err(StoreError {
        kind: StoreErrorKind::Refused,
        action: "create",
        url: store.url(&path),
        problem: format!("{} of {RACERS} concurrent creators of one object succeeded", winners.len()),
        mend: Some(
            "use a store that honours `If-None-Match: *` on PUT (AWS S3, MinIO, Ceph, R2 in current versions)".into(),
        ),
        source: None,
    })
}
