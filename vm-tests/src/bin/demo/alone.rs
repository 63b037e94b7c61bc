//! Gate 3 alone, on loopback: what is left of the play without root.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, ensure};
use gateway_vm_tests::bed::PATIENCE;
use gateway_vm_tests::folder::Folder;
use gateway_vm_tests::pod::{self, Service};
use gateway_vm_tests::sanmon::{self, Options};
use gateway_vm_tests::{Host, Namespace, Sanmon};
use nix::sys::signal::Signal;

use crate::act_proxy;
use crate::door::Door;
use crate::example::{self, PODS};
use crate::interrupt::Cleanup;
use crate::stage::Stage;
use crate::{Ending, Obstacle};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Plays gate 3 with ordinary sockets.
pub(crate) fn play(
    stage: &mut Stage,
    cleanup: &Cleanup,
    ending: Ending,
    obstacle: Obstacle,
) -> anyhow::Result<()> {
    stage.say(&match obstacle {
        Obstacle::NoRoot => "Sanmon without root: gate 3 (terminate) alone, on loopback. Gates 1 and 2 need root:\n\
            as root, `cargo xtask demo` shows all three on a LAN of network namespaces."
            .to_owned(),
        Obstacle::NoNamespaces(error) => format!(
            "Sanmon where namespaces are refused: gate 3 (terminate) alone, on loopback ({error:#})."
        ),
    });
    stage.chapter("Scene");
    let here = Namespace::current("loopback")?;
    let ports = free_ports()?;
    let folder = stage.step("configuration", || {
        let folder = example::copy()?;
        cleanup.folder(folder.root().to_owned());
        let evidence = rewrite(&folder, &ports)?;
        Ok((folder, evidence))
    })?;
    let _services = stage.step("pods on loopback", || {
        let mut services = Vec::new();
        for pod in PODS.into_iter().filter(|pod| pod.service == Service::Http) {
            let [_, .., last] = pod.address().octets();
            let host = Host {
                namespace: Namespace::current(pod.name)?,
                mac: [0; 6],
                address: Ipv4Addr::new(127, 244, 1, last),
            };
            services.push((pod::serve(&host, pod.service, pod.port)?, host));
        }
        Ok((services, "127.244.1.0/24 stands for 10.244.1.0/24".into()))
    })?;
    let options = Options {
        program: sanmon::binary(),
        config: folder.path().to_owned(),
        node: "node-1".into(),
        bpf_root: sanmon::unique_bpf_root(),
        admin: SocketAddr::new(LOOPBACK, ports.admin),
        log: folder.beside("log"),
        more: Vec::new(),
    };
    let mut sanmon = stage.step("sanmon run --config DIR", || {
        let mut sanmon = Sanmon::start(&here, &options)?;
        cleanup.process(sanmon.pid());
        let serves = SocketAddr::new(LOOPBACK, ports.http);
        sanmon.wait_for(&here, "/healthz", PATIENCE, |reply| reply.status == 200)?;
        here.run(move || async move { knock(serves).await })?;
        Ok((sanmon, format!("serves http://{serves}")))
    })?;
    let addresses = [ports.http, ports.https].map(|port| SocketAddr::new(LOOPBACK, port));
    let door = Door::new(&here, &folder, addresses, LOOPBACK)?;
    stage.chapter("Gate 3: terminate");
    act_proxy::play(stage, &door);
    act_proxy::edit(stage, &door);
    if ending == Ending::Keep {
        stage.say(&format!(
            "\nIt goes on until Ctrl-C; edit {}/*.yaml",
            folder.path().display()
        ));
        cleanup.wait();
    }
    stage.chapter("End");
    stage.show("Ctrl-C ends it", || {
        sanmon.signal(Signal::SIGINT)?;
        let status = sanmon.wait(PATIENCE)?;
        cleanup.process_ended();
        ensure!(
            status.success(),
            "sanmon ended with {status}: {}",
            sanmon.log()
        );
        Ok("exit code 0".into())
    });
    stage.summary();
    Ok(())
}

/// Ports that nobody has right now.
struct Ports {
    http: u16,
    https: u16,
    tcp: u16,
    udp: u16,
    admin: u16,
}

fn free_ports() -> anyhow::Result<Ports> {
    // Held together, so that they differ.
    let sockets = (0..5)
        .map(|_| TcpListener::bind(SocketAddr::new(LOOPBACK, 0)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut ports = sockets
        .iter()
        .map(|socket| socket.local_addr().map(|address| address.port()));
    let mut next = || -> anyhow::Result<u16> { Ok(ports.next().context("five sockets")??) };
    Ok(Ports {
        http: next()?,
        https: next()?,
        tcp: next()?,
        udp: next()?,
        admin: next()?,
    })
}

/// Moves listeners to ports that need no root, and pods to loopback.
fn rewrite(folder: &Folder, ports: &Ports) -> anyhow::Result<String> {
    // Without a pool gates 1 and 2 stay off, whoever runs this: nothing but loopback is touched.
    let pool = "  addressPools:\n  - name: lan\n    addresses: [\"192.168.2.200-192.168.2.250\"]\n";
    example::edit(folder, example::CONFIG, &[(pool, "  addressPools: []\n")])?;
    example::edit(folder, example::PODS_FILE, &[("10.244.1.", "127.244.1.")])?;
    let to = |port: u16| format!("port: {port}\n");
    let moved = [
        (80, ports.http),
        (443, ports.https),
        (7000, ports.tcp),
        (53, ports.udp),
    ];
    let moved = moved.map(|(from, new)| (to(from), to(new)));
    let changes: Vec<(&str, &str)> = moved
        .iter()
        .map(|(from, new)| (from.as_str(), new.as_str()))
        .collect();
    example::edit(folder, example::GATEWAY, &changes)?;
    Ok(format!(
        "a copy of examples/url-shortener, with port 80 as {} and 443 as {}",
        ports.http, ports.https
    ))
}

/// Waits until the port is open.
async fn knock(to: SocketAddr) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::net::TcpStream::connect(to).await.is_err() {
        ensure!(
            tokio::time::Instant::now() < deadline,
            "nobody listens at {to}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    Ok(())
}
