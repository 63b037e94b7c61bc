//! etcd, kube-apiserver and kube-controller-manager: RBAC on, admission as it comes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use gateway_vm_tests::{Host, Namespace};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::Arguments;
use crate::identity::{Identities, PORT};
use crate::process::Process;

/// Addresses of Services. Nothing routes them: kube-proxy is no part of this cluster.
const SERVICES: &str = "10.96.0.0/16";
/// How long a program may take to serve, on a machine that compiles at the same time.
const START_MAX: Duration = Duration::from_secs(120);
/// Distance of two questions.
const POLL: Duration = Duration::from_millis(100);

/// Who has written what, in `logs/audit.log`.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: None
";

/// The running control plane; programs end in the order of the fields.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    controller_manager: Process,
    api_server: Process,
    _etcd: Process,
}

impl ControlPlane {
    /// Starts it and waits until the API server serves and the controllers work.
    pub(crate) fn start(
        arguments: &Arguments,
        server: &Host,
        identities: &Identities,
    ) -> anyhow::Result<Self> {
        let logs = arguments.folder.join("logs");
        let policy = audit_policy(arguments);
        fs::write(&policy, AUDIT_POLICY)
            .with_context(|| format!("cannot write {}", policy.display()))?;
        let etcd = Process::start(&server.namespace, etcd(arguments), &logs)?;
        Ok(Self {
            api_server: start_api_server(arguments, server, identities)?,
            controller_manager: start_controller_manager(arguments, server, identities)?,
            _etcd: etcd,
        })
    }

    /// Starts again what has ended; etcd has kept everything.
    pub(crate) fn revive(
        &mut self,
        arguments: &Arguments,
        server: &Host,
        identities: &Identities,
    ) -> anyhow::Result<()> {
        if self.api_server.check().is_err() {
            self.api_server = start_api_server(arguments, server, identities)?;
        }
        if self.controller_manager.check().is_err() {
            self.controller_manager = start_controller_manager(arguments, server, identities)?;
        }
        Ok(())
    }
}

/// A client of the API server with the rights of a kubeconfig; its connections belong to the calling thread's namespace.
pub(crate) async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn start_api_server(
    arguments: &Arguments,
    server: &Host,
    identities: &Identities,
) -> anyhow::Result<Process> {
    let command = api_server(arguments, server, identities);
    let logs = arguments.folder.join("logs");
    let mut process = Process::start(&server.namespace, command, &logs)?;
    let administrator = &identities.administrator;
    wait(&server.namespace, &mut process, administrator, serves)?;
    Ok(process)
}

fn start_controller_manager(
    arguments: &Arguments,
    server: &Host,
    identities: &Identities,
) -> anyhow::Result<Process> {
    let command = controller_manager(arguments, identities);
    let logs = arguments.folder.join("logs");
    let mut process = Process::start(&server.namespace, command, &logs)?;
    let administrator = &identities.administrator;
    wait(&server.namespace, &mut process, administrator, controls)?;
    Ok(process)
}

fn audit_policy(arguments: &Arguments) -> PathBuf {
    arguments.folder.join("audit-policy.yaml")
}

fn etcd(arguments: &Arguments) -> Command {
    let mut command = Command::new(arguments.etcd.join("etcd"));
    command
        .arg("--data-dir")
        .arg(arguments.folder.join("etcd"))
        .args(["--listen-client-urls", "http://127.0.0.1:2379"])
        .args(["--advertise-client-urls", "http://127.0.0.1:2379"])
        .args(["--listen-peer-urls", "http://127.0.0.1:2380"])
        // The cluster does not outlive its machine.
        .arg("--unsafe-no-fsync");
    command
}

fn api_server(arguments: &Arguments, server: &Host, identities: &Identities) -> Command {
    let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
    let mut command = Command::new(arguments.kubernetes.join("kube-apiserver"));
    command.args([
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        format!("--advertise-address={}", server.address),
        format!("--secure-port={PORT}"),
        format!("--service-cluster-ip-range={SERVICES}"),
        flag("tls-cert-file", &identities.certificate),
        flag("tls-private-key-file", &identities.key),
        flag("token-auth-file", &identities.tokens),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        flag("service-account-key-file", &identities.token_public_key),
        flag("service-account-signing-key-file", &identities.token_key),
        // Sanmon's pod shares its node's network.
        "--allow-privileged=true".to_owned(),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        flag("cert-dir", &arguments.folder.join("certificates")),
        flag("audit-policy-file", &audit_policy(arguments)),
        flag("audit-log-path", &arguments.folder.join("logs/audit.log")),
    ]);
    command
}

fn controller_manager(arguments: &Arguments, identities: &Identities) -> Command {
    let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
    let mut command = Command::new(arguments.kubernetes.join("kube-controller-manager"));
    command.args([
        flag("kubeconfig", &identities.controller_manager),
        flag("service-account-private-key-file", &identities.token_key),
        flag("root-ca-file", &identities.authority),
        // Each controller with its own role, as clusters have it.
        "--use-service-account-credentials=true".to_owned(),
        "--leader-elect=false".to_owned(),
        flag("cert-dir", &arguments.folder.join("certificates")),
    ]);
    command
}

/// Asks until the answer is good, as long as the program lives.
fn wait<Fut>(
    namespace: &Namespace,
    process: &mut Process,
    kubeconfig: &Path,
    question: fn(Client) -> Fut,
) -> anyhow::Result<()>
where
    Fut: Future<Output = anyhow::Result<()>> + 'static,
{
    let deadline = Instant::now() + START_MAX;
    loop {
        let kubeconfig = kubeconfig.to_owned();
        let answer = namespace.run(move || async move {
            let client = client(&kubeconfig).await?;
            question(client).await
        });
        let Err(error) = answer else {
            return Ok(());
        };
        process.check()?;
        ensure!(
            Instant::now() < deadline,
            "not ready after {START_MAX:?}: {error:#}\n{}",
            process.last_words()
        );
        std::thread::sleep(POLL);
    }
}

async fn serves(client: Client) -> anyhow::Result<()> {
    client
        .request_text(http::Request::get("/readyz").body(Vec::new())?)
        .await
        .context("the API server is not ready")?;
    Ok(())
}

/// The first work that controllers do in a new cluster, and what pods need.
async fn controls(client: Client) -> anyhow::Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client, "default");
    accounts
        .get("default")
        .await
        .context("no controller made the ServiceAccount `default`")?;
    Ok(())
}
