//! Snapshots that change while requests run.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gateway_ir::{PortProtocol, Snapshot};
use tokio::sync::Semaphore;

use crate::client::{Http1, Http2, get, get_once, pod};
use crate::config::{certificate, listener, plain, port, rule, site};
use crate::pods::Pod;
use crate::rig::{Rig, address, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_snapshots_under_load_fail_no_request() {
    let (a, b) = (Pod::echo("a").await, Pod::echo("b").await);
    let address = address();
    let rig = Rig::start(plain(address, &[a.address])).await;
    let answered = Arc::new(AtomicUsize::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (answered, stop) = (Arc::clone(&answered), Arc::clone(&stop));
            tokio::spawn(load(address, answered, stop))
        })
        .collect();

    for round in 0..100 {
        let endpoints = match round % 3 {
            0 => vec![a.address],
            1 => vec![b.address],
            _ => vec![a.address, b.address],
        };
        rig.publish(plain(address, &endpoints)).await;
        let goal = answered.load(Ordering::SeqCst) + 10;
        eventually("requests run between the snapshots", || {
            answered.load(Ordering::SeqCst) >= goal
                || clients.iter().any(tokio::task::JoinHandle::is_finished)
        })
        .await;
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.expect("no request failed");
    }
    assert!(a.requests() > 100 && b.requests() > 100);
}

/// Sends requests, on connections of every kind, each of which must be answered.
async fn load(address: SocketAddr, answered: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
    let mut http1 = Http1::connect(address).await;
    let mut http2 = Http2::connect(address).await;
    while !stop.load(Ordering::SeqCst) {
        let over_http2 = http::Request::get("http://h/").body(Default::default());
        for answer in [
            http1.get("h", "/").await,
            http2.send(over_http2.expect("a request")).await,
            get_once(address, "h", "/").await,
        ] {
            assert_eq!(answer.status(), 200);
            answered.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[tokio::test]
async fn a_removed_endpoint_finishes_its_request_gets_no_new_one_and_loses_its_connections() {
    let gate = Arc::new(Semaphore::new(1));
    let old = Pod::gated("old", Arc::clone(&gate)).await;
    let new = Pod::echo("new").await;
    let address = address();
    let rig = Rig::start(plain(address, &[old.address])).await;
    // One connection to the old endpoint becomes idle, a second one is busy.
    assert_eq!(get_once(address, "h", "/").await.status(), 200);
    let slow = tokio::spawn(async move { get_once(address, "h", "/slow").await });
    eventually("the slow request is at the pod", || old.requests() == 2).await;

    rig.publish(plain(address, &[new.address])).await;

    for _ in 0..10 {
        assert_eq!(pod(&get_once(address, "h", "/").await), "new");
    }
    gate.add_permits(1);
    assert_eq!(pod(&slow.await.expect("an answer")), "old");
    assert_eq!(old.requests(), 2);
    eventually("connections to the old endpoint close", || {
        old.open_connections() == 0
    })
    .await;
}

#[tokio::test]
async fn a_stream_outlives_the_snapshot_that_it_began_under() {
    let (pod, pieces) = Pod::streaming().await;
    let address = address();
    let rig = Rig::start(plain(address, &[pod.address])).await;
    let streaming = tokio::spawn(async move { get_once(address, "h", "/").await });
    pieces.send("before ").await.expect("a reader");
    eventually("the stream runs", || pod.requests() == 1).await;

    rig.publish(plain(address, &[])).await;
    pieces.send("after").await.expect("a reader");
    drop(pieces);

    assert_eq!(streaming.await.expect("an answer").body(), "before after");
}

#[tokio::test]
async fn a_port_in_use_is_reported_and_served_as_soon_as_it_is_free() {
    let pod = Pod::echo("a").await;
    let (free, taken) = (address(), address());
    let holder = TcpListener::bind(taken).expect("the port");
    let rules = || vec![rule("/").to("a", 1, &[pod.address])];
    let snapshot = Snapshot {
        http: vec![
            port(
                free,
                PortProtocol::Http,
                vec![listener("free", "*").host("*", rules()).build()],
            ),
            port(
                taken,
                PortProtocol::Http,
                vec![listener("taken", "*").host("*", rules()).build()],
            ),
        ],
        ..Snapshot::default()
    };
    let generation = snapshot.generation();
    let rig = Rig::start(snapshot).await;

    let report = rig.report(|report| !report.failures.is_empty()).await;
    assert_eq!(report.programmed, Some(generation));
    let [failure] = report.failures.as_slice() else {
        panic!("one failure: {report:?}");
    };
    assert_eq!(failure.listener.section, "taken");
    for part in [
        taken.ip().to_string(),
        taken.port().to_string(),
        "stop the process".to_owned(),
    ] {
        assert!(failure.message.contains(&part), "{}", failure.message);
    }
    assert_eq!(get_once(free, "h", "/").await.status(), 200);

    drop(holder);
    rig.report(|report| report.failures.is_empty()).await;
    assert_eq!(get_once(taken, "h", "/").await.status(), 200);
}

#[tokio::test]
async fn a_second_proxy_does_not_share_the_port_of_the_first() {
    let (a, b) = (Pod::echo("a").await, Pod::echo("b").await);
    let address = address();
    let _first = Rig::start(plain(address, &[a.address])).await;
    let second = Rig::start(plain(address, &[b.address])).await;

    let report = second.report(|report| report.programmed.is_some()).await;
    assert_eq!(report.failures.len(), 1, "{report:?}");
    for _ in 0..10 {
        assert_eq!(pod(&get_once(address, "h", "/").await), "a");
    }
}

#[tokio::test]
async fn ports_come_and_go_without_touching_the_others() {
    let pod = Pod::echo("a").await;
    let (kept, gone, new) = (address(), address(), address());
    let on = |addresses: &[SocketAddr]| Snapshot {
        http: addresses
            .iter()
            .flat_map(|address| plain(*address, &[pod.address]).http)
            .collect(),
        ..Snapshot::default()
    };
    let rig = Rig::start(on(&[kept, gone])).await;
    let mut on_kept = Http1::connect(kept).await;
    let mut on_gone = Http1::connect(gone).await;
    assert_eq!(on_kept.get("h", "/").await.status(), 200);
    assert_eq!(on_gone.get("h", "/").await.status(), 200);

    rig.publish(on(&[kept, new])).await;

    assert_eq!(on_kept.get("h", "/").await.status(), 200);
    assert_eq!(get_once(new, "h", "/").await.status(), 200);
    let refused = tokio::net::TcpStream::connect(gone).await;
    assert!(refused.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused));
    let ended = on_gone.try_send(get("h", "/")).await;
    assert!(
        ended.is_err(),
        "an idle connection to a port that is gone ends: {ended:?}"
    );
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_reported_for_its_listener_only() {
    let pod = Pod::echo("a").await;
    let address = address();
    let mut broken = gateway_ir::Certificate::clone(&certificate(&["b.test"]));
    broken.chain = vec![b"no certificate".to_vec()];
    let rules = || vec![rule("/").to("a", 1, &[pod.address])];
    let good = listener("good", "a.test")
        .certificate(&certificate(&["a.test"]))
        .host("a.test", rules());
    let bad = listener("bad", "b.test")
        .certificate(&Arc::new(broken))
        .host("b.test", rules());
    let rig = Rig::start(site(
        address,
        PortProtocol::Tls,
        vec![good.build(), bad.build()],
    ))
    .await;

    let report = rig.report(|report| report.programmed.is_some()).await;
    let sections: Vec<_> = report
        .failures
        .iter()
        .map(|failure| failure.listener.section.as_str())
        .collect();
    assert_eq!(sections, ["bad"]);
    assert!(
        report.failures[0].message.contains("Secret default/cert"),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_port_without_addresses_is_served_on_all_of_both_families() {
    let pod = Pod::echo("a").await;
    let one = SocketAddr::new(address().ip(), port_free_everywhere());
    let rig = Rig::start(plain(one, &[pod.address])).await;
    let mut everywhere = plain(one, &[pod.address]);
    everywhere.http[0].addresses.clear();

    // From one address to all of the same port: the process must not take its own sockets for somebody else's.
    let generation = everywhere.generation();
    rig.publish(everywhere).await;
    let report = rig
        .report(|report| report.programmed == Some(generation))
        .await;
    assert!(report.failures.is_empty(), "{report:?}");

    let other = SocketAddr::from(([127, 0, 0, 1], one.port()));
    assert_eq!(get_once(one, "h", "/").await.status(), 200);
    assert_eq!(get_once(other, "h", "/").await.status(), 200);
    let six = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, one.port()));
    if TcpListener::bind((six.ip(), 0)).is_err() {
        let line =
            "skipped: a_port_without_addresses_is_served_on_all_of_both_families: needs IPv6";
        writeln!(std::io::stderr(), "{line}").expect("stderr takes the line");
        return;
    }
    let answer = get_once(six, "h", "/").await;
    assert!(
        answer.body().contains("x-forwarded-for: ::1\n"),
        "{}",
        answer.body()
    );
}

/// A port that no socket of the machine has; below those that the kernel gives to others meanwhile.
fn port_free_everywhere() -> u16 {
    let start = 20_000 + u16::try_from(std::process::id() % 10_000).expect("below 10,000");
    (start..32_000)
        .find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok())
        .expect("a free port")
}
