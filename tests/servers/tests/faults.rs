//! The faults that tests ask for happen, once each, and nothing else does.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use tailwater_servers::{Proxy, S3, S3Fault};

/// Bound on every wait here.
const PATIENCE: Duration = Duration::from_secs(10);

fn client(server: &S3) -> Client {
    let credentials = Credentials::new(S3::ACCESS_KEY, S3::SECRET_KEY, None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .credentials_provider(credentials)
        .region(Region::new(S3::REGION))
        .endpoint_url(server.endpoint())
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_timeout(PATIENCE).build())
        .build();
    Client::from_conf(config)
}

/// Writes an object; the error is the S3 code, or `lost` when there was no answer.
async fn put(client: &Client, key: &str, new: bool) -> Result<(), String> {
    let put = client.put_object().bucket("lake").key(key).body(ByteStream::from_static(b"abc"));
    let put = if new { put.if_none_match("*") } else { put };
    match put.send().await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.code().unwrap_or("lost").to_owned()),
    }
}

#[tokio::test]
async fn s3_keeps_objects_and_refuses_what_s3_refuses() {
    let server = S3::with_bucket("lake").unwrap();
    let client = client(&server);
    put(&client, "log/1", true).await.unwrap();
    assert_eq!(put(&client, "log/1", true).await.unwrap_err(), "PreconditionFailed");
    put(&client, "log/1", false).await.unwrap();
    let object = client.get_object().bucket("lake").key("log/1").send().await.unwrap();
    assert_eq!(object.body.collect().await.unwrap().into_bytes().as_ref(), b"abc");
    assert_eq!(server.keys("lake").unwrap(), ["log/1"]);
    assert_eq!(server.requests()[1].status, Some(412));
    assert_eq!(server.requests()[1].method, "PUT");
}

#[tokio::test]
async fn one_of_many_writers_of_a_new_key_wins() {
    let server = S3::with_bucket("lake").unwrap();
    let client = client(&server);
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let client = client.clone();
        writers.spawn(async move { put(&client, "log/1", true).await });
    }
    let results = writers.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
}

#[tokio::test]
async fn s3_fails_as_asked() {
    let server = S3::with_bucket("lake").unwrap();
    let client = client(&server);

    server.inject(S3Fault::answer(503).times(2).on("PUT", "/log/"));
    put(&client, "data/1", false).await.unwrap();
    for _ in 0..2 {
        assert_eq!(put(&client, "log/1", false).await.unwrap_err(), "SlowDown");
    }
    assert!(server.keys("lake").unwrap().iter().all(|key| key != "log/1"));

    server.inject(S3Fault::lose_request());
    assert_eq!(put(&client, "log/2", true).await.unwrap_err(), "lost");
    assert!(server.keys("lake").unwrap().iter().all(|key| key != "log/2"));

    server.inject(S3Fault::lose_answer());
    assert_eq!(put(&client, "log/2", true).await.unwrap_err(), "lost");
    assert_eq!(put(&client, "log/2", true).await.unwrap_err(), "PreconditionFailed");

    let started = Instant::now();
    server.inject(S3Fault::delay(Duration::from_millis(300)));
    put(&client, "log/3", true).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(server.pending_faults(), 0);
}

/// A server that sends what it receives back, for every connection.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut from = stream.unwrap();
            std::thread::spawn(move || {
                let mut to = from.try_clone().unwrap();
                std::io::copy(&mut from, &mut to)
            });
        }
    });
    address
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends and receives; the error is the connection's.
fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(bytes)?;
    let mut answer = vec![0; bytes.len()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_proxy_passes_everything_and_the_end() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = connect(&proxy);
    let mut sender = stream.try_clone().unwrap();
    let sent: Vec<u8> = (0..1_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let copy = sent.clone();
    let sending = std::thread::spawn(move || {
        sender.write_all(&copy).unwrap();
        sender.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    sending.join().unwrap();
    assert_eq!(received, sent);
    assert_eq!((proxy.connections(), proxy.bytes_to_client()), (1, 1_000_000));
}

#[test]
fn a_proxy_cuts_now_and_after_some_bytes() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = connect(&proxy);
    assert_eq!(exchange(&mut stream, b"abc").unwrap(), b"abc");
    proxy.cut();
    exchange(&mut stream, b"abc").unwrap_err();

    let mut stream = connect(&proxy);
    proxy.cut_after(5);
    assert_eq!(exchange(&mut stream, b"abc").unwrap(), b"abc");
    stream.write_all(b"defg").unwrap();
    let mut left = Vec::new();
    // The end is a reset or, when the last bytes were on their way, a plain end.
    let _ = stream.read_to_end(&mut left);
    assert_eq!(left, b"de");
    assert!(!proxy.is_armed());

    proxy.set_down(true);
    exchange(&mut connect(&proxy), b"abc").unwrap_err();
    proxy.set_down(false);
    exchange(&mut connect(&proxy), b"abc").unwrap();
}

#[test]
fn a_proxy_corrupts_one_byte() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = connect(&proxy);
    proxy.corrupt_at(4);
    assert_eq!(exchange(&mut stream, &[1, 2, 3]).unwrap(), [1, 2, 3]);
    assert_eq!(exchange(&mut stream, &[1, 2, 3]).unwrap(), [1, !2, 3]);
    assert_eq!(exchange(&mut stream, &[1, 2, 3]).unwrap(), [1, 2, 3]);
}

#[test]
fn a_proxy_stalls_and_goes_on() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = connect(&proxy);
    exchange(&mut stream, b"abc").unwrap();
    proxy.set_stalled(true);
    stream.write_all(b"def").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut answer = [0; 3];
    assert!(stream.read(&mut answer).is_err());
    proxy.set_stalled(false);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"def");
}
