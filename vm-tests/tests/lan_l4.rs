//! Gate 2 on the wire: TCP and UDP reach pods with the client's address, and everything else is refused.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use gateway_vm_tests::bed::{Bed, DNS, Mode, PATIENCE, SOON, TCP, VIP, on_bed};
use gateway_vm_tests::client::Conversation;
use gateway_vm_tests::deadline::bounded;
use gateway_vm_tests::{dns, frame};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;

/// The default lease.
const LEASE: Duration = Duration::from_secs(1);
/// Enough flows that with two equal pods each of them has some (2⁻¹⁹ against it).
const FLOWS: usize = 20;
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 2, 50));

#[test]
fn native_steers_to_pods_that_see_the_client() -> anyhow::Result<()> {
    let test = "native_steers_to_pods_that_see_the_client";
    on_bed(test, Mode::Native, steers)
}

#[test]
fn tc_steers_to_pods_that_see_the_client() -> anyhow::Result<()> {
    on_bed("tc_steers_to_pods_that_see_the_client", Mode::Tc, steers)
}

fn steers(bed: &mut Bed) -> anyhow::Result<()> {
    let pods = bed.client.namespace.run(|| async {
        let mut pods = BTreeSet::new();
        for _ in 0..FLOWS {
            let mut talk = Conversation::open(TCP).await?;
            assert_eq!((talk.seen, talk.seen.ip()), (talk.local, CLIENT));
            talk.say("hello").await?;
            pods.insert(format!("tcp {}", talk.pod));
            let answer = dns::query(DNS, "a.example").await?;
            let (pod, seen) = answer.text.split_once(' ').unwrap_or_default();
            assert_eq!(
                seen.parse(),
                Ok(SocketAddr::new(CLIENT, answer.local.port()))
            );
            pods.insert(format!("udp {pod}"));
        }
        Ok(pods)
    })?;
    let expected = ["tcp pod-1", "tcp pod-2", "udp pod-1", "udp pod-2"];
    assert_eq!(pods, expected.map(String::from).into());
    Ok(())
}

#[test]
fn native_refuses_a_port_without_listener() -> anyhow::Result<()> {
    let test = "native_refuses_a_port_without_listener";
    on_bed(test, Mode::Native, refuses)
}

#[test]
fn tc_refuses_a_port_without_listener() -> anyhow::Result<()> {
    on_bed("tc_refuses_a_port_without_listener", Mode::Tc, refuses)
}

/// A socket of the host listens on every address at port 22, as sshd does; the VIP's port 22 stays closed.
fn refuses(bed: &mut Bed) -> anyhow::Result<()> {
    let at = |address: IpAddr| SocketAddr::new(address, 22);
    let node = IpAddr::V4(bed.node.address);
    let (tcp, udp) = bed.node.namespace.run(|| async {
        Ok((
            TcpListener::bind("0.0.0.0:22").await?,
            UdpSocket::bind("0.0.0.0:22").await?,
        ))
    })?;
    let since = bed.port.now();
    bed.client.namespace.run(move || async move {
        bounded("the host's own port", TcpStream::connect(at(node))).await?;
        let refused = TcpStream::connect(at(IpAddr::V4(VIP)));
        let refused = tokio::time::timeout(SOON, refused).await?;
        let kind = refused.map(|_open| ()).map_err(|error| error.kind());
        assert_eq!(kind, Err(std::io::ErrorKind::ConnectionRefused));

        let socket = UdpSocket::bind("0.0.0.0:0").await?;
        socket.connect(at(IpAddr::V4(VIP))).await?;
        socket.send(b"anybody?").await?;
        let refused = tokio::time::timeout(SOON, socket.recv(&mut [0; 16])).await?;
        let kind = refused.map_err(|error| error.kind());
        assert_eq!(kind, Err(std::io::ErrorKind::ConnectionRefused));
        Ok(())
    })?;
    bed.port
        .wait_for("segment from the VIP", since, SOON, |frame| {
            let (source, _) = frame::endpoints(&frame.bytes)?;
            (source == (VIP, 22)).then_some(())
        })?;
    drop((tcp, udp));
    Ok(())
}

#[test]
fn native_carries_bulk_data_whole() -> anyhow::Result<()> {
    on_bed("native_carries_bulk_data_whole", Mode::Native, bulk)
}

#[test]
fn tc_carries_bulk_data_whole() -> anyhow::Result<()> {
    on_bed("tc_carries_bulk_data_whole", Mode::Tc, bulk)
}

/// Segments that network cards join and cut, and checksums that the sender left to them.
fn bulk(bed: &mut Bed) -> anyhow::Result<()> {
    let numbers = (0..1_000_000_u32).map(|number| number.wrapping_mul(2_654_435_761));
    let bytes: Vec<u8> = numbers.flat_map(u32::to_be_bytes).collect();
    bed.client
        .namespace
        .run(move || async move { Conversation::open(TCP).await?.exchange(&bytes).await })
}

#[test]
fn native_keeps_established_flows_through_three_changes_in_a_row() -> anyhow::Result<()> {
    let test = "native_keeps_established_flows_through_three_changes_in_a_row";
    on_bed(test, Mode::Native, keeps_flows)
}

#[test]
fn tc_keeps_established_flows_through_three_changes_in_a_row() -> anyhow::Result<()> {
    let test = "tc_keeps_established_flows_through_three_changes_in_a_row";
    on_bed(test, Mode::Tc, keeps_flows)
}

fn keeps_flows(bed: &mut Bed) -> anyhow::Result<()> {
    let (ask, mut asked) = mpsc::unbounded_channel::<String>();
    let (confirm, confirmed) = std::sync::mpsc::channel();
    let flows = bed.client.namespace.spawn(move || async move {
        let mut talks = Vec::new();
        let mut sockets = Vec::new();
        for _ in 0..FLOWS {
            talks.push(Conversation::open(TCP).await?);
            let socket = UdpSocket::bind("0.0.0.0:0").await?;
            let first = dns::query_from(&socket, DNS, "a.example").await?.text;
            sockets.push((socket, first));
        }
        confirm.send("open".to_owned())?;
        while let Some(change) = asked.recv().await {
            for talk in &mut talks {
                talk.say(&change).await?;
            }
            for (socket, first) in &sockets {
                let again = dns::query_from(socket, DNS, "a.example").await?.text;
                assert_eq!(&again, first, "{change}: a UDP flow moved");
            }
            confirm.send(change)?;
        }
        Ok(())
    });
    let heard = || confirmed.recv_timeout(Duration::from_secs(30));
    assert_eq!(heard().as_deref(), Ok("open"));
    for pods in [vec![0, 1, 2], vec![0, 1, 2, 3], vec![0, 1]] {
        bed.use_pods(&pods)?;
        let change = format!("pods {pods:?}");
        ask.send(change.clone())?;
        assert_eq!(heard(), Ok(change));
    }
    drop(ask);
    flows.join(SOON)
}

#[test]
fn pod_that_is_ending_keeps_its_flows_and_gets_no_new_ones() -> anyhow::Result<()> {
    let test = "pod_that_is_ending_keeps_its_flows_and_gets_no_new_ones";
    on_bed(test, Mode::Native, |bed| {
        let (ask, mut asked) = mpsc::unbounded_channel::<()>();
        let (confirm, confirmed) = std::sync::mpsc::channel();
        let flows = bed.client.namespace.spawn(move || async move {
            let mut old = Vec::new();
            for _ in 0..FLOWS {
                old.push(Conversation::open(TCP).await?);
            }
            confirm.send(())?;
            asked.recv().await;
            for flow in &mut old {
                flow.say("still here").await?;
            }
            let mut new = BTreeSet::new();
            for _ in 0..FLOWS {
                new.insert(Conversation::open(TCP).await?.pod);
            }
            let old = old.into_iter().map(|flow| flow.pod);
            Ok((old.collect::<BTreeSet<_>>(), new))
        });
        confirmed.recv_timeout(PATIENCE)?;

        let pods = std::fs::read_to_string(bed.folder.path().join("pods.yaml"))?;
        let ending = "conditions: {ready: false, serving: true, terminating: true}, nodeName";
        bed.folder
            .write("pods.yaml", &pods.replacen("nodeName", ending, 1))?;
        let node = &bed.node.namespace;
        bed.sanmon.wait_for(node, "/snapshot", PATIENCE, |reply| {
            String::from_utf8_lossy(&reply.body).contains("\"weight\":0")
        })?;
        bed.sanmon.wait_ready(node, PATIENCE)?;
        ask.send(())?;
        let (old, new) = flows.join(PATIENCE)?;
        let both = ["pod-1", "pod-2"].map(str::to_owned);
        assert_eq!(old, BTreeSet::from(both));
        assert_eq!(new, BTreeSet::from(["pod-2".to_owned()]));
        Ok(())
    })
}

#[test]
fn addresses_are_answered_for_while_a_large_configuration_is_applied() -> anyhow::Result<()> {
    let test = "addresses_are_answered_for_while_a_large_configuration_is_applied";
    on_bed(test, Mode::Tc, |bed| {
        bed.folder.write("crowd.yaml", &crowd())?;
        let start = Instant::now();
        let (mut unanswered, mut silence) = (None, Duration::ZERO);
        let mut is_busy = false;
        loop {
            anyhow::ensure!(start.elapsed() < PATIENCE * 3, "never applied");
            let asked = Instant::now();
            if bed.who_has(VIP, Duration::from_millis(100)).is_ok() {
                unanswered = None;
            } else {
                silence = silence.max(unanswered.get_or_insert(asked).elapsed());
            }
            let reply = bed.sanmon.admin(&bed.node.namespace, "/readyz")?;
            let readiness: serde_json::Value = serde_json::from_slice(&reply.body)?;
            if is_busy && readiness["current"] == true {
                break;
            }
            is_busy |= readiness["current"] == false;
        }
        let took = start.elapsed();
        assert!(silence < LEASE, "silent for {silence:?} of {took:?}");
        Ok(())
    })
}

/// Listeners enough, each with a table of the largest size, that their tables take longer to build than a lease lasts.
fn crowd() -> String {
    let mut text = String::from(
        "apiVersion: v1
kind: Service
metadata: {name: crowd}
spec:
  ports: [{name: tcp, port: 80}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: crowd
  labels: {kubernetes.io/service-name: crowd}
addressType: IPv4
ports: [{name: tcp, port: 80, protocol: TCP}]
endpoints:
",
    );
    let addresses = (1..=4).flat_map(|third| (1..=250).map(move |last| (third, last)));
    for (third, last) in addresses {
        text.push_str(&format!("- {{addresses: [\"10.245.{third}.{last}\"]}}\n"));
    }
    text.push_str(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: crowd}
spec:
  parentRefs: [{name: crowd}]
  rules: [{backendRefs: [{name: crowd, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: crowd}
spec:
  gatewayClassName: sanmon
  addresses: [{type: IPAddress, value: 192.168.2.201}]
  listeners:
",
    );
    for port in 9000..9064 {
        text.push_str(&format!(
            "  - {{name: tcp-{port}, protocol: TCP, port: {port}}}\n"
        ));
    }
    text
}
