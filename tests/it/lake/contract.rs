//! What every store must do.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::join_all;
use tailwater::lake::{
    Created, Directory, ObjectPath, S3, S3Options, Store, StoreErrorKind, proof::prove_create_if_absent,
};
use tailwater_servers::S3Fault;

use super::stores::{Fixture, on_every_store, s3_options};

fn path(text: &str) -> ObjectPath {
    ObjectPath::parse(text).unwrap()
}

async fn missing_objects_are_none(f: Fixture) {
    assert_eq!(f.store.get(&path("log/s1/head.json")).await.unwrap(), None);
    assert_eq!(f.store.size(&path("log/s1/head.json")).await.unwrap(), None);
    f.store.delete(&path("log/s1/head.json")).await.unwrap();
    assert!(f.store.list("log/", None).await.unwrap().objects.is_empty());
}

async fn created_objects_stay(f: Fixture) {
    let p = path("log/s1/1.json");
    assert_eq!(f.store.create(&p, Bytes::from("first")).await.unwrap(), Created::New);
    assert_eq!(f.store.create(&p, Bytes::from("second")).await.unwrap(), Created::Exists);
    assert_eq!(f.store.get(&p).await.unwrap().unwrap(), "first");
    assert_eq!(f.store.size(&p).await.unwrap(), Some(5));
    f.store.delete(&p).await.unwrap();
    f.store.delete(&p).await.unwrap();
    assert_eq!(f.store.get(&p).await.unwrap(), None);
    assert_eq!(f.store.create(&p, Bytes::from("third")).await.unwrap(), Created::New);
}

async fn put_replaces(f: Fixture) {
    let p = path("log/s1/head.json");
    for content in ["a", "", "ccc"] {
        f.store.put(&p, Bytes::from(content)).await.unwrap();
        assert_eq!(f.store.get(&p).await.unwrap().unwrap(), content);
    }
}

async fn one_of_many_creators_wins(f: Fixture) {
    for round in 0..8 {
        let p = path(&format!("log/s1/{round}.json"));
        let race = (0..16).map(|i| {
            let (store, p) = (Arc::clone(&f.store), p.clone());
            tokio::spawn(async move { (i, store.create(&p, Bytes::from(format!("{i}"))).await.unwrap()) })
        });
        let answers: Vec<_> = join_all(race).await.into_iter().map(Result::unwrap).collect();
        let winners: Vec<_> = answers.iter().filter(|(_, c)| *c == Created::New).map(|(i, _)| i).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        assert_eq!(f.store.get(&p).await.unwrap().unwrap(), winners[0].to_string());
    }
    prove_create_if_absent(&*f.store, "n0").await.unwrap();
    assert!(f.store.list("check/", None).await.unwrap().objects.is_empty());
}

async fn listing_is_in_byte_order_and_paged(f: Fixture) {
    // A folder and files that sort around its slash; more objects than a page.
    let mut expected = BTreeSet::new();
    let odd = ["a/b", "a-b", "a.b", "a0", "a%2Fb", "a/b-c/d", "a/b/d", "a=b/c", "a~b"];
    for name in odd.iter().map(|n| format!("data/{n}")).chain((0..1050).map(|i| format!("data/many/{i}"))) {
        // On a file system a name is a file or a folder, and in the lake it never is both.
        if name != "data/a/b" {
            expected.insert(path(&name));
        }
    }
    let writes = expected.iter().map(|p| f.store.put(p, Bytes::from("x")));
    for done in
        futures::StreamExt::collect::<Vec<_>>(futures::StreamExt::buffered(futures::stream::iter(writes), 16)).await
    {
        done.unwrap();
    }
    f.store.put(&path("dataother/x"), Bytes::from("x")).await.unwrap();
    let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = f.store.list("data/", after.as_ref()).await.unwrap();
        assert!(page.objects.len() <= 1000);
        found.extend(page.objects.into_iter().map(|o| o.path));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, expected.iter().cloned().collect::<Vec<_>>());
    assert!(pages >= 2);
    let some = f.store.list("data/a", Some(&path("data/a/b-c/d"))).await.unwrap();
    let names: Vec<_> = some.objects.iter().map(|o| o.path.as_str()).collect();
    assert_eq!(names, ["data/a/b/d", "data/a0", "data/a=b/c", "data/a~b"]);
    assert_eq!(some.next, None);
    assert_eq!(f.store.list("data/many/104", None).await.unwrap().objects.len(), 11);
}

async fn odd_names_are_kept_apart(f: Fixture) {
    use tailwater::{
        lake::paths,
        model::{Digest, Shard, Target},
    };
    let id = Digest::of(b"x");
    let long = "ä".repeat(64);
    let longer = format!("{long}b");
    let mut names = vec!["..", ".", "/", "a/b", "a%2Fb", "ü ß", "q?x=1&y", "+", "a b", "\\", "#", "%"];
    if f.server.is_none() {
        // The test server keeps a file named by the encoded key beside each object, which would be too long a name.
        names.extend([long.as_str(), longer.as_str()]);
    }
    for (i, name) in names.iter().enumerate() {
        let p = paths::schema(&Target::new(*name), &id);
        assert_eq!(f.store.create(&p, Bytes::from(i.to_string())).await.unwrap(), Created::New, "{name}");
        assert_eq!(f.store.create(&paths::entry(&Shard::new(*name), 1), Bytes::new()).await.unwrap(), Created::New);
    }
    for (i, name) in names.iter().enumerate() {
        let p = paths::schema(&Target::new(*name), &id);
        assert_eq!(f.store.get(&p).await.unwrap().unwrap(), i.to_string(), "{name}");
    }
    assert_eq!(f.store.list("schema/", None).await.unwrap().objects.len(), names.len());
    assert_eq!(f.store.list("", None).await.unwrap().objects.len(), 2 * names.len());
}

async fn large_objects_come_back_whole(f: Fixture) {
    let content: Bytes =
        (0..24u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>().into();
    let p = path("data/t/large.parquet");
    assert_eq!(f.store.create(&p, content.clone()).await.unwrap(), Created::New);
    assert_eq!(f.store.size(&p).await.unwrap(), Some(content.len() as u64));
    assert!(f.store.get(&p).await.unwrap().unwrap() == content);
}

on_every_store!(
    missing_objects_are_none,
    created_objects_stay,
    put_replaces,
    one_of_many_creators_wins,
    listing_is_in_byte_order_and_paged,
    odd_names_are_kept_apart,
    large_objects_come_back_whole,
);

#[tokio::test]
async fn a_folder_keeps_no_temporary_files_and_its_objects_across_opens() {
    let f = Fixture::directory();
    f.store.create(&path("log/s1/1.json"), Bytes::from("x")).await.unwrap();
    f.store.create(&path("log/s1/1.json"), Bytes::from("y")).await.unwrap();
    f.store.put(&path("log/s1/head.json"), Bytes::from("z")).await.unwrap();
    assert_eq!(std::fs::read_dir(f.folder().join(".tmp")).unwrap().count(), 0);
    let again = Directory::open(f.folder()).unwrap();
    assert_eq!(again.get(&path("log/s1/1.json")).await.unwrap().unwrap(), "x");
    assert_eq!(again.list("", None).await.unwrap().objects.len(), 2);
}

#[tokio::test]
async fn a_folder_that_vanished_is_reported_and_not_made_anew() {
    let f = Fixture::directory();
    std::fs::remove_dir_all(f.folder()).unwrap();
    let error = f.store.create(&path("log/s1/1.json"), Bytes::new()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Missing, "{error}");
    assert!(error.to_string().contains("is its file system mounted?"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_retries_what_passes_and_recognises_what_does_not() {
    let f = Fixture::s3().await;
    let server = f.server.as_ref().unwrap();
    let p = path("log/s1/1.json");

    server.inject(S3Fault::answer(503));
    assert_eq!(f.store.create(&p, Bytes::from("x")).await.unwrap(), Created::New);
    server.inject(S3Fault::lose_request());
    assert_eq!(f.store.get(&p).await.unwrap().unwrap(), "x");
    server.inject(S3Fault::answer(409).times(3).on("PUT", "/log/"));
    assert_eq!(f.store.create(&path("log/s1/2.json"), Bytes::from("y")).await.unwrap(), Created::New);
    // The first attempt is performed, its answer lost: the contract allows Exists, and the content decides.
    server.inject(S3Fault::lose_answer().on("PUT", "/log/"));
    assert_eq!(f.store.create(&path("log/s1/3.json"), Bytes::from("z")).await.unwrap(), Created::Exists);
    assert_eq!(f.store.get(&path("log/s1/3.json")).await.unwrap().unwrap(), "z");
    assert_eq!(server.pending_faults(), 0);

    server.inject(S3Fault::answer(403));
    let denied = f.store.get(&p).await.unwrap_err();
    assert_eq!(denied.kind, StoreErrorKind::Denied);
    assert!(denied.to_string().contains("s3:ListBucket"), "{denied}");
}

/// An attempt that goes unanswered is given up and repeated; a PUT that was performed all the same is told by its content.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_requests_that_go_unanswered_are_repeated() {
    let f = Fixture::s3().await;
    let server = f.server.as_ref().unwrap();
    let timeout = Duration::from_millis(300);
    let store = S3::open(S3Options { request_timeout: Some(timeout), ..s3_options(server) }).await.unwrap();
    let p = path("log/s1/1.json");
    let never = || S3Fault::delay(Duration::from_secs(60));
    server.inject(never().on("PUT", "/log/"));
    assert_eq!(store.create(&p, Bytes::from("x")).await.unwrap(), Created::New);
    server.inject(never().on("GET", "/log/"));
    assert_eq!(store.get(&p).await.unwrap().unwrap(), "x");
    assert_eq!(server.pending_faults(), 0);
    // One that never answers is given up within a bound, as something that passes.
    server.inject(never().times(20).on("GET", "/log/"));
    let began = Instant::now();
    let error = store.get(&p).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Transient, "{error} {:?}", error.source);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    server.clear_faults();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_set_up_mistakes_have_their_own_answers() {
    let f = Fixture::s3().await;
    let mut options = s3_options(f.server.as_ref().unwrap());
    options.bucket = "nowhere".into();
    let nowhere = S3::open(options.clone()).await.unwrap();
    // The test server notices a missing bucket in listings only.
    let error = nowhere.list("log/", None).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Missing, "{error} {:?}", error.source);

    options.bucket = "lake".into();
    options.keys.as_mut().unwrap().secret_access_key = "wrong".into();
    assert!(!format!("{options:?}").contains("wrong"));
    let error = S3::open(options).await.unwrap().get(&path("log/s1/1.json")).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied, "{error} {:?}", error.source);
    assert!(error.to_string().contains("renew the access keys"), "{error}");
}
