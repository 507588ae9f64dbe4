//! Temporary passwords of AWS, asked for before each connection.
//!
//! A password is looked at when a connection begins; sessions outlive it. Management guide, "Using IAM authentication to
//! generate database user credentials".

use aws_config::SdkConfig;
use aws_sdk_redshift::error::DisplayErrorContext;

use crate::warehouse::error::FailureKind;

use super::{
    errors::{Class, Trouble, trimmed},
    options::{Login, RedshiftOptions},
    pool::Connector,
};

/// How long a password shall be valid: the least that the services give. A connection begins within seconds.
const VALID_SECONDS: i32 = 900;

/// A user and a password to log in with.
pub(crate) struct Pass {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// The password that is configured, or a temporary one.
pub(crate) async fn obtain(connector: &Connector) -> Result<Pass, Trouble> {
    let options = &connector.options;
    let pass = match &options.login {
        Login::Password(password) => Some(Pass { user: options.user.clone(), password: password.clone() }),
        Login::Cluster { cluster, groups } => of_cluster(connector.aws().await, options, cluster, groups).await?,
        Login::ClusterIam { cluster } => of_identity(connector.aws().await, options, cluster).await?,
        Login::Workgroup { workgroup } => of_workgroup(connector.aws().await, options, workgroup).await?,
    };
    pass.ok_or_else(|| Trouble::lost("AWS answered without a user or a password"))
}

async fn of_cluster(
    aws: &SdkConfig,
    options: &RedshiftOptions,
    cluster: &str,
    groups: &[String],
) -> Result<Option<Pass>, Trouble> {
    let call = aws_sdk_redshift::Client::new(aws)
        .get_cluster_credentials()
        .cluster_identifier(cluster)
        .db_user(&options.user)
        .db_name(&options.database)
        .set_db_groups((!groups.is_empty()).then(|| groups.to_vec()))
        .auto_create(false)
        .duration_seconds(VALID_SECONDS);
    let answer = Box::pin(call.send()).await.map_err(|e| failed("redshift:GetClusterCredentials", &e, denied(&e)))?;
    Ok(answer.db_user.zip(answer.db_password).map(|(user, password)| Pass { user, password }))
}

async fn of_identity(aws: &SdkConfig, options: &RedshiftOptions, cluster: &str) -> Result<Option<Pass>, Trouble> {
    let call = aws_sdk_redshift::Client::new(aws)
        .get_cluster_credentials_with_iam()
        .cluster_identifier(cluster)
        .db_name(&options.database)
        .duration_seconds(VALID_SECONDS);
    let answer =
        Box::pin(call.send()).await.map_err(|e| failed("redshift:GetClusterCredentialsWithIAM", &e, denied(&e)))?;
    Ok(answer.db_user.zip(answer.db_password).map(|(user, password)| Pass { user, password }))
}

async fn of_workgroup(aws: &SdkConfig, options: &RedshiftOptions, workgroup: &str) -> Result<Option<Pass>, Trouble> {
    let call = aws_sdk_redshiftserverless::Client::new(aws)
        .get_credentials()
        .workgroup_name(workgroup)
        .db_name(&options.database)
        .duration_seconds(VALID_SECONDS);
    let answer =
        Box::pin(call.send()).await.map_err(|e| failed("redshift-serverless:GetCredentials", &e, denied(&e)))?;
    Ok(answer.db_user.zip(answer.db_password).map(|(user, password)| Pass { user, password }))
}

/// Whether the service answered and said no; throttling and its own errors are not that.
pub(crate) fn denied<E, R>(error: &aws_sdk_redshift::error::SdkError<E, R>) -> bool
where
    E: aws_sdk_redshift::error::ProvideErrorMetadata,
{
    let code = error.as_service_error().and_then(|e| e.meta().code()).unwrap_or_default();
    let busy = ["Throttl", "TooMany", "Internal", "Unavailable", "Timeout"].iter().any(|t| code.contains(t));
    error.as_service_error().is_some() && !busy
}

fn failed(call: &str, error: &(impl std::error::Error + 'static), denied: bool) -> Trouble {
    let text = format!("{call}: {}", trimmed(&DisplayErrorContext(error).to_string()));
    let kind = if denied { FailureKind::Denied } else { FailureKind::Transient };
    Trouble { lost: true, ..Trouble::new(kind, Class::Plain, text) }
}
