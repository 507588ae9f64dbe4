//! A lake in S3, or in anything that speaks its protocol and honours `If-None-Match` on PUT.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
        retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
};
use bytes::Bytes;

use super::{
    Created, LIST_PAGE, Listed, OBJECT_BYTES_MAX, Page, Store, StoreError,
    s3_error::{Call, refused},
};
use crate::lake::paths::ObjectPath;

/// Tries of one request, the first included. With the SDK's back-off (1 s doubling to 20 s, full jitter) and its
/// shared retry budget, a throttled request is given up after half a minute and the caller's own policy takes over.
const ATTEMPTS_MAX: u32 = 6;

/// Tries of a conditional PUT that S3 answers with 409: another PUT of the same key is under way there.
const CONFLICT_ATTEMPTS_MAX: u32 = 8;

/// First wait after a 409; doubles, with full jitter.
const CONFLICT_WAIT: Duration = Duration::from_millis(50);

/// Longest time to open a connection, TLS included. S3 accepts in milliseconds; the rest is a lost packet or two.
const CONNECT_SECONDS_MAX: u64 = 5;

/// Longest time for one attempt of a request without its body, unless told otherwise.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);

/// What the waits between the attempts of one request may take beside the attempts.
const BACK_OFF_MAX: Duration = Duration::from_secs(10);

/// Slowest link that a body may take: what is added to an attempt's time for the bytes it carries.
const LINK_BYTES_PER_SECOND_MIN: u64 = 1 << 20;

/// Where a bucket is and how to reach it.
#[derive(Clone, Debug, Default)]
pub struct S3Options {
    /// Name of the bucket.
    pub bucket: String,
    /// Key prefix of the pipeline's root, without slashes at its ends; may be empty.
    pub prefix: String,
    /// Region; by default from the environment, the profile or the machine's metadata service.
    pub region: Option<String>,
    /// Address of another service that speaks S3's protocol (`http://minio:9000`).
    pub endpoint: Option<String>,
    /// Address buckets as `endpoint/bucket/key` instead of `bucket.endpoint/key`; most other services need it.
    pub path_style: bool,
    /// Fixed keys instead of the default chain (environment, profile, SSO, web identity, container, machine).
    pub keys: Option<StaticKeys>,
    /// Longest time for one attempt of a request, without the time that its body takes; 30 s by default.
    pub request_timeout: Option<Duration>,
}

/// Fixed access keys. Printed without the secrets.
#[derive(Clone)]
pub struct StaticKeys {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token of temporary keys.
    pub session_token: Option<String>,
}

impl fmt::Debug for StaticKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticKeys({}, ***)", self.access_key_id)
    }
}

/// A [`Store`] in a bucket. Clones share connections.
#[derive(Clone, Debug)]
pub struct S3 {
    client: Client,
    bucket: String,
    /// With a slash at its end unless empty.
    prefix: String,
    region: String,
    endpoint: Option<String>,
    attempt: Duration,
}

impl S3 {
    /// A store for `options`. Makes no request: the first call finds out whether the bucket is there.
    ///
    /// # Errors
    /// When no region is configured anywhere and the service is AWS's own.
    pub async fn open(options: S3Options) -> Result<Self, StoreError> {
        let place = format!("s3://{}/{}", options.bucket, options.prefix);
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        } else if options.endpoint.is_some() {
            // Other services ignore the region but for the signature; without one the SDK would ask for metadata.
            loader = loader.region(Region::from_static("us-east-1"));
        }
        if let Some(keys) = &options.keys {
            let StaticKeys { access_key_id, secret_access_key, session_token } = keys.clone();
            loader = loader.credentials_provider(Credentials::new(
                access_key_id,
                secret_access_key,
                session_token,
                None,
                "tailwater configuration",
            ));
        }
        let attempt = options.request_timeout.unwrap_or(ATTEMPT_MAX);
        let shared = Box::pin(loader.load()).await;
        let Some(region) = shared.region().map(ToString::to_string) else {
            let mend = "set `region` of the lake, or AWS_REGION";
            return Err(refused("open", place, "no AWS region is configured", mend));
        };
        let mut config = aws_sdk_s3::config::Builder::from(&shared)
            .force_path_style(options.path_style)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
            .timeout_config(timeouts(attempt, 0))
            // We send a CRC32 header of our own: the SDK's trailing checksum is not understood by older services.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        if let Some(endpoint) = &options.endpoint {
            config = config.endpoint_url(endpoint);
        }
        let trimmed = options.prefix.trim_matches('/');
        Ok(Self {
            client: Client::from_conf(config.build()),
            bucket: options.bucket,
            prefix: if trimmed.is_empty() { String::new() } else { format!("{trimmed}/") },
            region,
            endpoint: options.endpoint,
            attempt,
        })
    }

    fn key(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    fn call(&self, action: &'static str, path: &str) -> Call {
        let url = format!("s3://{}/{}{path}", self.bucket, self.prefix);
        Call { action, url, bucket: self.bucket.clone(), region: self.region.clone() }
    }

    async fn write(
        &self,
        call: Call,
        path: &ObjectPath,
        content: &Bytes,
        if_absent: bool,
    ) -> Result<Created, StoreError> {
        let bytes = content.len() as u64;
        if bytes > OBJECT_BYTES_MAX {
            let problem = format!("{bytes} bytes are more than one PUT takes ({OBJECT_BYTES_MAX})");
            return Err(refused(call.action, call.url, &problem, "write smaller files"));
        }
        let checksum = base64_u32(crc32fast::hash(content));
        let mut conflicts = 0;
        loop {
            let mut put = self
                .client
                .put_object()
                .bucket(&self.bucket)
                .key(self.key(path.as_str()))
                .content_type(content_type(path))
                .checksum_crc32(&checksum)
                .body(ByteStream::from(content.clone()));
            if if_absent {
                put = put.if_none_match("*");
            }
            let slow = aws_sdk_s3::config::Config::builder().timeout_config(timeouts(self.attempt, bytes));
            let Err(error) = Box::pin(put.customize().config_override(slow).send()).await else {
                return Ok(Created::New);
            };
            match (error.raw_response().map(|r| r.status().as_u16()), if_absent) {
                (Some(412), true) => return Ok(Created::Exists),
                (Some(409), true) if error.code() != Some("OperationAborted") && conflicts < CONFLICT_ATTEMPTS_MAX => {
                    conflicts += 1;
                    let wait = CONFLICT_WAIT * 2u32.pow(conflicts.min(6));
                    tokio::time::sleep(wait.mul_f64(rand::random())).await;
                }
                _ => return Err(call.failed(error)),
            }
        }
    }
}

#[async_trait]
impl Store for S3 {
    async fn get(&self, path: &ObjectPath) -> Result<Option<Bytes>, StoreError> {
        let call = self.call("read", path.as_str());
        let get = self.client.get_object().bucket(&self.bucket).key(self.key(path.as_str()));
        // The size is not known yet; a body that stalls is cut off by the SDK's stalled stream protection.
        let answer = match Box::pin(get.send()).await {
            Ok(answer) => answer,
            Err(e) if e.code() == Some("NoSuchKey") => return Ok(None),
            Err(e) => return Err(call.failed(e)),
        };
        let body = answer.body.collect().await.map_err(|e| call.interrupted(e))?;
        Ok(Some(body.into_bytes()))
    }

    async fn size(&self, path: &ObjectPath) -> Result<Option<u64>, StoreError> {
        let call = self.call("measure", path.as_str());
        let head = self.client.head_object().bucket(&self.bucket).key(self.key(path.as_str()));
        match Box::pin(head.send()).await {
            Ok(answer) => Ok(Some(answer.content_length().and_then(|n| u64::try_from(n).ok()).unwrap_or(0))),
            // HEAD has no body to tell a missing key from a missing bucket.
            Err(e) if status(&e) == Some(404) => Ok(None),
            Err(e) => Err(call.failed(e)),
        }
    }

    async fn create(&self, path: &ObjectPath, content: Bytes) -> Result<Created, StoreError> {
        Box::pin(self.write(self.call("create", path.as_str()), path, &content, true)).await
    }

    async fn put(&self, path: &ObjectPath, content: Bytes) -> Result<(), StoreError> {
        Box::pin(self.write(self.call("replace", path.as_str()), path, &content, false)).await.map(|_| ())
    }

    async fn delete(&self, path: &ObjectPath) -> Result<(), StoreError> {
        let call = self.call("delete", path.as_str());
        let delete = self.client.delete_object().bucket(&self.bucket).key(self.key(path.as_str()));
        match Box::pin(delete.send()).await {
            Ok(_) => Ok(()),
            // S3 answers 204 for a missing key; some other services do not.
            Err(e) if e.code() == Some("NoSuchKey") => Ok(()),
            Err(e) => Err(call.failed(e)),
        }
    }

    async fn list(&self, prefix: &str, start_after: Option<&ObjectPath>) -> Result<Page, StoreError> {
        let call = self.call("list", prefix);
        let list = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(self.key(prefix))
            .set_start_after(start_after.map(|p| self.key(p.as_str())))
            .max_keys(LIST_PAGE as i32);
        let answer = Box::pin(list.send()).await.map_err(|e| call.failed(e))?;
        let ours = |key: &str| ObjectPath::parse(key.strip_prefix(&self.prefix)?).ok();
        let mut page = Page::default();
        let mut last = None;
        for object in answer.contents() {
            // Keys that the lake cannot have made (folder markers, uploads by hand) are not its objects.
            let Some(path) = object.key().and_then(ours) else { continue };
            last = Some(path.clone());
            let bytes = object.size().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
            page.objects.push(Listed { path, bytes });
        }
        if answer.is_truncated() == Some(true) {
            if last.is_none() {
                let problem = "the prefix holds more than a page of objects that are not the lake's";
                return Err(refused("list", call.url, problem, "give the lake a prefix of its own"));
            }
            page.next = last;
        }
        Ok(page)
    }

    fn url(&self, path: &ObjectPath) -> String {
        format!("s3://{}/{}{path}", self.bucket, self.prefix)
    }

    fn describe(&self) -> String {
        let place = format!("s3://{}/{} in {}", self.bucket, self.prefix, self.region);
        self.endpoint.as_ref().map_or(place.clone(), |endpoint| format!("{place} at {endpoint}"))
    }
}

fn status<E>(error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>) -> Option<u16> {
    error.raw_response().map(|r| r.status().as_u16())
}

/// Time limits of a request whose body has `bytes`.
fn timeouts(attempt: Duration, bytes: u64) -> TimeoutConfig {
    let attempt = attempt + Duration::from_secs(bytes / LINK_BYTES_PER_SECOND_MIN);
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * 3 + BACK_OFF_MAX)
        .build()
}

fn content_type(path: &ObjectPath) -> &'static str {
    if path.as_str().ends_with(".json") { "application/json" } else { "application/vnd.apache.parquet" }
}

/// Base64 (RFC 4648) of the big-endian bytes, the form of S3's CRC32 header.
fn base64_u32(value: u32) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // 32 bits are five groups of six and two bits more, which fill a sixth group; two signs pad to eight.
    let bits = u64::from(value) << 4;
    let mut text: String =
        (0..6).rev().map(|group| char::from(ALPHABET[((bits >> (group * 6)) & 0x3f) as usize])).collect();
    text.push_str("==");
    text
}

#[cfg(test)]
mod tests {
    use super::base64_u32;

    #[test]
    fn checksums_are_written_as_s3_wants_them() {
        assert_eq!(base64_u32(0), "AAAAAA==");
        assert_eq!(base64_u32(u32::MAX), "/////w==");
        assert_eq!(base64_u32(crc32fast::hash(b"123456789")), "y/Q5Jg==");
    }
}
