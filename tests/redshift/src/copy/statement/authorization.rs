//! On whose behalf COPY reads.

use std::fmt;

use crate::Refusal;

/// Roles that one chain may have (`IAM_ROLE 'arn1,arn2'`; Redshift management guide, "Chaining IAM roles").
const CHAINED_ROLES_MAX: usize = 10;
/// The longest name and path of a role, in bytes (IAM quotas).
const ROLE_NAME_BYTES_MAX: usize = 512;

/// What the statement says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Authorization {
    /// `IAM_ROLE default`.
    DefaultRole,
    /// `IAM_ROLE '<arn>[,<arn>…]'`.
    Roles(Vec<String>),
    /// Keys in the statement.
    Keys {
        /// Which key.
        id: String,
        /// Its secret.
        secret: String,
        /// Of temporary keys.
        token: Option<String>,
    },
}

impl fmt::Debug for Authorization {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DefaultRole => f.write_str("DefaultRole"),
            Self::Roles(roles) => f.debug_tuple("Roles").field(roles).finish(),
            Self::Keys { .. } => f.write_str("Keys"),
        }
    }
}

/// The three parameters with keys, in any order.
#[derive(Default)]
pub(super) struct KeyParameters {
    pub(super) id: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) token: Option<String>,
}

impl KeyParameters {
    /// The keys, when any parameter was given.
    pub(super) fn finish(self) -> Result<Option<Authorization>, Refusal> {
        match (self.id, self.secret, self.token) {
            (None, None, None) => Ok(None),
            (Some(id), Some(secret), token) if !id.is_empty() && !secret.is_empty() => {
                Ok(Some(Authorization::Keys { id, secret, token }))
            }
            _ => Err(invalid_credentials()),
        }
    }
}

/// `IAM_ROLE '…'`.
pub(super) fn roles(text: &str) -> Result<Authorization, Refusal> {
    let roles: Vec<String> = text.split(',').map(str::to_owned).collect();
    if roles.len() > CHAINED_ROLES_MAX {
        return Err(Refusal::new("XX000", format!("at most {CHAINED_ROLES_MAX} roles can be chained")));
    }
    match roles.iter().find(|role| !is_role(role)) {
        Some(wrong) => Err(Refusal::new("XX000", format!("Invalid IAM role ARN '{wrong}'"))),
        None => Ok(Authorization::Roles(roles)),
    }
}

/// `CREDENTIALS '…'`.
pub(super) fn credentials(text: &str) -> Result<Authorization, Refusal> {
    let mut keys = KeyParameters::default();
    for part in text.split(';') {
        let (name, value) = part.split_once('=').ok_or_else(invalid_credentials)?;
        let place = match name.trim() {
            "aws_iam_role" if text.contains(';') => return Err(invalid_credentials()),
            "aws_iam_role" => return roles(value),
            "aws_access_key_id" => &mut keys.id,
            "aws_secret_access_key" => &mut keys.secret,
            "token" => &mut keys.token,
            _ => return Err(invalid_credentials()),
        };
        *place = Some(value.to_owned());
    }
    keys.finish()?.ok_or_else(invalid_credentials)
}

/// Redshift's answer to a COPY without, or with half of, its credentials.
pub(super) fn invalid_credentials() -> Refusal {
    Refusal::new(
        "XX000",
        "Invalid credentials. Must be of the format: credentials 'aws_iam_role=...' or \
         'aws_access_key_id=...;aws_secret_access_key=...[;token=...]'",
    )
}

/// `arn:<partition>:iam::<12 digits>:role/<path and name>`.
fn is_role(arn: &str) -> bool {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (arn, partition, service, region, account, resource) = (next(), next(), next(), next(), next(), next());
    let name = resource.strip_prefix("role/").unwrap_or_default();
    arn == "arn"
        && matches!(partition, "aws" | "aws-cn" | "aws-us-gov" | "aws-iso" | "aws-iso-b" | "aws-eusc")
        && service == "iam"
        && region.is_empty()
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && (1..=ROLE_NAME_BYTES_MAX).contains(&name.len())
        && !name.ends_with('/')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@-_/".contains(&b))
}
