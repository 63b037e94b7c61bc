//! How much is measured, and of whom, as the environment says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;

/// What is measured.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Routes that are made one after another.
    pub(crate) routes: usize,
    /// Routes that are there with a Service and an EndpointSlice each, and change all the time for a while.
    pub(crate) workloads: usize,
    /// Changes of the route that requests flow by.
    pub(crate) changes: usize,
    /// None: Sanmon, in a cluster of its own.
    pub(crate) foreign: Option<Foreign>,
}

/// Another controller in a cluster that is there.
#[derive(Debug)]
pub(crate) struct Foreign {
    /// Its GatewayClass.
    pub(crate) class: String,
    /// The way into the cluster.
    pub(crate) kubeconfig: PathBuf,
    /// Where the Gateway is reached; none: port 80 of the address in its status.
    pub(crate) address: Option<SocketAddr>,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// When a variable does not say what it should.
    pub(crate) fn from_environment() -> anyhow::Result<Self> {
        Ok(Self {
            routes: parsed("SANMON_BENCH_ROUTES")?.unwrap_or(3_000),
            workloads: parsed("SANMON_BENCH_WORKLOADS")?.unwrap_or(5_000),
            changes: parsed("SANMON_BENCH_CHANGES")?.unwrap_or(1_000),
            foreign: match parsed("SANMON_BENCH_CLASS")? {
                None => None,
                Some(class) => Some(Foreign {
                    class,
                    kubeconfig: parsed("KUBECONFIG")?.context("KUBECONFIG is not set")?,
                    address: parsed("SANMON_BENCH_ADDRESS")?,
                }),
            },
        })
    }
}

fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    name: &str,
) -> anyhow::Result<Option<T>> {
    let text = std::env::var_os(name);
    let text = text.map(|it| it.to_string_lossy().into_owned());
    let value = text.map(|it| it.parse().with_context(|| format!("{name}={it}")));
    value.transpose()
}
