//! etcd and kube-apiserver for one test, with RBAC and admission as they come.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

/// How long anything may take on a machine that compiles at the same time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running control plane; it ends with its test.
pub(crate) struct Server {
    etcd: Child,
    api_server: Child,
    programs: Programs,
    folder: TempDir,
    ports: [u16; 3],
    /// The API server's port, when it is on another one for a while.
    home: Option<u16>,
    _turn: MutexGuard<'static, ()>,
}

/// One at a time: each takes a core and 300 MB.
static TURN: Mutex<()> = Mutex::const_new(());

struct Programs {
    etcd: PathBuf,
    api_server: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.api_server);
        end(&mut self.etcd);
    }
}

impl Server {
    /// Starts one, or says that the test is skipped because the programs are missing.
    pub(crate) async fn start(test: &str) -> Option<Self> {
        let Some(programs) = programs() else {
            say(&format!(
                "skipped: {test}: no etcd and kube-apiserver in ~/.cache/sanmon/programs"
            ));
            return None;
        };
        let turn = TURN.lock().await;
        let folder = TempDir::new().expect("a folder");
        let key = rcgen::KeyPair::generate().expect("a key");
        fs::write(folder.path().join("key"), key.serialize_pem()).expect("a key file");
        fs::write(folder.path().join("key.pub"), key.public_key_pem()).expect("a key file");
        let tokens = "admin,admin,admin,system:masters\n";
        fs::write(folder.path().join("tokens"), tokens).expect("a token file");
        let ports = free_ports();
        let etcd = start_etcd(&programs, folder.path(), &ports);
        let api_server = start_api_server(&programs, folder.path(), &ports);
        let server = Self {
            etcd,
            api_server,
            programs,
            folder,
            ports,
            home: None,
            _turn: turn,
        };
        server.wait().await;
        Some(server)
    }

    /// Kills the API server; what it holds stays in etcd.
    pub(crate) fn stop(&mut self) {
        end(&mut self.api_server);
    }

    /// Starts it again.
    pub(crate) async fn resume(&mut self) {
        self.api_server = start_api_server(&self.programs, self.folder.path(), &self.ports);
        self.wait().await;
    }

    /// Starts it again where those who knew it do not find it.
    pub(crate) async fn move_away(&mut self) {
        let [_, _, other] = free_ports();
        self.home = Some(std::mem::replace(&mut self.ports[2], other));
        self.resume().await;
    }

    /// Starts it again where it was at first.
    pub(crate) async fn move_back(&mut self) {
        let [_, _, port] = &mut self.ports;
        *port = self.home.take().unwrap_or(*port);
        self.resume().await;
    }

    /// A kubeconfig with a token.
    pub(crate) fn kubeconfig(&self, token: &str) -> PathBuf {
        let file = self
            .folder
            .path()
            .join(format!("kubeconfig-{}", token.len()));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: it\n\
             clusters: [{{name: it, cluster: {{server: 'https://127.0.0.1:{}', insecure-skip-tls-verify: true}}}}]\n\
             users: [{{name: it, user: {{token: '{token}'}}}}]\n\
             contexts: [{{name: it, context: {{cluster: it, user: it}}}}]\n",
            self.ports[2]
        );
        fs::write(&file, text).expect("a kubeconfig");
        file
    }

    /// A client that may do everything.
    pub(crate) async fn admin(&self) -> Client {
        self.admin_as(None).await
    }

    /// One that does it in somebody's name, and with his rights.
    pub(crate) async fn admin_as(&self, user: Option<&str>) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig("admin")).expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let mut config = config.expect("a configuration");
        config.auth_info.impersonate = user.map(str::to_owned);
        Client::try_from(config).expect("a client")
    }

    async fn wait(&self) {
        let (until, client) = (Instant::now() + PATIENCE, self.admin().await);
        loop {
            let request = http::Request::get("/readyz")
                .body(Vec::new())
                .expect("a request");
            if client
                .request_text(request)
                .await
                .is_ok_and(|it| it == "ok")
            {
                return;
            }
            let log = self.folder.path().join("kube-apiserver.log");
            let log = || fs::read_to_string(&log).unwrap_or_default();
            assert!(Instant::now() < until, "no API server: {}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Says something past the capture of the test harness.
pub(crate) fn say(line: &str) {
    let _unheard = writeln!(std::io::stderr(), "{line}");
}

fn start_etcd(programs: &Programs, folder: &Path, [clients, peers, _]: &[u16; 3]) -> Child {
    let clients = format!("http://127.0.0.1:{clients}");
    Command::new(&programs.etcd)
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .args(["--listen-client-urls", &clients])
        .args(["--advertise-client-urls", &clients])
        .args(["--listen-peer-urls", &format!("http://127.0.0.1:{peers}")])
        .arg("--unsafe-no-fsync")
        .stdout(Stdio::null())
        .stderr(File::create(folder.join("etcd.log")).expect("a log"))
        .spawn()
        .expect("etcd starts")
}

fn start_api_server(programs: &Programs, folder: &Path, [etcd, _, port]: &[u16; 3]) -> Child {
    let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
    let log = File::create(folder.join("kube-apiserver.log")).expect("a log");
    Command::new(&programs.api_server)
        .arg(format!("--etcd-servers=http://127.0.0.1:{etcd}"))
        .args(["--bind-address=127.0.0.1", "--authorization-mode=RBAC"])
        // Loopback is refused here; nobody connects to this address.
        .arg("--advertise-address=192.0.2.1")
        .arg("--service-cluster-ip-range=198.51.100.0/24")
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(format!("--secure-port={port}"))
        .arg(file("token-auth-file", "tokens"))
        .arg(file("service-account-key-file", "key.pub"))
        .arg(file("service-account-signing-key-file", "key"))
        .arg(file("cert-dir", "certificates"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("kube-apiserver starts")
}

fn end(child: &mut Child) {
    child.kill().expect("a process of this test");
    child.wait().expect("a status");
}

/// Three ports that are free now.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|it| it.local_addr().expect("an address").port())
}

/// The programs that `cargo xtask cluster` builds.
fn programs() -> Option<Programs> {
    let home = std::env::var_os("HOME")?;
    let folder = Path::new(&home).join(".cache/sanmon/programs");
    let find = |prefix: &str, name: &str| {
        let entries = fs::read_dir(&folder).ok()?.flatten();
        let mut found: Vec<_> = entries
            .filter(|it| it.file_name().to_string_lossy().starts_with(prefix))
            .map(|it| it.path().join(name))
            .filter(|it| it.exists())
            .collect();
        found.sort();
        found.pop()
    };
    Some(Programs {
        etcd: find("etcd-", "etcd")?,
        api_server: find("kubernetes-", "kube-apiserver")?,
    })
}
