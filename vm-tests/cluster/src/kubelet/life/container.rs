//! A container: a process, started again whenever it ends, until it is to end.

mod rights;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use gateway_vm_tests::Namespace;
use gateway_vm_tests::client::{self, Get, Transport};
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::Wish;
use crate::clock;
use crate::kubelet::environment::{Place, environment, expand};
use crate::kubelet::logs;
use crate::kubelet::status::{State, View};

/// Distance of two looks at a container that is not ready.
const LOOK: Duration = Duration::from_millis(200);
/// How long a container without a probe may take to listen on its ports before it counts as ready all the same.
const LISTEN_MAX: Duration = Duration::from_secs(3);
/// Pause before the first and the last of many restarts.
const RESTART_MIN: Duration = Duration::from_secs(1);
const RESTART_MAX: Duration = Duration::from_secs(10);

/// The views of a pod's containers.
pub(super) type Views = watch::Sender<Vec<View>>;

/// What is to be run.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) sandbox: Arc<Namespace>,
    pub(super) pod: Pod,
    pub(super) container: Container,
    /// The program, as the sandbox sees it.
    pub(super) program: PathBuf,
    pub(super) log: PathBuf,
    /// The number of the container in its pod.
    pub(super) index: usize,
}

/// A job whose command line and readiness are known.
pub(super) struct Ready {
    job: Job,
    arguments: Vec<String>,
    variables: BTreeMap<String, String>,
    probe: Probe,
}

/// When a container is ready.
#[derive(Debug, Clone)]
enum Probe {
    /// When a page says yes that is not asked before some time.
    Page(SocketAddr, String, Duration),
    /// When it listens on all of them, TCP and UDP, or after a while.
    Ports(Vec<SocketAddr>, Vec<u16>),
}

/// Shows how a container is.
pub(super) fn show(views: &Views, index: usize, view: View) {
    views.send_if_modified(|views| match views.get_mut(index) {
        Some(old) if *old != view => {
            *old = view;
            true
        }
        Some(_) | None => false,
    });
}

impl Job {
    /// Reads what the container wants.
    pub(super) fn prepare(self, place: Place<'_>) -> anyhow::Result<Ready> {
        let variables = environment(&self.pod, &self.container, place)?;
        // The first word names the program in the image, which is a single one.
        let command = self.container.command.iter().flatten().skip(1);
        let arguments = command.chain(self.container.args.iter().flatten());
        let arguments = arguments
            .map(|argument| expand(argument, &variables))
            .collect();
        let probe = probe(&self.container, IpAddr::V4(place.pod))?;
        Ok(Ready {
            job: self,
            arguments,
            variables,
            probe,
        })
    }
}

impl Ready {
    /// Runs it until it is to end, and has ended it then.
    pub(super) async fn run(self, views: Views, mut wishes: watch::Receiver<Wish>) {
        let mut restarts = 0;
        let mut pause = RESTART_MIN;
        let show = |state, restarts| show(&views, self.job.index, View { state, restarts });
        loop {
            match self.start() {
                Ok((process, mut end)) => {
                    let since = clock::now();
                    show(State::Started(since.clone()), restarts);
                    let watched = async {
                        self.become_ready(process).await;
                        show(State::Ready(since), restarts);
                        pending::<Infallible>().await
                    };
                    let ended = tokio::select! {
                        ended = &mut end => ended,
                        never = watched => match never {},
                        grace = stop(&mut wishes) => return terminate(process, end, grace).await,
                    };
                    let how = match ended {
                        Ok(Ok(status)) => format!("ended: {status}"),
                        Ok(Err(error)) => format!("lost: {error}"),
                        Err(error) => format!("lost: {error}"),
                    };
                    show(State::Waiting(how), restarts);
                }
                Err(error) => show(State::Waiting(format!("{error:#}")), restarts),
            }
            tokio::select! {
                () = sleep(pause) => {}
                _grace = stop(&mut wishes) => return,
            }
            restarts += 1;
            pause = (pause * 2).min(RESTART_MAX);
        }
    }

    fn start(&self) -> anyhow::Result<(Pid, End)> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.job.log)
            .with_context(|| format!("cannot write {}", self.job.log.display()))?;
        // One pipe for both streams keeps their lines in order.
        let (lines, writer) = std::io::pipe()?;
        let security = self.job.container.security_context.as_ref();
        let mut command = rights::command(&self.job.program, security)?;
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        logs::record(lines, log);
        if let Some(folder) = &self.job.container.working_dir {
            command.current_dir(folder);
        }
        let mut child = self.job.sandbox.start(command)?;
        let process = Pid::from_raw(i32::try_from(child.id())?);
        Ok((process, spawn_blocking(move || child.wait())))
    }

    async fn become_ready(&self, process: Pid) {
        match &self.probe {
            Probe::Page(address, path, delay) => {
                sleep(*delay).await;
                let get = Get::new("localhost", path);
                let says_yes = async || {
                    let reply = client::get(*address, &Transport::Plain, &get).await;
                    reply.is_ok_and(|reply| (200..400).contains(&reply.status))
                };
                while !says_yes().await {
                    sleep(LOOK).await;
                }
            }
            Probe::Ports(addresses, datagram_ports) => {
                let listens = async {
                    for address in addresses {
                        while TcpStream::connect(address).await.is_err() {
                            sleep(LOOK).await;
                        }
                    }
                    while !datagram_ports.iter().all(|port| receives(process, *port)) {
                        sleep(LOOK).await;
                    }
                };
                // A pod may declare a port that it never serves.
                let _late = timeout(LISTEN_MAX, listens).await;
            }
        }
    }
}

/// The end of a process, when it comes.
type End = JoinHandle<std::io::Result<ExitStatus>>;

/// Waits until the container is to end, and says how long it may take.
async fn stop(wishes: &mut watch::Receiver<Wish>) -> Duration {
    let wish = wishes.wait_for(|wish| *wish != Wish::Run).await;
    match wish.map(|wish| *wish) {
        Ok(Wish::Stop { grace_seconds }) => Duration::from_secs(grace_seconds),
        // Nobody wishes anything any more: the kubelet ends.
        Ok(Wish::Run) | Err(_) => Duration::ZERO,
    }
}

async fn terminate(process: Pid, mut end: End, grace: Duration) {
    // It may have ended by itself just now; its number is not used again before it is waited for.
    let _gone = kill(process, Signal::SIGTERM);
    if timeout(grace, &mut end).await.is_err() {
        let _gone = kill(process, Signal::SIGKILL);
        let _ended = end.await;
    }
}

fn probe(container: &Container, address: IpAddr) -> anyhow::Result<Probe> {
    let page = container.readiness_probe.as_ref();
    let delay = page.and_then(|probe| probe.initial_delay_seconds);
    let delay = Duration::from_secs(delay.map_or(0, i32::unsigned_abs).into());
    if let Some(page) = page.and_then(|probe| probe.http_get.as_ref()) {
        let port = port(container, &page.port)?;
        let host = page.host.as_ref().map(|host| host.parse()).transpose();
        let host = host.context("the host of a readiness probe is an address here")?;
        let path = page.path.clone().unwrap_or_else(|| "/".to_owned());
        return Ok(Probe::Page(
            SocketAddr::new(host.unwrap_or(address), port),
            path,
            delay,
        ));
    }
    let ports = |protocol: &'static str| {
        let ports = container.ports.iter().flatten();
        ports
            .filter(move |port| port.protocol.as_deref().unwrap_or("TCP") == protocol)
            .filter_map(|port| u16::try_from(port.container_port).ok())
    };
    let addresses = ports("TCP").map(|port| SocketAddr::new(address, port));
    Ok(Probe::Ports(addresses.collect(), ports("UDP").collect()))
}

/// Whether a process's network has a UDP socket on a port: nobody can ask a socket from outside whether it is there.
fn receives(process: Pid, port: u16) -> bool {
    let suffix = format!(":{port:04X}");
    ["udp", "udp6"].iter().any(|family| {
        let table = std::fs::read_to_string(format!("/proc/{process}/net/{family}"));
        table.unwrap_or_default().lines().any(|line| {
            let local = line.split_whitespace().nth(1);
            local.is_some_and(|local| local.ends_with(&suffix))
        })
    })
}

/// A port by its number or its name.
fn port(container: &Container, port: &IntOrString) -> anyhow::Result<u16> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_ref() == Some(name))
            .map(|port| port.container_port),
    };
    let number = number.and_then(|number| u16::try_from(number).ok());
    number.with_context(|| format!("the readiness probe names no port of the container: {port:?}"))
}
