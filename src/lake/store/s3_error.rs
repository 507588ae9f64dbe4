//! What an answer of S3 means for the caller, and what the operator does about it.

use std::error::Error;

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use super::{StoreError, StoreErrorKind};

/// One request, for its errors.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) action: &'static str,
    pub(super) url: String,
    pub(super) bucket: String,
    pub(super) region: String,
}

/// What is made of an answer.
struct Verdict {
    kind: StoreErrorKind,
    problem: String,
    mend: String,
}

impl Verdict {
    fn new(kind: StoreErrorKind, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { kind, problem: problem.into(), mend: mend.into() }
    }
}

impl Call {
    /// The error for a request that S3 did not fulfil.
    pub(super) fn failed<E>(&self, error: SdkError<E, HttpResponse>) -> StoreError
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let response = error.raw_response();
        let status = response.map(|r| r.status().as_u16());
        let bucket_region = response.and_then(|r| r.headers().get("x-amz-bucket-region")).map(ToOwned::to_owned);
        let verdict = match (&error, status) {
            (SdkError::TimeoutError(_), _) => unreachable_service("no answer in time"),
            (SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_), _) => undelivered(&error),
            (_, Some(status)) => self.answered(status, error.code().unwrap_or_default(), bucket_region.as_deref()),
            _ => unreachable_service("the answer could not be read"),
        };
        self.error(verdict, Some(Box::new(error)))
    }

    /// The error for a body that broke off.
    pub(super) fn interrupted(&self, error: impl Error + Send + Sync + 'static) -> StoreError {
        self.error(unreachable_service("the connection broke while reading"), Some(Box::new(error)))
    }

    fn error(&self, verdict: Verdict, source: Option<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError {
            kind: verdict.kind,
            action: self.action,
            url: self.url.clone(),
            problem: verdict.problem,
            mend: Some(verdict.mend),
            source,
        }
    }

    /// Error codes: "Error responses" of the S3 API reference.
    fn answered(&self, status: u16, code: &str, bucket_region: Option<&str>) -> Verdict {
        use StoreErrorKind::{Denied, Full, Missing, Other, Refused, Transient};
        let Self { bucket, region, .. } = self;
        match (status, code) {
            (_, "NoSuchBucket") => Verdict::new(
                Missing,
                format!("there is no bucket {bucket}"),
                "create it, or correct the lake's address",
            ),
            (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "TemporaryRedirect") | (301 | 307, _) => {
                let mend =
                    bucket_region.map_or("set `region` to the bucket's".into(), |r| format!("set `region = \"{r}\"`"));
                Verdict::new(Refused, format!("the bucket is not in region {region}"), mend)
            }
            (_, "RequestTimeTooSkewed" | "RequestExpired") => Verdict::new(
                Refused,
                "this machine's clock is more than 15 minutes off",
                "set the clock (chrony, ntpd)",
            ),
            (
                _,
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "ExpiredToken"
                | "InvalidToken"
                | "TokenRefreshRequired",
            ) => Verdict::new(
                Denied,
                format!("the credentials are not valid ({code})"),
                "renew the access keys or the role's session",
            ),
            (_, "SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "TooManyRequests")
            | (429, _) => Verdict::new(
                Transient,
                "the store asks to slow down",
                "nothing, unless it lasts: then lengthen the flush interval",
            ),
            (_, "QuotaExceeded" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded") | (507, _) => {
                Verdict::new(Full, "the store is full or over its quota", "free space or raise the quota")
            }
            (_, "EntityTooLarge") => Verdict::new(Refused, "the object is too large", "write smaller files"),
            (_, "NotImplemented") | (501, _) => Verdict::new(
                Refused,
                "the service does not implement this request",
                "use a service that honours `If-None-Match: *` on PUT",
            ),
            (403, _) => Verdict::new(
                Denied,
                "access denied",
                "grant s3:GetObject, s3:PutObject and s3:DeleteObject on the lake's prefix and s3:ListBucket on the \
                 bucket (without it S3 also answers 403 for objects that are not there)",
            ),
            (409, _) => Verdict::new(
                Transient,
                "other requests for the same object are under way",
                "nothing; check that only one writer runs if it lasts",
            ),
            (408 | 500.., _) | (_, "RequestTimeout" | "InternalError") => {
                Verdict::new(Transient, format!("the store answered {status} {code}"), "nothing, unless it lasts")
            }
            _ => Verdict::new(Other, format!("the store answered {status} {code}"), "see the cause"),
        }
    }
}

fn unreachable_service(problem: &str) -> Verdict {
    Verdict::new(StoreErrorKind::Transient, problem, "check the network and the endpoint")
}

/// A request that never got an answer: no credentials, no connection, or a wrong address.
fn undelivered(error: &(dyn Error + 'static)) -> Verdict {
    let mut cause = Some(error);
    while let Some(e) = cause {
        // The SDK has no type for this that an error chain keeps.
        if e.to_string().contains("credential") {
            let mend = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role";
            return Verdict::new(StoreErrorKind::Denied, "no AWS credentials were found", mend);
        }
        cause = e.source();
    }
    unreachable_service("the service could not be reached")
}

/// An error of set-up that was found without asking the store.
pub(super) fn refused(action: &'static str, url: String, problem: &str, mend: &str) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Refused,
        action,
        url,
        problem: problem.to_owned(),
        mend: Some(mend.to_owned()),
        source: None,
    }
}
