//! The kernel's counters as metrics.

use std::fmt;

use gateway_ir::Protocol;
use gateway_l4::Counters;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;

/// Reads the counters when it is scraped.
pub(super) struct Reader(Mutex<Box<dyn FnMut() -> Option<Counters> + Send>>);

impl Reader {
    /// A registry whose values come from `read`.
    pub(super) fn registry(read: impl FnMut() -> Option<Counters> + Send + 'static) -> Registry {
        let mut registry = Registry::with_prefix("sanmon");
        registry.register_collector(Box::new(Self(Mutex::new(Box::new(read)))));
        registry
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl Collector for Reader {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(counters) = (self.0.lock())() else {
            return Ok(());
        };
        let help = "Packets that gates 1 and 2 saw, each in exactly one reason";
        let mut family =
            encoder.encode_descriptor("datapath_packets", help, None, MetricType::Counter)?;
        for (reason, packets) in &counters.reasons {
            count(&mut family, &[("reason", reason.label())], *packets)?;
        }
        let help = "Packets from clients to a VIP's port";
        let family = encoder.encode_descriptor("vip_packets", help, None, MetricType::Counter)?;
        services(family, &counters, |it| it.packets)?;
        let help = "Bytes from clients to a VIP's port, Ethernet header included";
        let family = encoder.encode_descriptor("vip_bytes", help, None, MetricType::Counter)?;
        services(family, &counters, |it| it.bytes)
    }
}

fn services(
    mut family: MetricEncoder<'_>,
    counters: &Counters,
    value: impl Fn(&gateway_l4::stats::ServiceCounters) -> u64,
) -> Result<(), fmt::Error> {
    for service in &counters.services {
        let (vip, port) = (service.vip.to_string(), service.port.to_string());
        let protocol = match service.protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        };
        let labels = [
            ("vip", vip.as_str()),
            ("port", &port),
            ("protocol", protocol),
        ];
        count(&mut family, &labels, value(service))?;
    }
    Ok(())
}

fn count<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &[(&str, &str); N],
    value: u64,
) -> Result<(), fmt::Error> {
    ConstCounter::new(value).encode(family.encode_family(labels)?)
}
