//! Logs to standard error, and the metrics of the process itself.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Context;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

use crate::cli::{LogArguments, LogFormat};

/// Starts logging.
///
/// # Errors
/// When the level is none.
pub(crate) fn init(arguments: &LogArguments) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&arguments.log_level)
        .with_context(|| format!("--log-level {}", arguments.log_level))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match arguments.log_format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// What is measured about the process and its configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    /// Objects of the source that are at fault.
    pub(crate) problems: Gauge,
    /// 1 for the gates that run the newest configuration, 0 for the others.
    pub(crate) current: Family<GateLabel, Gauge>,
    /// Addresses that this node answers for.
    pub(crate) owned: Gauge<u64, AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct GateLabel {
    pub(crate) gate: &'static str,
}

impl Metrics {
    /// The instruments with the registry that shows them.
    pub(crate) fn new() -> (Self, Arc<Registry>) {
        let metrics = Self::default();
        let mut registry = Registry::with_prefix("sanmon");
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version that runs", version);
        registry.register(
            "config_problems",
            "Files and documents of the configuration that are at fault",
            metrics.problems.clone(),
        );
        registry.register(
            "gate_current",
            "Whether a gate runs the newest configuration",
            metrics.current.clone(),
        );
        registry.register(
            "vips_owned",
            "Addresses that this node answers for",
            metrics.owned.clone(),
        );
        (metrics, Arc::new(registry))
    }
}
