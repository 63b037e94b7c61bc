//! The proxies that are compared: each started on core 0 with a configuration made for this run.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::usage;

/// A running proxy, ended when dropped.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    child: Child,
    _files: TempDir,
}

impl Peer {
    /// The process that was started; its children count to it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        if kill(pid, Signal::SIGTERM).is_ok() {
            self.child.wait().ok();
        }
    }
}

/// Starts Sanmon and every peer that is installed, all in front of one backend.
pub(crate) fn start_all(backend: SocketAddr) -> anyhow::Result<Vec<Peer>> {
    let mut peers = vec![sanmon(backend).context("sanmon")?];
    for (name, program, start) in [
        (
            "nginx",
            "/usr/sbin/nginx",
            nginx as fn(SocketAddr) -> anyhow::Result<Peer>,
        ),
        ("HAProxy", "/usr/sbin/haproxy", haproxy),
    ] {
        if Path::new(program).exists() {
            peers.push(start(backend).context(name)?);
        } else {
            println!("{name}: left out, {program} is not installed");
        }
    }
    Ok(peers)
}

fn sanmon(backend: SocketAddr) -> anyhow::Result<Peer> {
    let binary = std::env::var_os("SANMON_BIN")
        .map(PathBuf::from)
        .context("SANMON_BIN names no binary")?;
    let files = tempfile::tempdir()?;
    let (address, admin) = (free_address()?, free_address()?);
    fs::write(
        files.path().join("gateway.yaml"),
        sanmon_config(address, backend),
    )?;
    let mut command = Command::new(binary);
    command.arg("run").arg("--config").arg(files.path()).args([
        "--workers",
        "1",
        "--admin",
        &admin.to_string(),
    ]);
    spawn("sanmon", address, command, files)
}

fn sanmon_config(address: SocketAddr, backend: SocketAddr) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: sanmon}}
spec: {{controllerName: sanmon.dev/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: bench}}
spec:
  gatewayClassName: sanmon
  addresses: [{{type: IPAddress, value: {ip}}}]
  listeners: [{{name: http, port: {port}, protocol: HTTP}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: bench}}
spec:
  parentRefs: [{{name: bench}}]
  rules: [{{backendRefs: [{{name: bench, port: 80}}]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: bench}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: bench, labels: {{kubernetes.io/service-name: bench}}}}
addressType: IPv4
endpoints: [{{addresses: [{backend_ip}]}}]
ports: [{{port: {backend_port}}}]
",
        ip = address.ip(),
        port = address.port(),
        backend_ip = backend.ip(),
        backend_port = backend.port(),
    )
}

fn nginx(backend: SocketAddr) -> anyhow::Result<Peer> {
    let files = tempfile::tempdir()?;
    let address = free_address()?;
    let dir = files.path().display();
    let config = format!(
        "daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; proxy_buffers 8 32k; proxy_buffer_size 32k;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir}; scgi_temp_path {dir};
  upstream backend {{ server {backend}; keepalive 128; keepalive_requests 100000000; }}
  server {{
    listen {address};
    location / {{
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;
      proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
"
    );
    let path = files.path().join("nginx.conf");
    fs::write(&path, config)?;
    let mut command = Command::new("/usr/sbin/nginx");
    command
        .arg("-c")
        .arg(&path)
        .arg("-p")
        .arg(files.path())
        .arg("-e")
        .arg(files.path().join("error.log"));
    spawn("nginx", address, command, files)
}

fn haproxy(backend: SocketAddr) -> anyhow::Result<Peer> {
    let files = tempfile::tempdir()?;
    let address = free_address()?;
    let config = format!(
        "global
  nbthread 1
  maxconn 1024
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend front
  bind {address}
  option forwardfor
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-Proto http
  default_backend back
backend back
  server one {backend}
"
    );
    let path = files.path().join("haproxy.cfg");
    fs::write(&path, config)?;
    let mut command = Command::new("/usr/sbin/haproxy");
    command.arg("-db").arg("-f").arg(&path);
    spawn("HAProxy", address, command, files)
}

/// Starts a proxy on core 0 and waits until it accepts connections.
fn spawn(
    name: &'static str,
    address: SocketAddr,
    mut command: Command,
    files: TempDir,
) -> anyhow::Result<Peer> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    pin_child(&mut command);
    let child = command
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    let mut peer = Peer {
        name,
        address,
        child,
        _files: files,
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_err() {
        anyhow::ensure!(
            peer.child.try_wait()?.is_none(),
            "{name} ended: {command:?}"
        );
        anyhow::ensure!(
            Instant::now() < deadline,
            "{name} does not listen on {address}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(peer)
}

#[expect(
    unsafe_code,
    reason = "pre_exec is the only way to set the affinity of a child before it starts"
)]
fn pin_child(command: &mut Command) {
    // SAFETY: the closure makes one system call on stack memory (sched_setaffinity): async-signal-safe after fork.
    unsafe {
        command
            .pre_exec(|| usage::pin_to_core(0).map_err(|error| io::Error::other(error.to_string())))
    };
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
