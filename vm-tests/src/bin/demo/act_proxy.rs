//! Gate 3: HTTP and HTTPS by host, path and header; a weighted split; and a change under load.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use gateway_vm_tests::bed::PATIENCE;
use gateway_vm_tests::client::{self, Connection, Get, Transport};

use crate::door::Door;
use crate::example::{self, SHORTENER, SPLIT, VERSIONS};
use crate::stage::{Stage, seconds};

/// How many requests the split is measured over.
const SPLIT_REQUESTS: u32 = 1000;
/// What the canary should have of them, and five standard deviations of a fair draw on each side.
const SPLIT_EXPECTED: std::ops::RangeInclusive<u32> = 53..=147;
/// How many answers in a row must be new for a change to count as complete.
const IN_A_ROW: u32 = 200;

/// Plays the act.
pub(crate) fn play(stage: &mut Stage, door: &Door<'_>) {
    stage.show("HTTP by host and path", || by_path(door));
    stage.show("by header, with the request edited", || by_header(door));
    stage.show("another host is not served", || unknown_host(door));
    stage.show("the pod learns who the client is", || client_address(door));
    stage.show("HTTPS with the Secret's certificate", || https(door));
    stage.show("a 90/10 split over 1,000 requests", || split(door));
}

/// Edits the weights while requests go on.
pub(crate) fn edit(stage: &mut Stage, door: &Door<'_>) {
    stage.show("an edited file takes effect at once", || edited(door));
}

fn by_path(door: &Door<'_>) -> anyhow::Result<String> {
    let page = door.get(Get::new(SHORTENER, "/"))?;
    let api = door.get(Get::new(SHORTENER, "/api/links"))?;
    ensure!(page.pod == "web", "/ went to {}", page.pod);
    ensure!(
        api.pod.starts_with("api-v1"),
        "/api/links went to {}",
        api.pod
    );
    Ok(format!(
        "/ → {}, /api/links → {}; http://{SHORTENER}",
        page.pod, api.pod
    ))
}

fn by_header(door: &Door<'_>) -> anyhow::Result<String> {
    let get = Get::new(SHORTENER, "/api/links")
        .header("X-API-Version", "v2")
        .header("X-Debug", "1");
    let seen = door.get(get)?;
    ensure!(seen.pod == "api-v2", "went to {}", seen.pod);
    ensure!(
        seen.header("x-gateway") == Some("sanmon"),
        "no X-Gateway: {seen:?}"
    );
    ensure!(
        seen.header("x-debug").is_none(),
        "X-Debug went on: {seen:?}"
    );
    let other = door.get(Get::new(VERSIONS, "/").header("X-Version", "v2"))?;
    ensure!(other.pod == "api-v2", "{VERSIONS} went to {}", other.pod);
    Ok(format!(
        "X-API-Version: v2 → {}; on its way X-Gateway was added and X-Debug removed; {VERSIONS}, X-Version: v2 → {}",
        seen.pod, other.pod
    ))
}

fn unknown_host(door: &Door<'_>) -> anyhow::Result<String> {
    let http = door.http;
    let reply = door.client.run(move || async move {
        let get = Get::new("nobody.staging.k8s.local", "/");
        client::get(http, &Transport::Plain, &get).await
    })?;
    ensure!(reply.status == 404, "status {}", reply.status);
    Ok("nobody.staging.k8s.local → 404".into())
}

fn client_address(door: &Door<'_>) -> anyhow::Result<String> {
    let seen = door.get(Get::new(SHORTENER, "/"))?;
    let address = door.address.to_string();
    for name in ["x-forwarded-for", "x-real-ip"] {
        let value = seen.header(name);
        ensure!(value == Some(address.as_str()), "{name}: {value:?}");
    }
    let proto = seen.header("x-forwarded-proto").unwrap_or_default();
    Ok(format!(
        "X-Forwarded-For: {address}; X-Real-IP: {address}, X-Forwarded-Proto: {proto}"
    ))
}

fn https(door: &Door<'_>) -> anyhow::Result<String> {
    let (https, tls) = (door.https, door.tls.clone());
    let seen = door.client.run(move || async move {
        let get = Get::new(SHORTENER, "/api/links");
        client::get(https, &tls, &get).await?.seen()
    })?;
    let proto = seen.header("x-forwarded-proto");
    ensure!(proto == Some("https"), "X-Forwarded-Proto: {proto:?}");
    Ok(format!(
        "/api/links → {}, certificate verified; https://{SHORTENER}",
        seen.pod
    ))
}

fn split(door: &Door<'_>) -> anyhow::Result<String> {
    let http = door.http;
    let (canary, took) = door.client.run(move || async move {
        let started = Instant::now();
        let mut connection = Connection::open(http, &Transport::Plain).await?;
        let mut canary = 0;
        for _ in 0..SPLIT_REQUESTS {
            let seen = connection.get(&Get::new(SPLIT, "/")).await?.seen()?;
            canary += u32::from(seen.pod == "canary");
        }
        Ok((canary, started.elapsed()))
    })?;
    ensure!(
        SPLIT_EXPECTED.contains(&canary),
        "{canary} of {SPLIT_REQUESTS} went to the canary"
    );
    Ok(format!(
        "web {}, canary {canary}, in {}",
        SPLIT_REQUESTS - canary,
        seconds(took)
    ))
}

/// What a client saw of a change.
struct Change {
    requests: u32,
    failures: Vec<String>,
    last_old: Instant,
}

fn edited(door: &Door<'_>) -> anyhow::Result<String> {
    let http = door.http;
    let (warm, is_warm) = mpsc::channel();
    let load = door.client.spawn(move || knock_until_changed(http, warm));
    is_warm
        .recv_timeout(PATIENCE)
        .context("the load does not start")?;
    let saved = Instant::now();
    let changes = [("weight: 90", "weight: 0"), ("weight: 10", "weight: 100")];
    example::edit(door.folder, example::CANARY, &changes)?;
    let change = load.join(PATIENCE)?;
    ensure!(
        change.failures.is_empty(),
        "failed requests: {:?}",
        change.failures
    );
    let took = change.last_old.saturating_duration_since(saved);
    Ok(format!(
        "in force {} after it was saved, no request failed; {}: weights 90/10 → 0/100; {} requests meanwhile",
        seconds(took),
        example::CANARY,
        change.requests
    ))
}

/// Sends requests until only the new pod answers.
async fn knock_until_changed(http: SocketAddr, warm: mpsc::Sender<()>) -> anyhow::Result<Change> {
    let deadline = Instant::now() + PATIENCE;
    let mut change = Change {
        requests: 0,
        failures: Vec::new(),
        last_old: Instant::now(),
    };
    let mut connection = Connection::open(http, &Transport::Plain).await?;
    let mut new_in_a_row = 0;
    while new_in_a_row < IN_A_ROW {
        ensure!(
            Instant::now() < deadline,
            "not in force after {}",
            seconds(PATIENCE)
        );
        change.requests += 1;
        if change.requests.is_multiple_of(50) {
            connection = Connection::open(http, &Transport::Plain).await?;
        }
        if change.requests == IN_A_ROW {
            // Nobody waits any more if the demonstration was ended.
            let _ended = warm.send(());
        }
        match connection
            .get(&Get::new(SPLIT, "/"))
            .await
            .and_then(|reply| reply.seen())
        {
            Ok(seen) if seen.pod == "canary" => new_in_a_row += 1,
            Ok(_old) => {
                new_in_a_row = 0;
                change.last_old = Instant::now();
            }
            Err(error) => {
                change.failures.push(format!("{error:#}"));
                ensure!(
                    change.failures.len() < 10,
                    "failed requests: {:?}",
                    change.failures
                );
                tokio::time::sleep(Duration::from_millis(5)).await;
                connection = Connection::open(http, &Transport::Plain).await?;
            }
        }
    }
    Ok(change)
}
