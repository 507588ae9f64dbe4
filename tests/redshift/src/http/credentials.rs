//! GetClusterCredentials, GetClusterCredentialsWithIAM, and GetCredentials of Redshift Serverless.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use serde_json::{Value, json};

use super::answer::Answer;
use super::{Host, Options, form, random};

/// How long a password may be valid, in seconds, and how long it is if nobody says.
const SECONDS: std::ops::RangeInclusive<u64> = 900..=3600;
const SECONDS_DEFAULT: u64 = 900;
/// Longest name of a user or a database.
const NAME_CHARACTERS_MAX: usize = 64;

/// Issues passwords.
pub(super) struct Issuer {
    options: Options,
    host: Arc<dyn Host>,
}

/// What both protocols answer.
struct Issued {
    login: String,
    password: String,
    expires: SystemTime,
}

impl Issuer {
    pub(super) fn new(options: Options, host: Arc<dyn Host>) -> Self {
        Self { options, host }
    }

    /// A request of the query protocol.
    pub(super) async fn cluster(&self, body: &[u8]) -> Answer {
        let fields = form::fields(body);
        let operation = form::field(&fields, "Action").unwrap_or_default();
        let with_iam = match operation {
            "GetClusterCredentials" => false,
            "GetClusterCredentialsWithIAM" => true,
            _ => return Answer::xml_error(400, "InvalidAction", "the stand-in does not serve this action"),
        };
        let invalid = |message: String| Answer::xml_error(400, "InvalidParameterValue", &message);
        let cluster = form::field(&fields, "ClusterIdentifier").unwrap_or_default();
        if cluster.is_empty() {
            return Answer::xml_error(400, "MissingParameter", "ClusterIdentifier is required");
        }
        if !exists(&self.options.clusters, cluster) {
            return Answer::xml_error(404, "ClusterNotFound", &format!("Cluster {cluster} not found."));
        }
        let seconds = match form::field(&fields, "DurationSeconds").map(str::parse).transpose() {
            Ok(seconds) => seconds,
            Err(_) => return invalid("DurationSeconds is not a number".to_owned()),
        };
        let login = if with_iam {
            self.options.identity.clone()
        } else {
            let user = form::field(&fields, "DbUser").unwrap_or_default();
            if !is_name(user) {
                return invalid(format!("Invalid database user name {user}"));
            }
            let created = form::field(&fields, "AutoCreate") == Some("true");
            let groups: String = form::list(&fields, "DbGroups").iter().map(|group| format!(":{group}")).collect();
            format!("{}:{user}{groups}", if created { "IAMA" } else { "IAM" })
        };
        match self.issue(login, form::field(&fields, "DbName"), seconds).await {
            Ok(issued) => {
                let expiration = iso(issued.expires);
                let mut elements = vec![
                    ("DbUser", issued.login.as_str()),
                    ("DbPassword", issued.password.as_str()),
                    ("Expiration", expiration.as_str()),
                ];
                if with_iam {
                    elements.push(("NextRefreshTime", expiration.as_str()));
                }
                Answer::xml(operation, &elements)
            }
            Err(message) => invalid(message),
        }
    }

    /// A request of Redshift Serverless.
    pub(super) async fn workgroup(&self, body: &[u8]) -> Answer {
        let invalid = |message: &str| Answer::error(400, "ValidationException", message);
        let Ok(request) = serde_json::from_slice::<Value>(body) else { return invalid("the body is not JSON") };
        let Some(workgroup) = request.get("workgroupName").and_then(Value::as_str) else {
            return invalid("workgroupName or customDomainName is required");
        };
        if !exists(&self.options.workgroups, workgroup) {
            let message = format!("Workgroup {workgroup} not found.");
            return Answer::error(400, "ResourceNotFoundException", &message);
        }
        let seconds = request.get("durationSeconds").map(|seconds| seconds.as_u64().unwrap_or_default());
        let database = request.get("dbName").and_then(Value::as_str);
        match self.issue(self.options.identity.clone(), database, seconds).await {
            Ok(issued) => Answer::json(&json!({
                "dbUser": issued.login,
                "dbPassword": issued.password,
                "expiration": epoch_seconds(issued.expires),
                "nextRefreshTime": epoch_seconds(issued.expires),
            })),
            Err(message) => invalid(&message),
        }
    }

    async fn issue(&self, login: String, database: Option<&str>, seconds: Option<u64>) -> Result<Issued, String> {
        let seconds = seconds.unwrap_or(SECONDS_DEFAULT);
        if !SECONDS.contains(&seconds) {
            return Err(format!("the duration must be {} to {} seconds", SECONDS.start(), SECONDS.end()));
        }
        if let Some(database) = database.filter(|database| !is_name(database)) {
            return Err(format!("Invalid database name {database}"));
        }
        let password = random::password();
        let expires = SystemTime::now() + Duration::from_secs(seconds);
        self.host.admit(&login, &password, database, expires).await.map_err(|refusal| refusal.message)?;
        Ok(Issued { login, password, expires })
    }
}

/// Whether a resource exists; with an empty list every one does.
pub(super) fn exists(known: &[String], name: &str) -> bool {
    known.is_empty() || known.iter().any(|one| one == name)
}

/// A time as AWS JSON has it.
pub(super) fn epoch_seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // Milliseconds, as the service gives.
    (since.as_secs_f64() * 1000.0).round() / 1000.0
}

fn iso(time: SystemTime) -> String {
    DateTime::from(time).fmt(DateTimeFormat::DateTime).unwrap_or_default()
}

/// The API's constraints on names of users and databases.
fn is_name(name: &str) -> bool {
    name.len() <= NAME_CHARACTERS_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_+.@-".contains(c))
        && !name.eq_ignore_ascii_case("public")
}
