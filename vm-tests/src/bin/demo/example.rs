//! The example folder, and the pods that its README lists.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use gateway_vm_tests::folder::Folder;
use gateway_vm_tests::pod::Service;

/// The file with the pool and the datapath.
pub(crate) const CONFIG: &str = "00-config.yaml";
/// The file with the listeners and the certificate.
pub(crate) const GATEWAY: &str = "20-gateway.yaml";
/// The file whose weights the demonstration edits.
pub(crate) const CANARY: &str = "40-canary.yaml";
/// The file with the addresses of the pods.
pub(crate) const PODS_FILE: &str = "90-pods.yaml";

/// The host name of the shortener.
pub(crate) const SHORTENER: &str = "url-shortener.staging.k8s.local";
/// The host name whose requests are split by weight.
pub(crate) const SPLIT: &str = "canary.staging.k8s.local";
/// The host name whose version a header chooses.
pub(crate) const VERSIONS: &str = "versions.staging.k8s.local";

/// A pod of the example.
pub(crate) struct Pod {
    pub(crate) name: &'static str,
    /// The last byte of its address in 10.244.1.0/24.
    pub(crate) number: u8,
    pub(crate) service: Service,
    pub(crate) port: u16,
}

/// The pods, as `examples/url-shortener/README.md` lists them.
pub(crate) const PODS: [Pod; 7] = [
    pod("api-v1-a", 11, Service::Http, 8080),
    pod("api-v1-b", 12, Service::Http, 8080),
    pod("api-v2", 21, Service::Http, 8080),
    pod("web", 31, Service::Http, 8080),
    pod("canary", 41, Service::Http, 8080),
    pod("tcp-echo", 51, Service::Tcp, 7001),
    pod("dns", 61, Service::Dns, 5353),
];

const fn pod(name: &'static str, number: u8, service: Service, port: u16) -> Pod {
    Pod {
        name,
        number,
        service,
        port,
    }
}

impl Pod {
    /// Its address in the example.
    pub(crate) fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 244, 1, self.number)
    }
}

/// A copy of the example that the demonstration may edit.
pub(crate) fn copy() -> anyhow::Result<Folder> {
    Folder::copy_of(&original())
}

/// Where the example is.
pub(crate) fn original() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/url-shortener")
}

/// Makes gate 2 use native XDP: what `auto` would pick on a network card, and not on the veth of this LAN.
pub(crate) fn force_native(folder: &Folder) -> anyhow::Result<()> {
    let (from, to) = (
        "  addressPools:\n",
        "  datapath: {mode: native}\n  addressPools:\n",
    );
    edit(folder, CONFIG, &[(from, to)])
}

/// Replaces texts that the file must contain.
pub(crate) fn edit(folder: &Folder, file: &str, changes: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut text = folder.read(file)?;
    for (from, to) in changes {
        ensure!(text.contains(from), "{file} has no {from:?} any more");
        text = text.replace(from, to);
    }
    folder.write(file, &text)
}

/// The PEM certificate that the example's Secret holds: what the demonstration's clients trust.
pub(crate) fn certificate(folder: &Folder) -> anyhow::Result<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let text = folder.read(GATEWAY)?;
    let (_, rest) = text
        .split_once(BEGIN)
        .context("no PEM certificate in the Secret")?;
    let (body, _) = rest
        .split_once(END)
        .context("no end of the PEM certificate")?;
    let body: String = body.split_whitespace().collect::<Vec<_>>().join("\n");
    Ok(format!("{BEGIN}\n{body}\n{END}\n").into_bytes())
}
