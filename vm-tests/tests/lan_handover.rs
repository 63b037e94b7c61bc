//! An owner that ends, or is cordoned: what was asked of it is answered, and nobody is refused on the way to the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use gateway_vm_tests::Task;
use gateway_vm_tests::bed::{HTTP, PATIENCE};
use gateway_vm_tests::client::{self, Connection, Get, Transport};
use gateway_vm_tests::deadline::bounded;
use gateway_vm_tests::nodes::{Fault, Nodes, on_nodes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// Rest of a client between two requests.
const PAUSE: Duration = Duration::from_millis(2);
/// What the log of a node says that has stepped back.
const STEPPED_BACK: &str = "stepped back";

#[test]
fn terminated_owner_answers_what_is_under_way_and_refuses_nobody() -> anyhow::Result<()> {
    let test = "terminated_owner_answers_what_is_under_way_and_refuses_nobody";
    on_nodes(test, 3, |nodes| {
        let owner = nodes.owner()?;
        let (is_over, answered) = (Arc::default(), Arc::default());
        let clients = [Habit::Fresh, Habit::Fresh, Habit::Keeping, Habit::Keeping];
        let clients = clients.map(|habit| asks(nodes, habit, (&is_over, &answered)));
        let (begun, has_begun) = oneshot::channel();
        let (ending, is_ending) = oneshot::channel();
        let slow = nodes.client.namespace.spawn(move || async move {
            let mut stream = bounded("connection", TcpStream::connect(HTTP)).await?;
            stream.write_all(b"GET / HTTP/1.1\r\n").await?;
            begun.send(()).ok().context("nobody waits")?;
            is_ending.await?;
            stream.write_all(b"Host: any.example\r\n\r\n").await?;
            let mut answer = String::new();
            bounded("answer", stream.read_to_string(&mut answer)).await?;
            Ok(answer)
        });
        has_begun.blocking_recv()?;

        nodes.inflict(Fault::Terminate, owner)?;
        nodes.wait_said(owner, "/readyz", "is ending")?;
        expect_more(&answered)?;
        ensure!(nodes.owner()? == owner, "a request is under way still");
        ending.send(()).ok().context("the client is gone")?;
        let answer = slow.join(PATIENCE)?;
        ensure!(answer.contains("connection: close"), "{answer:?}");
        let ended = nodes.processes.get_mut(owner).context("no such node")?;
        ensure!(ended.wait(PATIENCE)?.success(), "it did not end well");
        ensure!(nodes.owner()? != owner, "the node that ended answers");
        expect_more(&answered)?;
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join(PATIENCE)?;
        }
        Ok(())
    })
}

#[test]
fn cordoned_owner_answers_what_is_under_way_and_refuses_nobody() -> anyhow::Result<()> {
    let test = "cordoned_owner_answers_what_is_under_way_and_refuses_nobody";
    on_nodes(test, 3, |nodes| {
        let first = nodes.owner()?;
        let (is_over, answered) = (Arc::default(), Arc::default());
        let clients = [Habit::Fresh, Habit::Fresh, Habit::Keeping, Habit::Keeping];
        let clients = clients.map(|habit| asks(nodes, habit, (&is_over, &answered)));
        expect_more(&answered)?;

        nodes.cordon(&[first])?;
        wait_until("it does not go", || Ok(nodes.owner()? != first))?;
        expect_more(&answered)?;
        // Whom everybody had left serves as before.
        let others: Vec<_> = (0..3).filter(|it| *it != first).collect();
        nodes.cordon(&others)?;
        wait_until("it does not come back", || Ok(nodes.owner()? == first))?;
        expect_more(&answered)?;
        // Nobody else may have it now, so it stays.
        nodes.cordon(&[0, 1, 2])?;
        let process = nodes.processes.get(first).context("no such node")?;
        wait_until("it does not step back again", || {
            Ok(process.log().matches(STEPPED_BACK).count() == 2)
        })?;
        expect_more(&answered)?;
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join(PATIENCE)?;
        }
        let stays = nodes.client.namespace.run(|| async {
            let mut kept = None;
            for _ in 0..3 {
                ask(&mut kept).await?;
            }
            Ok(kept.is_some_and(|it| it.is_open()))
        });
        ensure!(stays?, "connections do not stay");
        Ok(())
    })
}

/// What a client does with its connections.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// One for each request.
    Fresh,
    /// It uses one for as long as it is open.
    Keeping,
}

/// Asks until it is over, and fails when it is not answered.
fn asks(
    nodes: &Nodes,
    habit: Habit,
    (is_over, answered): (&Arc<AtomicBool>, &Arc<AtomicUsize>),
) -> Task<()> {
    let (is_over, answered) = (Arc::clone(is_over), Arc::clone(answered));
    nodes.client.namespace.spawn(move || async move {
        let mut kept: Option<Connection> = None;
        while !is_over.load(Ordering::Relaxed) {
            let result = match habit {
                Habit::Fresh => get().await,
                Habit::Keeping => ask(&mut kept).await,
            };
            result.with_context(|| format!("{habit:?}"))?;
            answered.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    })
}

/// Waits until more requests are answered.
fn expect_more(answered: &AtomicUsize) -> anyhow::Result<()> {
    let before = answered.load(Ordering::Relaxed);
    wait_until("nobody is answered any more", || {
        Ok(answered.load(Ordering::Relaxed) >= before + 20)
    })
}

/// Waits until something holds, or says why not.
fn wait_until(
    why_not: &'static str,
    mut holds: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds()? {
        ensure!(Instant::now() < deadline, why_not);
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

async fn ask(kept: &mut Option<Connection>) -> anyhow::Result<()> {
    let mut open = match kept.take() {
        Some(open) if open.is_open() => open,
        Some(_) | None => Connection::open(HTTP, &Transport::Plain).await?,
    };
    let reply = open.get(&Get::new("any.example", "/")).await?;
    // There is no route, which is an answer.
    ensure!(reply.status == 404, "status {}", reply.status);
    *kept = Some(open);
    Ok(())
}

async fn get() -> anyhow::Result<()> {
    let get = Get::new("any.example", "/");
    let reply = client::get(HTTP, &Transport::Plain, &get).await?;
    ensure!(reply.status == 404, "status {}", reply.status);
    Ok(())
}
