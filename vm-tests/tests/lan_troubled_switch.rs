//! The switch of the bed by itself: it delays, duplicates, re-orders and loses frames, forgets and floods.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use gateway_vm_tests::bed::{PATIENCE, SILENCE, SOON};
use gateway_vm_tests::client::Conversation;
use gateway_vm_tests::lan::NIC;
use gateway_vm_tests::netlink::Mac;
use gateway_vm_tests::pod::{Service, serve};
use gateway_vm_tests::{Capture, Host, Impairment, Lan, Relay, dns};

/// Frames that are sent, each with a number.
const COUNT: u16 = 100;
/// The first EtherType for experiments (IEEE 802).
const EXPERIMENT: [u8; 2] = [0x88, 0xb5];

#[test]
fn delayed_frames_come_later_and_in_order() -> anyhow::Result<()> {
    on_stretch("delayed_frames_come_later_and_in_order", |stretch| {
        let delay = Duration::from_millis(60);
        stretch.relay.impair_to_host(Impairment::NONE.delay(delay));
        let sent = stretch.there.now();
        stretch.send_all()?;
        let first = wait(&stretch.there, stretch.client.mac, 1)?;
        ensure!(first >= sent + delay, "sent at {sent:?}, came at {first:?}");
        stretch.expect(&(0..COUNT).collect::<Vec<_>>())
    })
}

#[test]
fn reordered_frames_overtake_each_other_and_all_come() -> anyhow::Result<()> {
    let test = "reordered_frames_overtake_each_other_and_all_come";
    on_stretch(test, |stretch| {
        let spread = Duration::from_millis(60);
        stretch
            .relay
            .impair_to_host(Impairment::NONE.reorder(spread));
        stretch.send_all()?;
        wait(&stretch.there, stretch.client.mac, COUNT.into())?;
        let mut came = numbers(&stretch.there, stretch.client.mac);
        ensure!(!came.is_sorted(), "none has overtaken another");
        came.sort_unstable();
        ensure!(came == (0..COUNT).collect::<Vec<_>>(), "{came:?}");
        Ok(())
    })
}

#[test]
fn duplicated_frames_come_twice() -> anyhow::Result<()> {
    on_stretch("duplicated_frames_come_twice", |stretch| {
        stretch
            .relay
            .impair_to_host(Impairment::NONE.duplicate(100));
        stretch.send_all()?;
        let twice: Vec<u16> = (0..COUNT).flat_map(|it| [it, it]).collect();
        stretch.expect(&twice)
    })
}

#[test]
fn some_frames_are_lost_until_the_trouble_ends() -> anyhow::Result<()> {
    on_stretch("some_frames_are_lost_until_the_trouble_ends", |stretch| {
        stretch.relay.impair_to_host(Impairment::NONE.lose(50));
        stretch.send_all()?;
        let deadline = Instant::now() + PATIENCE;
        // The last one is sent until it comes: it overtakes none.
        loop {
            stretch.send(COUNT)?;
            if wait_for(&stretch.there, stretch.client.mac, COUNT, SILENCE).is_ok() {
                break;
            }
            ensure!(Instant::now() < deadline, "all are lost");
        }
        stretch.relay.impair_to_host(Impairment::NONE);
        let mut before = numbers(&stretch.there, stretch.client.mac);
        before.retain(|it| *it < COUNT);
        ensure!((15..85).contains(&before.len()), "{before:?}");
        stretch.send_all()?;
        let mut came = before;
        came.push(COUNT);
        came.extend(0..COUNT);
        stretch.expect(&came)
    })
}

#[test]
fn both_directions_carry_conversations_through_trouble() -> anyhow::Result<()> {
    let test = "both_directions_carry_conversations_through_trouble";
    on_stretch(test, |stretch| {
        let _tcp = serve(&stretch.host, Service::Tcp, 7)?;
        let _dns = serve(&stretch.host, Service::Dns, 53)?;
        let trouble = Impairment::NONE
            .delay(Duration::from_millis(2))
            .reorder(Duration::from_millis(4))
            .duplicate(20);
        stretch.relay.impair_to_host(trouble);
        stretch.relay.impair_to_switch(trouble);
        let address = stretch.host.address;
        stretch.client.namespace.run(move || async move {
            // Checksums that the kernel leaves to the interface are made in the end.
            let answer = dns::query((address, 53).into(), "a.example").await?;
            assert_eq!(answer.address, dns::ANSWER);
            let mut talk = Conversation::open((address, 7).into()).await?;
            talk.exchange(&[7; 100_000]).await
        })
    })
}

#[test]
fn switch_tells_all_ports_what_is_for_a_host_that_it_has_forgotten() -> anyhow::Result<()> {
    let test = "switch_tells_all_ports_what_is_for_a_host_that_it_has_forgotten";
    on_stretch(test, |stretch| {
        let lan = &stretch.lan;
        let bystander = lan.host("bystander", "192.168.2.51/24".parse()?)?;
        let ears = Capture::start(&bystander.namespace, NIC)?;
        let (host, client) = (stretch.host.mac, stretch.client.mac);
        // What all have heard, the switch has learnt from.
        let speak = |count: usize| {
            stretch.there.send(&frame([0xff; 6], host, 0))?;
            wait(&ears, host, count).map(|_at| ())
        };
        let send = |number: u16| {
            stretch.send(number)?;
            wait_for(&stretch.there, client, number, SOON)
        };
        speak(1)?;
        send(1)?;
        lan.forget()?;
        send(2)?;
        speak(2)?;
        send(3)?;
        lan.forget_after(0)?;
        speak(3)?;
        send(4)?;
        wait_for(&ears, client, 4, SOON)?;
        let heard = numbers(&ears, client);
        ensure!(heard == [2, 4], "the bystander has heard {heard:?}");
        Ok(())
    })
}

/// A host behind a stretch that can be impaired, and a client that sends to it.
struct Stretch {
    relay: Relay,
    wire: Capture,
    there: Capture,
    client: Host,
    host: Host,
    lan: Lan,
}

/// Runs a test on a stretch of its own; a failure names a pcap file of what came.
fn on_stretch(test: &str, body: impl FnOnce(&Stretch) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if gateway_vm_tests::skips(test) {
        return Ok(());
    }
    let lan = Lan::new()?;
    let client = lan.host("client", "192.168.2.50/24".parse()?)?;
    let host = lan.host("host", "192.168.2.10/24".parse()?)?;
    let stretch = Stretch {
        relay: lan.relay(&host)?,
        wire: Capture::start(&client.namespace, NIC)?,
        there: Capture::start(&host.namespace, NIC)?,
        client,
        host,
        lan,
    };
    stretch.there.explain(test, body(&stretch))
}

impl Stretch {
    fn send(&self, number: u16) -> anyhow::Result<()> {
        let bytes = frame(self.host.mac, self.client.mac, number);
        self.wire.send(&bytes)
    }

    fn send_all(&self) -> anyhow::Result<()> {
        (0..COUNT).try_for_each(|number| self.send(number))
    }

    /// Waits until so many frames have come, which are to be these.
    fn expect(&self, wanted: &[u16]) -> anyhow::Result<()> {
        let _at = wait(&self.there, self.client.mac, wanted.len())?;
        let came = numbers(&self.there, self.client.mac);
        let mut times = BTreeMap::new();
        for number in &came {
            *times.entry(number).or_insert(0) += 1;
        }
        ensure!(came == wanted, "came (with how many times): {times:?}");
        Ok(())
    }
}

fn frame(to: Mac, from: Mac, number: u16) -> Vec<u8> {
    let mut bytes = [to.as_slice(), &from, &EXPERIMENT, &number.to_be_bytes()].concat();
    bytes.resize(60, 0);
    bytes
}

fn number(bytes: &[u8], from: Mac) -> Option<u16> {
    let is_one = bytes.get(6..12) == Some(&from) && bytes.get(12..14) == Some(&EXPERIMENT);
    let number = bytes.get(14..16).filter(|_| is_one)?;
    Some(u16::from_be_bytes(number.try_into().ok()?))
}

/// The numbers of the frames of a sender that have passed.
fn numbers(capture: &Capture, from: Mac) -> Vec<u16> {
    let frames = capture.frames();
    let numbers = frames.iter().filter_map(|it| number(&it.bytes, from));
    numbers.collect()
}

/// Waits until so many frames of a sender have passed; gives the time of the last.
fn wait(capture: &Capture, from: Mac, count: usize) -> anyhow::Result<Duration> {
    let passed = std::cell::Cell::new(0);
    capture.wait_for("frame", Duration::ZERO, PATIENCE, |it| {
        let _ours = number(&it.bytes, from)?;
        passed.set(passed.get() + 1);
        (passed.get() == count).then_some(it.at)
    })
}

fn wait_for(capture: &Capture, from: Mac, wanted: u16, timeout: Duration) -> anyhow::Result<()> {
    let what = format!("frame {wanted}");
    capture.wait_for(&what, Duration::ZERO, timeout, |it| {
        (number(&it.bytes, from)? == wanted).then_some(())
    })
}
