//! What outlives a process, what a new one takes over, and what is left when it is gone for good.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::symlink;
use std::time::Duration;

use gateway_vm_tests::bed::{Bed, DNS, HTTP, Mode, PATIENCE, SILENCE, SOON, TCP, VIP, on_bed};
use gateway_vm_tests::client::{self, Conversation, Get, Transport};
use gateway_vm_tests::lan::NIC;
use gateway_vm_tests::{Sanmon, dns, netlink, sanmon};
use nix::sys::signal::Signal;
use tokio::sync::oneshot;

#[test]
fn native_outlives_a_killed_process_and_its_successor_takes_over() -> anyhow::Result<()> {
    let test = "native_outlives_a_killed_process_and_its_successor_takes_over";
    on_bed(test, Mode::Native, outlives)
}

#[test]
fn tc_outlives_a_killed_process_and_its_successor_takes_over() -> anyhow::Result<()> {
    let test = "tc_outlives_a_killed_process_and_its_successor_takes_over";
    on_bed(test, Mode::Tc, outlives)
}

fn outlives(bed: &mut Bed) -> anyhow::Result<()> {
    let (killed, is_killed) = oneshot::channel();
    let (restarted, is_restarted) = oneshot::channel();
    let flow = bed.client.namespace.spawn(move || async move {
        let mut talk = Conversation::open(TCP).await?;
        talk.say("before").await?;
        is_killed.await?;
        talk.say("without a process").await?;
        Conversation::open(TCP).await?.say("a new flow").await?;
        dns::query(DNS, "a.example").await?;
        is_restarted.await?;
        talk.say("with a successor").await?;
        Conversation::open(TCP).await?.say("a new flow").await
    });
    bed.client.namespace.run(|| async {
        // The neighbour entry is what keeps frames coming while nobody answers ARP.
        dns::query(DNS, "a.example").await.map(|_answer| ())
    })?;
    bed.sanmon.signal(Signal::SIGKILL)?;
    bed.sanmon.wait(SOON)?;
    assert!(killed.send(()).is_ok());
    wait_for_silence(bed)?;
    bed.restart()?;
    assert!(restarted.send(()).is_ok());
    flow.join(PATIENCE)?;
    assert_eq!(bed.who_has(VIP, SOON)?, bed.node.mac);
    proxy_answers(bed)
}

#[test]
fn uninstall_removes_every_trace_of_a_dead_process() -> anyhow::Result<()> {
    for mode in [Mode::Native, Mode::Tc] {
        let test = "uninstall_removes_every_trace_of_a_dead_process";
        on_bed(test, mode, |bed| {
            proxy_answers(bed)?;
            assert_ne!(bed.trace()?, bed.untouched, "or this test shows nothing");
            bed.sanmon.signal(Signal::SIGKILL)?;
            bed.sanmon.wait(SOON)?;
            let root = bed.options.bpf_root.clone().into_os_string();
            let arguments = ["uninstall".into(), OsString::from("--bpf-root"), root];
            let done = sanmon::run_to_end(&bed.node.namespace, &arguments)?;
            assert!(done.status.success(), "{done:?}");
            assert!(!done.stdout.is_empty(), "it says what it removed");
            bed.expect_no_trace()
        })?;
    }
    Ok(())
}

#[test]
fn interrupt_in_the_foreground_leaves_no_trace() -> anyhow::Result<()> {
    let test = "interrupt_in_the_foreground_leaves_no_trace";
    on_bed(test, Mode::Native, |bed| {
        bed.sanmon.signal(Signal::SIGINT)?;
        let status = bed.sanmon.wait(PATIENCE)?;
        assert!(status.success(), "{status}");
        bed.expect_no_trace()
    })
}

#[test]
fn terminated_process_is_silent_and_goes_on_forwarding() -> anyhow::Result<()> {
    let test = "terminated_process_is_silent_and_goes_on_forwarding";
    on_bed(test, Mode::Tc, |bed| {
        bed.client.namespace.run(|| async {
            let answer = dns::query(DNS, "a.example").await?;
            assert_eq!(answer.address, dns::ANSWER);
            Ok(())
        })?;
        bed.sanmon.signal(Signal::SIGTERM)?;
        let status = bed.sanmon.wait(PATIENCE)?;
        assert!(status.success(), "{status}");
        assert!(bed.who_has(VIP, Duration::from_millis(300)).is_err());
        bed.client
            .namespace
            .run(|| async { Conversation::open(TCP).await?.say("a new flow").await })
    })
}

#[test]
fn second_process_on_the_same_bpf_root_is_refused() -> anyhow::Result<()> {
    let test = "second_process_on_the_same_bpf_root_is_refused";
    on_bed(test, Mode::Tc, |bed| {
        let arguments = [
            "run".into(),
            "--config".into(),
            bed.options.config.clone().into_os_string(),
            "--admin".into(),
            "127.0.0.1:9191".into(),
            "--bpf-root".into(),
            bed.options.bpf_root.clone().into_os_string(),
        ];
        let refused = sanmon::run_to_end(&bed.node.namespace, &arguments)?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned()
            + &String::from_utf8_lossy(&refused.stdout);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains(&bed.sanmon.pid().to_string()), "{said}");
        assert_eq!(bed.who_has(VIP, SOON)?, bed.node.mac);
        proxy_answers(bed)
    })
}

#[test]
fn gates_that_could_not_start_do_when_the_obstacle_is_gone() -> anyhow::Result<()> {
    let test = "gates_that_could_not_start_do_when_the_obstacle_is_gone";
    on_bed(test, Mode::Tc, |bed| {
        bed.sanmon.signal(Signal::SIGINT)?;
        bed.sanmon.wait(PATIENCE)?;
        let node = &bed.node.namespace;
        let root = bed.options.bpf_root.clone();
        let obstacle = root.clone();
        // A BPF filesystem takes no ordinary file.
        node.run(|| async move { Ok(symlink("in-the-way", obstacle)?) })?;
        bed.sanmon = Sanmon::start(node, &bed.options)?;
        let is_off = |reply: &client::Reply| {
            String::from_utf8_lossy(&reply.body).contains("gate 1 (announce) is off")
        };
        bed.sanmon.wait_for(node, "/readyz", PATIENCE, is_off)?;

        node.run(|| async move { Ok(std::fs::remove_file(root)?) })?;

        let is_on = |reply: &client::Reply| reply.status == 200 && !is_off(reply);
        bed.sanmon.wait_for(node, "/readyz", PATIENCE, is_on)?;
        assert_eq!(bed.who_has(VIP, SOON)?, bed.node.mac);
        proxy_answers(bed)
    })
}

#[test]
fn interface_that_comes_back_is_silent_until_it_has_programs() -> anyhow::Result<()> {
    let test = "interface_that_comes_back_is_silent_until_it_has_programs";
    on_bed(test, Mode::Tc, |bed| {
        // A process that is stopped attaches nothing, and the VIP's local route is there.
        bed.sanmon.signal(Signal::SIGSTOP)?;
        bed.node.unplug()?;
        bed.replug()?;
        // The kernel answers for what it has, or this test shows nothing.
        wait_for_answer(bed, bed.node.address)?;
        assert!(
            bed.who_has(VIP, SILENCE).is_err(),
            "the kernel has answered"
        );

        bed.sanmon.signal(Signal::SIGCONT)?;
        wait_for_answer(bed, VIP)?;
        proxy_answers(bed)
    })
}

#[test]
fn interface_that_goes_down_keeps_its_guard() -> anyhow::Result<()> {
    let test = "interface_that_goes_down_keeps_its_guard";
    on_bed(test, Mode::Tc, |bed| {
        let node = &bed.node.namespace;
        node.run(|| netlink::address("lo", IpAddr::V4(VIP).into()))?;
        node.run(|| netlink::down(NIC))?;
        let is_down = |reply: &client::Reply| {
            String::from_utf8_lossy(&reply.body).contains("interface eth0 is down")
        };
        bed.sanmon.wait_for(node, "/readyz", PATIENCE, is_down)?;
        // What comes now is answered by the kernel or by nobody.
        bed.sanmon.signal(Signal::SIGSTOP)?;
        node.run(|| netlink::up(NIC))?;
        // The kernel answers for what it has, or this test shows nothing.
        wait_for_answer(bed, bed.node.address)?;
        assert!(
            bed.who_has(VIP, SILENCE).is_err(),
            "the kernel has answered"
        );

        bed.sanmon.signal(Signal::SIGCONT)?;
        wait_for_answer(bed, VIP)
    })
}

fn proxy_answers(bed: &Bed) -> anyhow::Result<()> {
    bed.client.namespace.run(|| async {
        let get = Get::new("any.example", "/");
        let reply = client::get(HTTP, &Transport::Plain, &get).await?;
        assert_eq!(reply.status, 200);
        Ok(())
    })
}

/// Waits until nobody answers for the VIP any more.
fn wait_for_silence(bed: &Bed) -> anyhow::Result<()> {
    let deadline = std::time::Instant::now() + PATIENCE;
    while bed.who_has(VIP, Duration::from_millis(50)).is_ok() {
        anyhow::ensure!(std::time::Instant::now() < deadline, "still answered");
    }
    Ok(())
}

/// Waits until the node answers for an address.
fn wait_for_answer(bed: &Bed, address: Ipv4Addr) -> anyhow::Result<()> {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        match bed.who_has(address, Duration::from_millis(50)) {
            Ok(mac) => {
                assert_eq!(mac, bed.node.mac);
                return Ok(());
            }
            Err(error) if std::time::Instant::now() > deadline => return Err(error),
            Err(_not_yet) => {}
        }
    }
}
