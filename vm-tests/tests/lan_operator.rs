//! What an operator decides at a process's end, and what he cannot have.

use anyhow::Context;
use gateway_vm_tests::bed::{Bed, HTTP, Mode, PATIENCE, SILENCE, SOON, TCP, VIP, config, on_bed};
use gateway_vm_tests::client::{self, Conversation, Get, Transport};
use gateway_vm_tests::{Sanmon, sanmon};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

#[test]
fn interrupt_with_keep_leaves_what_goes_on_forwarding() -> anyhow::Result<()> {
    let test = "interrupt_with_keep_leaves_what_goes_on_forwarding";
    on_bed(test, Mode::Tc, |bed| {
        bed.sanmon.signal(Signal::SIGTERM)?;
        bed.sanmon.wait(PATIENCE)?;
        bed.options.more.push("--keep".into());
        bed.restart()?;
        // The neighbour entry is what keeps frames coming while nobody answers ARP.
        talk(bed)?;
        bed.sanmon.signal(Signal::SIGINT)?;
        let status = bed.sanmon.wait(PATIENCE)?;
        assert!(status.success(), "{status}");

        talk(bed)?;
        assert!(bed.who_has(VIP, SILENCE).is_err(), "somebody answers");
        assert!(bed.expect_no_trace().is_err(), "nothing was kept");

        let root = bed.options.bpf_root.clone().into_os_string();
        let arguments = ["uninstall".into(), "--bpf-root".into(), root];
        let done = sanmon::run_to_end(&bed.node.namespace, &arguments)?;
        assert!(done.status.success(), "{done:?}");
        bed.expect_no_trace()
    })
}

#[test]
fn pool_with_the_nodes_own_address_is_refused_and_nothing_else() -> anyhow::Result<()> {
    let test = "pool_with_the_nodes_own_address_is_refused_and_nothing_else";
    on_bed(test, Mode::Native, |bed| {
        let node = bed.node.address;
        let wide = format!("  - {{name: wide, addresses: [\"{node}/31\"]}}\n");
        bed.folder
            .write("config.yaml", &config(Mode::Native, &wide))?;
        let refusal = format!("pool wide holds {node}, the address of ");
        let is_said =
            |reply: &client::Reply| String::from_utf8_lossy(&reply.body).contains(refusal.as_str());
        let namespace = &bed.node.namespace;
        bed.sanmon
            .wait_for(namespace, "/conditions", PATIENCE, is_said)?;

        // The other pool and the host go on.
        assert_eq!(bed.who_has(node, SOON)?, bed.node.mac);
        assert_eq!(bed.who_has(VIP, SOON)?, bed.node.mac);
        get(bed)?;
        talk(bed)
    })
}

#[test]
fn drain_ends_at_its_deadline_with_a_request_in_flight() -> anyhow::Result<()> {
    let test = "drain_ends_at_its_deadline_with_a_request_in_flight";
    on_bed(test, Mode::Tc, |bed| {
        let short = "  proxy: {drainTimeout: 300ms}\n";
        bed.folder.write("config.yaml", &config(Mode::Tc, short))?;
        bed.sanmon.signal(Signal::SIGTERM)?;
        bed.sanmon.wait(PATIENCE)?;
        bed.sanmon = Sanmon::start(&bed.node.namespace, &bed.options)?;
        bed.sanmon.wait_ready(&bed.node.namespace, PATIENCE)?;

        let (sent, is_sent) = oneshot::channel();
        let (ended, has_ended) = oneshot::channel::<()>();
        let request = bed.client.namespace.spawn(move || async move {
            let mut stream = TcpStream::connect(HTTP).await?;
            let head = b"POST / HTTP/1.1\r\nhost: any.example\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n";
            stream.write_all(head).await?;
            // The proxy says so when it forwards the body, which never comes.
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await?;
            assert_eq!(&answer, b"HTTP/1.1 100");
            sent.send(()).ok().context("nobody waits")?;
            has_ended.await?;
            Ok(())
        });
        is_sent.blocking_recv()?;
        bed.sanmon.signal(Signal::SIGTERM)?;
        let status = bed.sanmon.wait(SOON)?;
        assert!(status.success(), "{status}");
        let log = bed.sanmon.log();
        assert!(log.contains("did not end within the drain"), "{log}");
        ended.send(()).ok().context("the client is gone")?;
        request.join(PATIENCE)
    })
}

fn talk(bed: &Bed) -> anyhow::Result<()> {
    bed.client
        .namespace
        .run(|| async { Conversation::open(TCP).await?.say("a new flow").await })
}

fn get(bed: &Bed) -> anyhow::Result<()> {
    bed.client.namespace.run(|| async {
        let get = Get::new("any.example", "/");
        let reply = client::get(HTTP, &Transport::Plain, &get).await?;
        assert_eq!(reply.status, 200);
        Ok(())
    })
}
