//! Gates 1 and 2 start when there is something to announce, also while the process runs.

use std::fs;

use gateway_vm_tests::bed::{HTTP, Mode, PATIENCE, SILENCE, SOON, VIP, on_bed};
use gateway_vm_tests::client::{self, Get, Transport};
use nix::sys::signal::Signal;

#[test]
fn pool_that_appears_later_is_announced_and_leaves_no_trace() -> anyhow::Result<()> {
    let test = "pool_that_appears_later_is_announced_and_leaves_no_trace";
    on_bed(test, Mode::Tc, |bed| {
        bed.sanmon.signal(Signal::SIGINT)?;
        bed.sanmon.wait(PATIENCE)?;
        let config = bed.folder.path().join("config.yaml");
        let text = fs::read_to_string(&config)?;
        fs::remove_file(&config)?;
        bed.restart()?;
        assert!(bed.who_has(VIP, SILENCE).is_err());

        bed.folder.write("config.yaml", &text)?;
        let node = &bed.node.namespace;
        bed.sanmon.wait_for(node, "/snapshot", PATIENCE, |reply| {
            let text = String::from_utf8_lossy(&reply.body);
            text.contains(r#""interfaces":["eth0"]"#) && text.contains(r#""withheld":null"#)
        })?;
        bed.who_has(VIP, SOON)?;
        bed.client.namespace.run(|| async {
            let reply = client::get(HTTP, &Transport::Plain, &Get::new("any.example", "/")).await?;
            assert_eq!(reply.status, 200);
            Ok(())
        })?;

        bed.sanmon.signal(Signal::SIGINT)?;
        bed.sanmon.wait(PATIENCE)?;
        bed.expect_no_trace()
    })
}
