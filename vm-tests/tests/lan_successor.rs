//! A process whose successor starts beside it: nothing is lost, no address moves, and who dies on the way changes nothing.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use gateway_vm_tests::bed::{Bed, HTTP, Mode, PATIENCE, SOON, TCP, VIP, on_bed};
use gateway_vm_tests::client::{self, Connection, Conversation, Get, Transport};
use gateway_vm_tests::deadline::bounded;
use gateway_vm_tests::frame::Arp;
use gateway_vm_tests::netlink::Mac;
use gateway_vm_tests::nodes::Nodes;
use gateway_vm_tests::{Capture, Host, Sanmon, Task, skips};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// Rest of a client between two requests.
const PAUSE: Duration = Duration::from_millis(2);
/// Questions without an answer, of hundreds: a silence that a client would notice has more.
const UNANSWERED_MAX: usize = 20;
/// In whose name is asked: nobody else asks in it.
const ASKER: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 51);
/// More than a lease: what was not taken over is silent by then.
const AFTERWARDS: Duration = Duration::from_millis(1200);

const READY: &str = "a successor gets ready";
const RELEASED: &str = "gate 2 is left to a successor";
const TAKEN_BACK: &str = "gate 2 is taken back";
const SERVES: &str = "this process serves the node now";

#[test]
fn successor_takes_over_and_nobody_notices() -> anyhow::Result<()> {
    let test = "successor_takes_over_and_nobody_notices";
    on_bed(test, Mode::Tc, |bed| {
        let clients = Clients::start(bed);
        let (begun, has_begun) = oneshot::channel();
        let (ending, is_ending) = oneshot::channel();
        let slow = bed.client.namespace.spawn(move || async move {
            let mut stream = bounded("connection", TcpStream::connect(HTTP)).await?;
            stream.write_all(b"GET / HTTP/1.1\r\n").await?;
            let mut talk = Conversation::open(TCP).await?;
            talk.say("before").await?;
            begun.send(()).ok().context("nobody waits")?;
            is_ending.await?;
            talk.say("after").await?;
            stream.write_all(b"Host: any.example\r\n\r\n").await?;
            let mut answer = String::new();
            bounded("answer", stream.read_to_string(&mut answer)).await?;
            Ok(answer)
        });
        has_begun.blocking_recv()?;

        let mut successor = Sanmon::start(&bed.node.namespace, &bed.options)?;
        ask_until(bed, || bed.sanmon.log().contains(SERVES))?;
        clients.expect_more()?;
        successor.wait_ready(&bed.node.namespace, PATIENCE)?;
        ending.send(()).ok().context("the client is gone")?;
        let answer = slow.join(PATIENCE)?;
        ensure!(answer.contains("connection: close"), "{answer:?}");
        let status = bed.sanmon.wait(PATIENCE)?;
        ensure!(status.success(), "{status}");
        clients.expect_more()?;
        clients.end()?;
        bed.sanmon = successor;
        expect_service(bed)
    })
}

#[test]
fn successors_of_successors_keep_an_address_among_three_nodes() -> anyhow::Result<()> {
    let test = "successors_of_successors_keep_an_address_among_three_nodes";
    if skips(test) {
        return Ok(());
    }
    let mut nodes = Nodes::without_processes(3)?;
    nodes.let_find();
    let result = succeed_twice(&mut nodes);
    nodes.explain(test, result)
}

fn succeed_twice(nodes: &mut Nodes) -> anyhow::Result<()> {
    for number in 0..nodes.hosts.len() {
        nodes.start(number)?;
    }
    for number in 0..nodes.hosts.len() {
        nodes.wait_ready(number)?;
    }
    let owner = nodes.owner()?;
    let mac = nodes.mac(owner);
    for round in 0..2 {
        let mut successor = nodes.start_beside(owner)?;
        let said = || {
            nodes
                .processes
                .get(owner)
                .map(Sanmon::log)
                .unwrap_or_default()
        };
        let is_taken_over = || said().matches(SERVES).count() > round;
        ask_while((&nodes.wire, &nodes.client), mac, is_taken_over)?;
        let host = nodes.hosts.get(owner).context("no such node")?;
        successor.wait_ready(&host.namespace, PATIENCE)?;
        let former = nodes.processes.get_mut(owner).context("no such node")?;
        ensure!(former.wait(PATIENCE)?.success(), "it did not end well");
        *former = successor;
    }
    Ok(())
}

#[test]
fn successor_that_dies_half_way_changes_nothing() -> anyhow::Result<()> {
    let test = "successor_that_dies_half_way_changes_nothing";
    on_bed(test, Mode::Tc, |bed| {
        let clients = Clients::start(bed);
        for moment in [READY, RELEASED] {
            let successor = Sanmon::start(&bed.node.namespace, &bed.options)?;
            wait_for_log(bed, moment)?;
            successor.signal(Signal::SIGKILL)?;
            ask_until(bed, || {
                bed.sanmon.log().contains("a successor has not taken over")
            })?;
        }
        wait_for_log(bed, TAKEN_BACK)?;
        clients.expect_more()?;
        clients.end()?;
        bed.use_pods(&[2, 3])?;
        expect_service(bed)
    })
}

#[test]
fn successor_goes_on_when_the_other_dies_half_way() -> anyhow::Result<()> {
    let test = "successor_goes_on_when_the_other_dies_half_way";
    for moment in [READY, RELEASED] {
        on_bed(test, Mode::Tc, |bed| {
            let mut successor = Sanmon::start(&bed.node.namespace, &bed.options)?;
            wait_for_log(bed, moment)?;
            bed.sanmon.signal(Signal::SIGKILL)?;
            bed.sanmon.wait(SOON)?;
            successor.wait_ready(&bed.node.namespace, PATIENCE)?;
            bed.sanmon = successor;
            expect_service(bed)
        })?;
    }
    Ok(())
}

#[test]
fn process_that_is_told_to_end_waits_for_its_successor() -> anyhow::Result<()> {
    let test = "process_that_is_told_to_end_waits_for_its_successor";
    on_bed(test, Mode::Native, |bed| {
        let clients = Clients::start(bed);
        let mut successor = Sanmon::start(&bed.node.namespace, &bed.options)?;
        wait_for_log(bed, READY)?;
        bed.sanmon.signal(Signal::SIGTERM)?;
        ask_until(bed, || bed.sanmon.log().contains(SERVES))?;
        let status = bed.sanmon.wait(PATIENCE)?;
        ensure!(status.success(), "{status}");
        successor.wait_ready(&bed.node.namespace, PATIENCE)?;
        clients.expect_more()?;
        clients.end()?;
        bed.sanmon = successor;
        expect_service(bed)
    })
}

/// Asks the bed's node all the time.
fn ask_until(bed: &Bed, is_so: impl Fn() -> bool) -> anyhow::Result<()> {
    ask_while((&bed.wire, &bed.client), bed.node.mac, is_so)
}

/// Asks who has the address all the time until something is so, and a little longer. Always one node answers, and no other.
fn ask_while(
    (wire, client): (&Capture, &Host),
    owner: Mac,
    is_so: impl Fn() -> bool,
) -> anyhow::Result<()> {
    let question = Arp::who_has(VIP, (client.mac, ASKER)).broadcast();
    let (mut asked, before) = (0, answers(wire, owner)?);
    let (start, mut end) = (Instant::now(), None);
    while end.is_none_or(|end| Instant::now() < end) {
        wire.send(&question)?;
        asked += 1;
        std::thread::sleep(PAUSE);
        if end.is_none() && is_so() {
            end = Some(Instant::now() + AFTERWARDS);
        }
        ensure!(start.elapsed() < PATIENCE, "it has not happened");
    }
    // Counted, not timed: on a busy machine the one who asks and the one who records are held up for longer than a lease.
    let deadline = Instant::now() + SOON;
    loop {
        let answered = answers(wire, owner)? - before;
        if answered + UNANSWERED_MAX >= asked {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{answered} of {asked} questions were answered"
        );
        std::thread::sleep(PAUSE);
    }
}

/// How many answers have come, all of one node.
fn answers(wire: &Capture, owner: Mac) -> anyhow::Result<usize> {
    let mut answers = 0;
    for frame in wire.frames() {
        let Some(arp) = Arp::parse(&frame.bytes) else {
            continue;
        };
        if let Some(mac) = arp.answers(VIP) {
            ensure!(mac == owner, "{mac:x?} has answered");
            answers += usize::from(arp.target.1 == ASKER);
        }
    }
    Ok(answers)
}

fn wait_for_log(bed: &Bed, text: &str) -> anyhow::Result<()> {
    let start = Instant::now();
    while !bed.sanmon.log().contains(text) {
        ensure!(start.elapsed() < PATIENCE, "it has not said {text:?}");
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn expect_service(bed: &Bed) -> anyhow::Result<()> {
    ensure!(
        bed.who_has(VIP, SOON)? == bed.node.mac,
        "another one answers"
    );
    bed.client.namespace.run(|| async {
        get().await?;
        Conversation::open(TCP).await?.say("a new flow").await
    })
}

/// Clients that ask all the time, and fail when they are not answered.
struct Clients {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    tasks: Vec<Task<()>>,
}

/// What a client does.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// A connection for each request.
    Fresh,
    /// A connection for as long as it is open.
    Keeping,
    /// A connection past the proxy, for ever.
    Talking,
}

impl Clients {
    fn start(bed: &Bed) -> Self {
        let (is_over, answered) = (Arc::default(), Arc::default());
        let habits = [Habit::Fresh, Habit::Fresh, Habit::Keeping, Habit::Talking];
        let tasks = habits.map(|habit| {
            let (is_over, answered) = (Arc::clone(&is_over), Arc::clone(&answered));
            let ask = move || async move { ask(habit, &is_over, &answered).await };
            bed.client.namespace.spawn(ask)
        });
        Self {
            is_over,
            answered,
            tasks: tasks.into(),
        }
    }

    /// Waits until more requests are answered.
    fn expect_more(&self) -> anyhow::Result<()> {
        let before = self.answered.load(Ordering::Relaxed);
        let start = Instant::now();
        while self.answered.load(Ordering::Relaxed) < before + 50 {
            ensure!(start.elapsed() < PATIENCE, "nobody is answered any more");
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn end(self) -> anyhow::Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut tasks = self.tasks.into_iter();
        tasks.try_for_each(|task| task.join(PATIENCE))
    }
}

async fn ask(habit: Habit, is_over: &AtomicBool, answered: &AtomicUsize) -> anyhow::Result<()> {
    let (mut kept, mut talk) = (None, Conversation::open(TCP).await?);
    while !is_over.load(Ordering::Relaxed) {
        let result = match habit {
            Habit::Fresh => get().await,
            Habit::Keeping => ask_again(&mut kept).await,
            Habit::Talking => talk.say("and on").await,
        };
        result.with_context(|| format!("{habit:?}"))?;
        answered.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn ask_again(kept: &mut Option<Connection>) -> anyhow::Result<()> {
    let mut open = match kept.take() {
        Some(open) if open.is_open() => open,
        Some(_) | None => Connection::open(HTTP, &Transport::Plain).await?,
    };
    let reply = open.get(&Get::new("any.example", "/")).await?;
    ensure!(reply.status == 200, "status {}", reply.status);
    *kept = Some(open);
    Ok(())
}

async fn get() -> anyhow::Result<()> {
    let get = Get::new("any.example", "/");
    let reply = client::get(HTTP, &Transport::Plain, &get).await?;
    ensure!(reply.status == 200, "status {}", reply.status);
    Ok(())
}
