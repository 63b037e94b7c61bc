//! Writes the cells as OpenMetrics.

use std::fmt;
use std::sync::Arc;

use gateway_ir::ListenerId;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::{BOUNDS_US, CLASSES, Cell, ListenerCells, METHODS, Metrics, WorkerCells};

const MICROS_PER_SECOND: f64 = 1e6;

/// A counter that is summed over the workers: name, help, the cell.
type WorkerCounter = (&'static str, &'static str, fn(&WorkerCells) -> &Cell);

const WORKER_COUNTERS: [WorkerCounter; 15] = [
    (
        "proxy_connections_opened",
        "Client connections accepted",
        |cells| &cells.connections_opened,
    ),
    (
        "proxy_connections_refused",
        "Client connections closed at once because the worker had proxy.connectionsMax of them",
        |cells| &cells.connections_refused,
    ),
    (
        "proxy_connections_timed_out",
        "Client connections closed at the deadline of handshake, request head or idleness",
        |cells| &cells.connections_timed_out,
    ),
    (
        "proxy_tls_handshakes_failed",
        "TLS handshakes that did not end in a connection",
        |cells| &cells.handshakes_failed,
    ),
    (
        "proxy_protocol_headers_refused",
        "Connections of trusted proxies closed because their PROXY header was malformed or did not come in time",
        |cells| &cells.proxy_headers_refused,
    ),
    (
        "proxy_panics",
        "Connections that ended by a defect in the proxy",
        |cells| &cells.panics,
    ),
    (
        "proxy_mirrors_dropped",
        "Requests that were not copied to a mirror because too many copies were under way",
        |cells| &cells.mirrors_dropped,
    ),
    (
        "proxy_authorizations_denied",
        "Requests that an authorization server turned away",
        |cells| &cells.authorizations_denied,
    ),
    (
        "proxy_authorizations_failed",
        "Requests that were refused because an authorization server gave no answer",
        |cells| &cells.authorizations_failed,
    ),
    (
        "proxy_upstream_connections_opened",
        "Connections to endpoints",
        |cells| &cells.upstream_opened,
    ),
    (
        "proxy_upstream_retries",
        "Requests that were sent to an endpoint once more",
        |cells| &cells.upstream_retries,
    ),
    (
        "proxy_upstream_connect_failures",
        "Endpoints that refused a connection",
        |cells| &cells.upstream_connect_failures,
    ),
    (
        "proxy_upstream_connect_timeouts",
        "Endpoints that did not accept a connection in time",
        |cells| &cells.upstream_connect_timeouts,
    ),
    (
        "proxy_upstream_protocol_errors",
        "Endpoints that broke off or did not answer with HTTP",
        |cells| &cells.upstream_protocol_errors,
    ),
    (
        "proxy_requests_unrouted",
        "Requests refused before a listener was found: malformed, or an unknown host",
        |cells| &cells.requests_unrouted,
    ),
];

/// Reads the cells whenever metrics are asked for.
#[derive(Debug)]
pub(crate) struct MetricsCollector(pub(crate) Arc<Metrics>);

impl Collector for MetricsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help, cell) in WORKER_COUNTERS {
            let sum: u64 = self.sum(cell);
            encoder
                .encode_descriptor(name, help, None, MetricType::Counter)?
                .encode_counter::<NoLabelSet, u64, f64>(&sum, None)?;
        }
        let opened = self.sum(|cells| &cells.connections_opened);
        let open = opened.saturating_sub(self.sum(|cells| &cells.connections_closed));
        encoder
            .encode_descriptor(
                "proxy_connections",
                "Client connections that are open",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&i64::try_from(open).unwrap_or(i64::MAX))?;
        let listeners = self.0.listeners.lock();
        let mut requests = encoder.encode_descriptor(
            "proxy_requests",
            "Requests answered, by listener, method and class of status",
            None,
            MetricType::Counter,
        )?;
        for (id, cells) in &*listeners {
            encode_requests(&mut requests, id, cells)?;
        }
        let mut durations = encoder.encode_descriptor(
            "proxy_request_duration_seconds",
            "From the end of the request head to the end of the response",
            None,
            MetricType::Histogram,
        )?;
        for (id, cells) in &*listeners {
            encode_durations(&mut durations, id, cells)?;
        }
        Ok(())
    }
}

impl MetricsCollector {
    fn sum(&self, cell: fn(&WorkerCells) -> &Cell) -> u64 {
        let workers = self.0.workers.iter();
        workers.map(|cells| cell(cells).value()).sum()
    }
}

fn encode_requests(
    encoder: &mut MetricEncoder<'_>,
    id: &ListenerId,
    workers: &[Arc<ListenerCells>],
) -> Result<(), fmt::Error> {
    let gateway = id.gateway.to_string();
    for (row, method) in METHODS.iter().enumerate() {
        for (column, class) in CLASSES.iter().enumerate() {
            let sum: u64 = workers
                .iter()
                .filter_map(|cells| cells.requests.get(row)?.get(column))
                .map(Cell::value)
                .sum();
            if sum == 0 {
                continue;
            }
            let labels = [
                ("gateway", gateway.as_str()),
                ("listener", id.section.as_str()),
                ("method", method),
                ("code", class),
            ];
            encoder
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, u64, f64>(&sum, None)?;
        }
    }
    Ok(())
}

fn encode_durations(
    encoder: &mut MetricEncoder<'_>,
    id: &ListenerId,
    workers: &[Arc<ListenerCells>],
) -> Result<(), fmt::Error> {
    let gateway = id.gateway.to_string();
    let labels = [
        ("gateway", gateway.as_str()),
        ("listener", id.section.as_str()),
    ];
    let bounds = BOUNDS_US
        .iter()
        .map(|micros| Some(*micros))
        .chain(std::iter::once(None));
    let buckets: Vec<(f64, u64)> = bounds
        .enumerate()
        .map(|(bucket, bound)| {
            let count = workers
                .iter()
                .filter_map(|cells| cells.durations.get(bucket))
                .map(Cell::value)
                .sum();
            (bound.map_or(f64::MAX, seconds), count)
        })
        .collect();
    let sum_us: u64 = workers
        .iter()
        .map(|cells| cells.duration_sum_us.value())
        .sum();
    let count = buckets.iter().map(|(_, count)| count).sum();
    encoder
        .encode_family(&labels)?
        .encode_histogram::<NoLabelSet>(seconds(sum_us), count, &buckets, None)
}

fn seconds(micros: u64) -> f64 {
    // Exact up to 2^53 µs, which is 285 years.
    micros as f64 / MICROS_PER_SECOND
}
