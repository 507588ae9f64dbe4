//! One scrape of a running program.

use std::net::SocketAddr;

use anyhow::{Result, ensure};

use super::super::http::client::get;

/// The samples of one scrape.
#[derive(Debug, Clone, Default)]
pub(in crate::pipeline) struct Scrape {
    pub(super) text: String,
}

impl Scrape {
    pub(in crate::pipeline) fn of(address: SocketAddr) -> Result<Self> {
        let answer = get(address, "/metrics")?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(Self { text: answer.text() })
    }

    /// Values of the series whose name is `name` and whose labels have all of `labels`, written `label="value"`.
    pub(super) fn all(&self, name: &str, labels: &[&str]) -> Vec<f64> {
        let values = self.text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, rest) = series.split_once('{').unwrap_or((series, ""));
            let matches = found == name && labels.iter().all(|label| rest.contains(label));
            matches.then(|| value.parse().ok())?
        });
        values.collect()
    }

    /// The greatest of [`all`](Self::all).
    pub(in crate::pipeline) fn most(&self, name: &str, labels: &[&str]) -> Option<f64> {
        self.all(name, labels).into_iter().reduce(f64::max)
    }
}
