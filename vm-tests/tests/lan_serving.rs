//! An address that leads to pods alone is for the nodes that run some.

use std::time::Duration;

use anyhow::ensure;
use gateway_vm_tests::nodes::{Fault, Nodes, config};

/// Longer than any node would take to ask for an address that is free.
const SILENCE: Duration = Duration::from_millis(1500);

#[test]
fn node_without_endpoints_of_a_tcp_gateway_does_not_ask_for_its_address() -> anyhow::Result<()> {
    let test = "node_without_endpoints_of_a_tcp_gateway_does_not_ask_for_its_address";
    if gateway_vm_tests::skips(test) {
        return Ok(());
    }
    let mut nodes = Nodes::without_processes(3)?;
    for folder in &nodes.folders {
        let http = "{name: http, protocol: HTTP, port: 80}";
        let tcp = "{name: tcp, protocol: TCP, port: 7000}";
        let text = config("");
        ensure!(text.contains(http), "or this shows nothing");
        folder.write("config.yaml", &text.replace(http, tcp))?;
        folder.write("route.yaml", ROUTE)?;
    }
    place(&nodes, "node-2")?;
    for number in 0..3 {
        nodes.start(number)?;
    }
    for number in 0..3 {
        nodes.wait_ready(number)?;
    }
    ensure!(nodes.owner()? == 1, "{:?} answers", nodes.owner());

    nodes.inflict(Fault::Kill, 1)?;
    for number in [0, 2] {
        nodes.wait_said(number, "/snapshot", "this node has no endpoint of its")?;
    }
    let answer = nodes.who_has(SILENCE);
    ensure!(answer.is_err(), "{answer:02x?} serves nothing");

    place(&nodes, "node-3")?;
    ensure!(nodes.owner()? == 2, "{:?} answers", nodes.owner());
    Ok(())
}

/// Tells all nodes where the only pod is.
fn place(nodes: &Nodes, node: &str) -> anyhow::Result<()> {
    for folder in &nodes.folders {
        folder.write("slice.yaml", &SLICE.replace("NODE", node))?;
    }
    Ok(())
}

const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: echo}
spec:
  parentRefs: [{name: main}]
  rules: [{backendRefs: [{name: app, port: 7000}]}]
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec:
  selector: {app: app}
  ports: [{name: tcp, port: 7000, protocol: TCP}]
";

const SLICE: &str = "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: app, labels: {kubernetes.io/service-name: app}}
addressType: IPv4
ports: [{name: tcp, port: 7000, protocol: TCP}]
endpoints:
- {addresses: [10.10.1.11], nodeName: NODE}
";
