//! The cluster's client: makes routes, and asks for them until they answer.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use kube::api::{Api, DynamicObject, PostParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{self, watcher};
use nix::sched::{CloneFlags, setns};
use serde_json::{Value, json};

/// Distance of two questions.
const POLL: Duration = Duration::from_micros(200);
/// How long a route may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests to the API server at a time, in the burst.
const AT_ONCE: usize = 8;
/// Where the application and its Gateway are.
const NAMESPACE: &str = "first";

/// How soon a route was there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Propagation {
    /// From the create to the first answer by it.
    pub(crate) served: Duration,
    /// From the create to the watch event: what no controller can be faster than.
    pub(crate) seen: Duration,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Routes that were made one after another.
    pub(crate) one_by_one: Vec<Propagation>,
    /// From the last of many creates to the right number in the Gateway's status.
    pub(crate) lag: Duration,
    /// How often the Gateway was written meanwhile.
    pub(crate) writes: usize,
}

/// The client; it has the API server's address and rights to everything.
pub(crate) struct Client {
    client: kube::Client,
    hosts: Sender<String>,
    answered: Receiver<anyhow::Result<Instant>>,
}

impl Client {
    /// Measures, in the network and with the kubeconfig of the script that runs programs on the cluster's client.
    pub(crate) fn run(
        script: &Path,
        to: SocketAddr,
        routes: usize,
        burst: usize,
    ) -> anyhow::Result<Measured> {
        let (network, kubeconfig) = read(script)?;
        let work = std::thread::spawn(move || {
            setns(network, CloneFlags::CLONE_NEWNET)?;
            let (hosts, questions) = channel::<String>();
            let (answers, answered) = channel();
            // Threads of this one are in the same network.
            std::thread::spawn(move || {
                for host in questions {
                    if answers.send(poll(to, &host)).is_err() {
                        return;
                    }
                }
            });
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let file = Kubeconfig::read_from(&kubeconfig)?;
                let options = KubeConfigOptions::default();
                let config = Config::from_custom_kubeconfig(file, &options).await?;
                let client = Self {
                    client: kube::Client::try_from(config)?,
                    hosts,
                    answered,
                };
                client.measure(routes, burst).await
            })
        });
        let done = work.join();
        done.map_err(|_panic| anyhow!("the client panicked"))?
    }

    async fn measure(&self, routes: usize, burst: usize) -> anyhow::Result<Measured> {
        let mut events = watcher(self.api("HTTPRoute"), watcher::Config::default()).boxed();
        while let Some(event) = events.try_next().await? {
            if matches!(event, watcher::Event::InitDone) {
                break;
            }
        }
        let (sender, seen) = channel();
        let watch = tokio::spawn(async move {
            while let Some(Ok(event)) = events.next().await {
                let watcher::Event::Apply(route) = event else {
                    continue;
                };
                // The first form of each; later ones are statuses.
                let sent = (route.metadata.name.unwrap_or_default(), Instant::now());
                if sender.send(sent).is_err() {
                    return;
                }
            }
        });
        let mut one_by_one = Vec::new();
        for number in 0..routes {
            one_by_one.push(self.one(&format!("one-{number}"), &seen).await?);
        }
        watch.abort();
        let (lag, writes) = self.many(routes, burst).await?;
        Ok(Measured {
            one_by_one,
            lag,
            writes,
        })
    }

    async fn one(
        &self,
        name: &str,
        seen: &Receiver<(String, Instant)>,
    ) -> anyhow::Result<Propagation> {
        let start = Instant::now();
        self.hosts.send(format!("{name}.example"))?;
        self.route(name).await?;
        let answered = self.answered.recv_timeout(PATIENCE);
        let answered = answered.with_context(|| format!("{name} is not served"))??;
        let event = loop {
            let (route, at) = seen.recv_timeout(PATIENCE)?;
            if route == name {
                break at;
            }
        };
        Ok(Propagation {
            served: answered - start,
            seen: event - start,
        })
    }

    /// Makes many routes at once, beside those that are there.
    async fn many(&self, others: usize, burst: usize) -> anyhow::Result<(Duration, usize)> {
        let (_, mut version) = self.attached().await?;
        let names = (0..burst).map(|number| format!("many-{number}"));
        let made = stream::iter(names).map(|name| async move { self.route(&name).await });
        let made = made.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>();
        let mut made = std::pin::pin!(made);
        let (mut writes, mut last) = (0, None);
        loop {
            // Both go on at the same time: the writes are counted while routes are made.
            if last.is_none() {
                tokio::select! {
                    done = &mut made => {
                        done?;
                        last = Some(Instant::now());
                    }
                    () = tokio::time::sleep(Duration::from_millis(5)) => {}
                }
            }
            let (attached, newest) = self.attached().await?;
            writes += usize::from(newest != version);
            version = newest;
            let Some(last) = last else { continue };
            if attached == (others + burst) as u64 {
                return Ok((last.elapsed(), writes));
            }
            ensure!(last.elapsed() < PATIENCE, "{attached} routes are attached");
        }
    }

    /// How many routes are attached to the Gateway, and its version.
    async fn attached(&self) -> anyhow::Result<(u64, Option<String>)> {
        let gateway = self.api("Gateway").get("first").await?;
        let count = gateway.data.pointer("/status/listeners/0/attachedRoutes");
        let count = count.and_then(Value::as_u64).unwrap_or_default();
        Ok((count, gateway.metadata.resource_version))
    }

    async fn route(&self, name: &str) -> anyhow::Result<()> {
        let route = serde_json::from_value(json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "parentRefs": [{"name": "first"}],
                "hostnames": [format!("{name}.example")],
                "rules": [{"backendRefs": [{"name": "echo", "port": 80}]}],
            },
        }))?;
        self.api("HTTPRoute")
            .create(&PostParams::default(), &route)
            .await?;
        Ok(())
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind);
        let resource = ApiResource::from_gvk(&kind);
        Api::namespaced_with(self.client.clone(), NAMESPACE, &resource)
    }
}

/// Asks for a host until a route answers, and says when that was.
fn poll(to: SocketAddr, host: &str) -> anyhow::Result<Instant> {
    let stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(stream.try_clone()?), stream);
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let start = Instant::now();
    loop {
        writer.write_all(request.as_bytes())?;
        if answer(&mut reader)? == 200 {
            return Ok(Instant::now());
        }
        ensure!(start.elapsed() < PATIENCE, "{host} does not answer");
        std::thread::sleep(POLL);
    }
}

/// Reads an answer that says how long it is, and gives its status.
fn answer(reader: &mut impl BufRead) -> anyhow::Result<u16> {
    let (mut status, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        ensure!(reader.read_line(&mut line)? > 0, "the connection ended");
        let line = line.trim();
        if status.is_none() {
            status = line.split(' ').nth(1).and_then(|it| it.parse().ok());
        } else if let Some((name, value)) = line.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        } else if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    status.context("no answer of HTTP")
}

/// The network and the kubeconfig of the script.
fn read(script: &Path) -> anyhow::Result<(File, PathBuf)> {
    let text = fs::read_to_string(script)?;
    let (_, rest) = text
        .split_once("KUBECONFIG='")
        .context("the script names no kubeconfig")?;
    let (kubeconfig, _) = rest.split_once('\'').context("the name has no end")?;
    let mut words = text.split_whitespace();
    words
        .find(|it| *it == "--target")
        .context("the script enters nothing")?;
    let thread = words.next().context("the script names no thread")?;
    let network = File::open(format!("/proc/{thread}/ns/net"))?;
    Ok((network, PathBuf::from(kubeconfig)))
}
