//! Objects of an S3-protocol server, read as COPY reads them.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, Credentials};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use bytes::Bytes;

use super::scan_error::{OTHER_ERROR, ScanError};
use super::statement::Authorization;
use crate::{Loader, Refusal};

/// Largest object that is read: it is held in memory.
const OBJECT_BYTES_MAX: u64 = 1 << 30;
/// Most objects under a prefix.
const OBJECTS_MAX: usize = 100_000;

/// An object and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) bytes: u64,
    /// Version of the content when it was looked at.
    pub(super) etag: Option<String>,
}

/// Access on behalf of one statement.
pub(super) struct Store<'a> {
    client: Client,
    credentials: Credentials,
    foreign: &'a [String],
}

/// Why an object was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unread {
    /// Status of HTTP; 0 without an answer.
    pub(super) status: u16,
    /// Redshift's text.
    pub(super) text: String,
}

impl Unread {
    pub(super) fn is_missing(&self) -> bool {
        self.status == 404
    }

    pub(super) fn error(&self) -> ScanError {
        ScanError::new(self.text.clone(), OTHER_ERROR, "")
    }
}

impl<'a> Store<'a> {
    /// Checks the statement's authorization and prepares to read.
    pub(super) fn new(loader: &'a Loader, authorization: &Authorization) -> Result<Self, Refusal> {
        let Some(endpoint) = &loader.endpoint else {
            return Err(Refusal::new("XX000", "the stand-in has no S3 endpoint to load from"));
        };
        let credentials = credentials(loader, authorization)?;
        let client = loader.client(endpoint);
        Ok(Self { client, credentials, foreign: &loader.foreign_buckets })
    }

    /// Looks at an object.
    pub(super) async fn head(&self, bucket: &str, key: &str) -> Result<Object, Unread> {
        self.check_region(bucket)?;
        let request = self.client.head_object().bucket(bucket).key(key).customize();
        let found = request.config_override(self.identity()).send().await.map_err(|error| unread(&error))?;
        let bytes = found.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or_default();
        let etag = found.e_tag().map(str::to_owned);
        Ok(Object { bucket: bucket.to_owned(), key: key.to_owned(), bytes, etag })
    }

    /// Reads an object as it was when it was looked at.
    pub(super) async fn get(&self, object: &Object) -> Result<Bytes, Unread> {
        if object.bytes > OBJECT_BYTES_MAX {
            let text = format!("the stand-in reads objects of at most {OBJECT_BYTES_MAX} bytes");
            return Err(Unread { status: 0, text });
        }
        let request = self.client.get_object().bucket(&object.bucket).key(&object.key).customize();
        let found = request.config_override(self.identity()).send().await.map_err(|error| unread(&error))?;
        // Servers that do not give the version in a list are held to the length.
        let other_version = object.etag.as_deref().is_some_and(|etag| found.e_tag() != Some(etag));
        let length = found.content_length().and_then(|length| u64::try_from(length).ok());
        if other_version || length != Some(object.bytes) {
            return Err(Unread { status: 416, text: INVALID_RANGE.to_owned() });
        }
        let broken = |_| Unread { status: 0, text: "S3ServiceException:the answer broke off,Status 0".to_owned() };
        found.body.collect().await.map(aws_sdk_s3::primitives::AggregatedBytes::into_bytes).map_err(broken)
    }

    /// All objects whose keys begin with `prefix`, in the order of their keys.
    pub(super) async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<Object>, Unread> {
        self.check_region(bucket)?;
        let mut objects = Vec::new();
        let mut token = None;
        loop {
            let request = self.client.list_objects_v2().bucket(bucket).prefix(prefix).set_continuation_token(token);
            let request = request.customize().config_override(self.identity());
            let page = request.send().await.map_err(|error| unread(&error))?;
            for found in page.contents() {
                objects.push(Object {
                    bucket: bucket.to_owned(),
                    key: found.key().unwrap_or_default().to_owned(),
                    bytes: found.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                    etag: found.e_tag().map(str::to_owned),
                });
            }
            if objects.len() > OBJECTS_MAX {
                let text = format!("the stand-in reads at most {OBJECTS_MAX} objects under a prefix");
                return Err(Unread { status: 0, text });
            }
            token = page.next_continuation_token().map(str::to_owned);
            if token.is_none() {
                return Ok(objects);
            }
        }
    }

    fn identity(&self) -> Builder {
        aws_sdk_s3::Config::builder().credentials_provider(self.credentials.clone())
    }

    fn check_region(&self, bucket: &str) -> Result<(), Unread> {
        if !self.foreign.iter().any(|foreign| foreign == bucket) {
            return Ok(());
        }
        let message = "The bucket you are attempting to access must be addressed using the specified endpoint. Please \
                       send all future requests to this endpoint.";
        Err(Unread { status: 301, text: service_text(message, 301, "PermanentRedirect") })
    }
}

/// Redshift's words where an object is shorter than a manifest said, or was changed under its feet.
pub(super) const INVALID_RANGE: &str =
    "HTTP response error code: 416 Message: InvalidRange The requested range is not satisfiable";

fn credentials(loader: &Loader, authorization: &Authorization) -> Result<Credentials, Refusal> {
    let own = || Credentials::new(&loader.access_key, &loader.secret_key, None, None, "stand-in");
    match authorization {
        Authorization::DefaultRole if loader.default_role => Ok(own()),
        Authorization::DefaultRole => {
            Err(Refusal::new("XX000", "There is no default IAM role associated with the cluster"))
        }
        // Only the first role of a chain is the cluster's; it assumes the next one.
        Authorization::Roles(roles) => match roles.first() {
            Some(role) if loader.roles.is_empty() || loader.roles.contains(role) => Ok(own()),
            role => {
                let role = role.map_or("", String::as_str);
                Err(Refusal::new("XX000", format!("The requested role {role} is not associated to cluster")))
            }
        },
        Authorization::Keys { id, secret, token } => Ok(Credentials::new(id, secret, token.clone(), None, "statement")),
    }
}

/// Redshift's words for an answer of S3.
fn service_text(message: &str, status: u16, code: &str) -> String {
    format!("S3ServiceException:{message},Status {status},Error {code},Rid 0,ExtRid 0,CanRetry 1")
}

fn unread<E: ProvideErrorMetadata>(error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>) -> Unread {
    let Some(answer) = error.raw_response() else {
        return Unread { status: 0, text: "S3ServiceException:no answer from S3,Status 0".to_owned() };
    };
    let status = answer.status().as_u16();
    // HEAD has no body to say it.
    let (code, message) = match (error.code(), status) {
        (Some(code), _) if code != "NotFound" => (code, error.message().unwrap_or_default()),
        (_, 404) => ("NoSuchKey", "The specified key does not exist."),
        (_, 403) => ("AccessDenied", "Access Denied"),
        _ => ("Unknown", ""),
    };
    Unread { status, text: service_text(message, status, code) }
}
