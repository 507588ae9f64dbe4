//! Ways to the cluster: opening them, with fresh credentials, and keeping those that are idle.

use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_s3::config::{Credentials, ProvideCredentials};
use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::sync::OnceCell;

use crate::warehouse::error::FailureKind;

use super::{
    client::Wire,
    credentials,
    data_api::DataApi,
    errors::{Class, Trouble},
    options::{CopyAccess, RedshiftOptions, TlsMode},
    script::Channel,
    sql::copy::Access,
};

/// A connection that was idle for longer is not used again: Redshift and what lies between end silent ones after an hour or
/// even a few minutes, and a merge is a bad moment to find out.
const IDLE_MAX: Duration = Duration::from_secs(240);
/// Longest time for one call of an AWS service.
const CALL_MAX: Duration = Duration::from_secs(30);

/// Opens ways to the cluster.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) options: RedshiftOptions,
    aws: OnceCell<SdkConfig>,
}

/// Channels that nobody uses at the moment.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    channels: Vec<(Box<dyn Channel>, Instant)>,
}

impl Idle {
    /// The channel used last, if it was used lately.
    pub(crate) fn take(&mut self) -> Option<Box<dyn Channel>> {
        self.channels.retain(|(_, since)| since.elapsed() < IDLE_MAX);
        self.channels.pop().map(|(channel, _)| channel)
    }

    /// Keeps a channel for later unless it is broken.
    pub(crate) fn give(&mut self, channel: Box<dyn Channel>) {
        if !channel.is_broken() {
            self.channels.push((channel, Instant::now()));
        }
    }
}

impl Connector {
    pub(crate) fn new(options: RedshiftOptions) -> Self {
        Self { options, aws: OnceCell::new() }
    }

    /// A new channel. Temporary passwords are asked for every time: they are looked at when a connection begins.
    pub(crate) async fn open(&self) -> Result<Box<dyn Channel>, Trouble> {
        if let Some(target) = &self.options.data_api {
            let api = DataApi::new(self.aws().await, target.clone(), self.options.database.clone());
            return Ok(Box::new(api));
        }
        let pass = credentials::obtain(self).await?;
        let options = self.wire_options(&pass.user, &pass.password)?;
        Ok(Box::new(Wire::connect(&options).await?))
    }

    fn wire_options(&self, user: &str, password: &str) -> Result<PgConnectOptions, Trouble> {
        let denied = |text: &str| Trouble::new(FailureKind::Denied, Class::Plain, text);
        let RedshiftOptions { host, port, database, tls, ca, .. } = &self.options;
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(host)
            .port(*port)
            .database(database)
            .username(user)
            .password(password)
            .application_name("tailwater")
            .ssl_mode(match tls {
                TlsMode::Disable => PgSslMode::Disable,
                TlsMode::Require => PgSslMode::Require,
                TlsMode::VerifyCa => PgSslMode::VerifyCa,
                TlsMode::VerifyFull => PgSslMode::VerifyFull,
            })
            .statement_cache_capacity(0)
            // Statements may hold keys and row values: the client's own log of them stays off.
            .disable_statement_logging();
        if let Some(ca) = ca {
            options = options.ssl_root_cert(ca);
        }
        if options.get_options().is_some() {
            return Err(denied("the environment has PGOPTIONS, which Redshift refuses at login; unset it"));
        }
        Ok(options)
    }

    /// Configuration of the AWS services: region, keys, endpoint.
    pub(crate) async fn aws(&self) -> &SdkConfig {
        let RedshiftOptions { region, endpoint, keys, .. } = &self.options;
        let load = async || {
            let timeouts = TimeoutConfig::builder().operation_timeout(CALL_MAX).build();
            let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
            if let Some(region) = region {
                loader = loader.region(Region::new(region.clone()));
            } else if endpoint.is_some() {
                // Without one the SDK would ask the machine's metadata service.
                loader = loader.region(Region::from_static("us-east-1"));
            }
            if let Some(endpoint) = endpoint {
                loader = loader.endpoint_url(endpoint);
            }
            if let Some(keys) = keys.clone() {
                let (id, secret, token) = (keys.access_key_id, keys.secret_access_key, keys.session_token);
                loader = loader.credentials_provider(Credentials::new(id, secret, token, None, "configuration"));
            }
            Box::pin(loader.load()).await
        };
        self.aws.get_or_init(load).await
    }

    /// What the next COPY reads the lake with.
    pub(crate) async fn access(&self) -> Result<Access, Trouble> {
        Ok(match &self.options.copy {
            CopyAccess::Default => Access::Default,
            CopyAccess::Role(arn) => Access::Role(arn.clone()),
            CopyAccess::Keys => {
                let lost = |text: String| Trouble::new(FailureKind::Denied, Class::Plain, text);
                let provider = self.aws().await.credentials_provider();
                let provider = provider.ok_or_else(|| lost("no AWS keys are configured for COPY".to_owned()))?;
                let keys = provider.provide_credentials().await;
                let keys = keys.map_err(|e| lost(format!("no AWS keys for COPY: {e}")))?;
                Access::Keys {
                    id: keys.access_key_id().to_owned(),
                    secret: keys.secret_access_key().to_owned(),
                    token: keys.session_token().map(str::to_owned),
                }
            }
        })
    }
}
