//! Files: manifests, prefixes, credentials, names, pages and codecs.

use std::time::{Duration, Instant};

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterVersion};
use parquet::schema::types::ColumnPath;
use tailwater_redshift::{Relax, Unverified};
use tailwater_servers::S3Fault;

use super::cluster::Cluster;
use crate::parquet_files::{file, file_with, int32, proven};

const FIELDS: &str = "optional int32 id;";

fn numbers(values: &[i32]) -> Vec<u8> {
    file(FIELDS, &[int32(values)])
}

async fn start(name: &str) -> Cluster {
    with_table(Cluster::start(name).await).await
}

/// With a server of its own.
async fn start_own(name: &str) -> Cluster {
    with_table(Cluster::start_own(name).await).await
}

async fn with_table(mut cluster: Cluster) -> Cluster {
    cluster.sql("CREATE TABLE t (id INTEGER)").await;
    cluster
}

const IDS: &str = "SELECT id FROM t ORDER BY id";

#[tokio::test]
async fn a_manifest_loads_its_files_as_often_as_it_names_them() {
    let mut cluster = start("copy_manifest").await;
    let (one, two) = (numbers(&[1]), numbers(&[2]));
    cluster.put("d/1.parquet", &one);
    cluster.put("d/2.parquet", &two);
    cluster.put("d/10.parquet", &numbers(&[10]));
    let files = [("d/2.parquet", two.len()), ("d/1.parquet", one.len()), ("d/2.parquet", two.len())];
    cluster.put_manifest("m.manifest", &files);
    assert_eq!(cluster.copy("t", "m.manifest", "MANIFEST").await.unwrap(), 3);
    assert_eq!(cluster.rows(IDS).await, ["1", "2", "2"]);
}

#[tokio::test]
async fn the_length_in_a_manifest_is_required_and_exact() {
    let mut cluster = start("copy_content_length").await;
    let bytes = numbers(&[1]);
    cluster.put("f.parquet", &bytes);
    cluster.put("none", br#"{"entries":[{"url":"s3://copy-content-length/f.parquet","mandatory":true}]}"#);
    assert_eq!(cluster.refused("t", "none", "MANIFEST").await.0, "File entry does not have 'meta' key.");
    cluster.put_manifest("long", &[("f.parquet", bytes.len() + 1)]);
    let (_, detail) = cluster.refused("t", "long", "MANIFEST").await;
    assert!(detail.contains("416 Message: InvalidRange"), "{detail}");
    cluster.put_manifest("short", &[("f.parquet", bytes.len() - 1)]);
    let (_, detail) = cluster.refused("t", "short", "MANIFEST").await;
    assert!(detail.contains("has an invalid version number"), "{detail}");
}

#[tokio::test]
async fn a_missing_file_fails_only_where_it_is_mandatory() {
    let mut cluster = start("copy_mandatory").await;
    let bytes = numbers(&[1]);
    cluster.put("f.parquet", &bytes);
    let entry = |file: &str, rest: &str| {
        format!(r#"{{"url":"s3://copy-mandatory/{file}"{rest},"meta":{{"content_length":{}}}}}"#, bytes.len())
    };
    let manifest = |second: String| format!(r#"{{"entries":[{},{second}]}}"#, entry("f.parquet", ""));
    cluster.put("silent", manifest(entry("gone.parquet", "")).as_bytes());
    cluster.put("false", manifest(entry("gone.parquet", r#","mandatory":false"#)).as_bytes());
    cluster.put("true", manifest(entry("a//gone.parquet", r#","mandatory":true"#)).as_bytes());
    assert_eq!(cluster.copy("t", "silent", "MANIFEST").await.unwrap(), 1);
    assert_eq!(cluster.copy("t", "false", "MANIFEST").await.unwrap(), 1);
    let (message, detail) = cluster.refused("t", "true", "MANIFEST").await;
    assert_eq!(message, "Spectrum Scan Error");
    assert!(detail.contains("File not found") && detail.contains("copy-mandatory/a//gone.parquet"), "{detail}");
    assert_eq!(cluster.load_error("trim(file_name)").await, "s3://copy-mandatory/a//gone.parquet");
    assert_eq!(cluster.rows(IDS).await, ["1", "1"]);
}

#[tokio::test]
async fn a_manifest_that_is_missing_or_no_manifest_always_fails() {
    let mut cluster = start("copy_no_manifest").await;
    cluster.put("f.parquet", &numbers(&[1]));
    let (message, _) = cluster.refused("t", "gone", "MANIFEST").await;
    assert!(
        message.starts_with("Problem reading manifest file - S3ServiceException:The specified key does not exist.")
    );
    let (message, _) = cluster.refused("t", "f.parquet", "MANIFEST").await;
    assert!(message.starts_with("Problem reading manifest file - Invalid manifest"), "{message}");
}

#[tokio::test]
async fn without_a_manifest_the_key_is_a_prefix() {
    let mut cluster = start("copy_prefix").await;
    for (key, id) in [("d/part-1.parquet", 1), ("d/part-10.parquet", 10), ("d/part-2.parquet", 2)] {
        cluster.put(key, &numbers(&[id]));
    }
    // The trap: part-1 is also the beginning of part-10.
    assert_eq!(cluster.copy("t", "d/part-1", "").await.unwrap(), 2);
    assert_eq!(cluster.rows(IDS).await, ["1", "10"]);
    // The other trap: nothing found is nothing wrong.
    assert_eq!(cluster.copy("t", "elsewhere/", "").await.unwrap(), 0);
}

#[tokio::test]
async fn an_object_changed_while_it_is_read_is_noticed() {
    let mut cluster = start("copy_changed").await;
    let bytes = numbers(&[1]);
    cluster.put("f.parquet", &bytes);
    cluster.put_manifest("m", &[("f.parquet", bytes.len())]);
    // Time to change it between the look and the read.
    cluster.s3().inject(S3Fault::delay(Duration::from_secs(1)).on("GET", "/copy-changed/f.parquet"));
    let s3 = cluster.s3();
    let change = tokio::task::spawn_blocking(move || {
        let deadline = Instant::now() + Duration::from_secs(30);
        let looked = || s3.requests().iter().any(|seen| seen.path == "/copy-changed/f.parquet");
        while !looked() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        // As long as before.
        std::fs::write(s3.bucket_folder("copy-changed").join("f.parquet"), numbers(&[2])).unwrap();
    });
    let (message, detail) = cluster.refused("t", "m", "MANIFEST").await;
    change.await.unwrap();
    assert_eq!(message, "Spectrum Scan Error");
    assert!(detail.contains("416 Message: InvalidRange"), "{detail}");
}

#[tokio::test]
async fn keys_of_the_statement_are_those_that_read() {
    let mut cluster = start("copy_keys").await;
    cluster.put("f.parquet", &numbers(&[1]));
    let url = cluster.url("f.parquet");
    let with = |id: &str, secret: &str| {
        format!("COPY t FROM '{url}' CREDENTIALS 'aws_access_key_id={id};aws_secret_access_key={secret}' PARQUET")
    };
    let (id, secret) = (tailwater_servers::S3::ACCESS_KEY, tailwater_servers::S3::SECRET_KEY);
    cluster.run(&with(id, secret)).await.unwrap();
    assert_eq!(cluster.rows(IDS).await, ["1"]);
    for (id, secret) in [(id, "wrong"), ("AKIANOBODY", secret)] {
        let refusal = cluster.run(&with(id, secret)).await.unwrap_err();
        assert!(refusal.message.starts_with("S3ServiceException:"), "{refusal}");
        assert!(refusal.message.contains("Status 403"), "{refusal}");
        assert!(!format!("{refusal:?}").contains(secret), "the secret is shown");
    }
}

#[tokio::test]
async fn roles_must_be_attached_and_buckets_in_the_region() {
    let mut cluster = start_own("copy_roles").await;
    cluster.put("f.parquet", &numbers(&[1]));
    cluster.change(|loader| loader.foreign_buckets = vec!["copy-roles".to_owned()]);
    assert!(cluster.refused("t", "f.parquet", "").await.0.contains("Status 301,Error PermanentRedirect"));
    cluster.change(|loader| {
        loader.foreign_buckets.clear();
        loader.roles = vec!["arn:aws:iam::123456789012:role/other".to_owned()];
    });
    assert!(cluster.refused("t", "f.parquet", "").await.0.contains("is not associated to cluster"));
    cluster.change(|loader| loader.default_role = false);
    let default = format!("COPY t FROM '{}' IAM_ROLE default PARQUET", cluster.url("f.parquet"));
    assert!(cluster.run(&default).await.unwrap_err().message.contains("no default IAM role"));
}

#[tokio::test]
async fn an_unavailable_server_is_an_error_with_its_status() {
    let mut cluster = start("copy_unavailable").await;
    cluster.put("f.parquet", &numbers(&[1]));
    // Once is retried by the client; the third time is the last.
    cluster.s3().inject(S3Fault::answer(503).times(1).on("GET", "/copy-unavailable"));
    assert_eq!(cluster.copy("t", "f.parquet", "").await.unwrap(), 1);
    cluster.s3().inject(S3Fault::answer(500).times(3).on("GET", "/copy-unavailable"));
    assert!(cluster.refused("t", "f.parquet", "").await.0.contains("Status 500"));
}

#[tokio::test]
async fn names_that_end_like_compressed_files_do_not_load() {
    let mut cluster = start("copy_names").await;
    for name in ["f.snappy", "f.parquet.gz", "f.bz2"] {
        cluster.put(name, &numbers(&[1]));
        let (_, detail) = cluster.refused("t", name, "").await;
        assert!(detail.contains("has an invalid version number"), "{detail}");
    }
    cluster.put("f.c000.snappy.parquet", &numbers(&[1]));
    assert_eq!(cluster.copy("t", "f.c000.snappy.parquet", "").await.unwrap(), 1);
}

#[tokio::test]
async fn damaged_files_do_not_load() {
    let mut cluster = start("copy_damaged").await;
    let whole = numbers(&(0..5000).collect::<Vec<_>>());
    let mut broken = whole.clone();
    // The header of the first page; damage inside of a page need not show, for there are no checksums.
    broken[4..30].fill(0x5a);
    for (key, bytes) in
        [("empty", &whole[..0]), ("cut", &whole[..whole.len() / 2]), ("text", b"id\n1\n"), ("broken", &broken)]
    {
        cluster.put(key, bytes);
        let (message, _) = cluster.refused("t", key, "").await;
        assert_eq!(message, "Spectrum Scan Error", "{key}");
    }
}

#[tokio::test]
async fn pages_codecs_and_indexes_are_those_that_were_seen_to_load() {
    let mut cluster = start_own("copy_pages").await;
    let id = || ColumnPath::from("id");
    let delta = proven().set_column_dictionary_enabled(id(), false);
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let files = [
        ("plain", proven().set_compression(Compression::UNCOMPRESSED), None),
        ("v2", proven().set_writer_version(WriterVersion::PARQUET_2_0), Some(Unverified::PageV2)),
        ("delta", delta.set_column_encoding(id(), Encoding::DELTA_BINARY_PACKED), Some(Unverified::DeltaEncoding)),
        ("zstd", proven().set_compression(zstd), Some(Unverified::Zstd)),
        (
            "index",
            proven().set_offset_index_disabled(false).set_statistics_enabled(EnabledStatistics::Page),
            Some(Unverified::PageIndex),
        ),
    ];
    for (key, properties, doubt) in files {
        cluster.put(key, &file_with(properties, FIELDS, &[&[int32(&[1, 2, 2])], &[int32(&[3])]]));
        cluster.relax(Relax::default());
        if let Some(doubt) = doubt {
            let (message, detail) = cluster.refused("t", key, "").await;
            assert_eq!(message, "Spectrum Scan Error");
            assert!(detail.contains(&format!("--relax {doubt} ")), "{key}: {detail}");
            cluster.relax(Relax::default().and(doubt));
        }
        assert_eq!(cluster.copy("t", key, "").await.unwrap(), 4, "{key}");
    }
}
