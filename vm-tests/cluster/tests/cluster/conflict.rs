//! Another machine takes the address of a Gateway: all nodes move to another one, and the API server says why.

use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use gateway_vm_tests::frame::Arp;
use gateway_vm_tests::netlink::{self, Mac};
use gateway_vm_tests::{Capture, Namespace};
use ipnet::IpNet;
use nix::sched::{CloneFlags, setns};

use crate::bed::{Bed, PATIENCE};
use crate::load::{Kind, Load, network};

/// The client's interface.
const NIC: &str = "eth0";
/// How long the new address is asked.
const CALM: Duration = Duration::from_secs(1);

#[test]
fn gateway_gets_another_address_and_its_status_says_who_has_the_former() -> anyhow::Result<()> {
    let test = "gateway_gets_another_address_and_its_status_says_who_has_the_former";
    let Some(cluster) = Bed::start(test, 3)? else {
        return Ok(());
    };
    cluster.install_sanmon()?;
    let policy = r#"{"spec": {"announcement": {"conflictPolicy": "reallocate"}}}"#;
    cluster.kubectl(&[
        "patch",
        "sanmonconfig/default",
        "--type=merge",
        "--patch",
        policy,
    ])?;
    let former = cluster.serve()?;
    let (_client, mac) = take(&cluster, former.ip().into())?;
    let mac = mac.map(|it| format!("{it:02x}")).join(":");

    let gateway = ["--namespace=first", "gateway/first"];
    let address = wait_for(&cluster, &gateway, "{.status.addresses[*].value}", |said| {
        said != former.ip().to_string()
    })?;
    cluster.owner(address.parse()?)?;
    // The new address is asked about first, and is not programmed until then.
    let programmed = r#"{.status.conditions[?(@.type=="Programmed")]['status','message']}"#;
    let why = format!("{} is set aside: another machine has it", former.ip());
    wait_for(&cluster, &gateway, programmed, |said| {
        said.starts_with("True") && said.contains(&why) && said.contains(&mac)
    })?;
    let conflict = r#"{.items[?(@.reason=="AddressConflict")].note}"#;
    let events = ["--namespace=first", "events.events.k8s.io"];
    let said = cluster.wait_for_field(&events, conflict)?;
    ensure!(said.contains(&mac), "{said}");

    let to = (address.parse::<std::net::IpAddr>()?, former.port()).into();
    let load = Load::start(&cluster.client(), vec![(Kind::Fresh, to)])?;
    std::thread::sleep(CALM);
    let seen = load.end()?;
    ensure!(seen.iter().all(|it| it.answered > 0), "nobody answers");
    Ok(())
}

/// Waits until a field of an object is as it should be, and gives it.
fn wait_for(
    cluster: &Bed,
    object: &[&str],
    field: &str,
    is: impl Fn(&str) -> bool,
) -> anyhow::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = cluster.wait_for_field(object, field)?;
        if is(&said) {
            return Ok(said);
        }
        ensure!(Instant::now() < deadline, "{field} is still {said}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The client takes an address, says so as a machine does that comes up, and gives its Ethernet address.
fn take(cluster: &Bed, address: IpNet) -> anyhow::Result<(Namespace, Mac)> {
    let network = network(&cluster.client())?;
    let client = std::thread::spawn(move || {
        setns(network, CloneFlags::CLONE_NEWNET)?;
        // Its thread is where this one is.
        Namespace::current("client")
    });
    let client = client.join().map_err(|_panic| anyhow!("no thread"))??;
    client.run(move || netlink::address(NIC, address))?;
    let mac = client.run(|| netlink::mac(NIC))?;
    let std::net::IpAddr::V4(address) = address.addr() else {
        return Err(anyhow!("{address} is not of the pool"));
    };
    let claim = Arp::who_has(address, (mac, address)).broadcast();
    Capture::start(&client, NIC)?.send(&claim)?;
    Ok((client, mac))
}
