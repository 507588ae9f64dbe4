//! TLS from PEM files.

use std::sync::Arc;

use anyhow::{Context, Result};
use pgwire::tokio::TlsAcceptor;
use pgwire::tokio::tokio_rustls::rustls::ServerConfig;
use pgwire::tokio::tokio_rustls::rustls::crypto::aws_lc_rs;
use pgwire::tokio::tokio_rustls::rustls::pki_types::pem::PemObject;
use pgwire::tokio::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::options::Options;

/// What accepts TLS, if it is configured.
pub(super) fn acceptor(options: &Options) -> Result<Option<TlsAcceptor>> {
    let Some((chain, key)) = &options.tls else { return Ok(None) };
    let chain: Vec<_> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .with_context(|| format!("no certificate in {}", chain.display()))?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| format!("no private key in {}", key.display()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("certificate and key do not fit")?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}
