//! The cluster as one running part: source, leader and status writer on a thread of their own.
//!
//! Requests and leases of addresses never wait for it, and it may be without an API server for as long as it takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::events::{self, Events};
use crate::infrastructure;
use crate::leader::Candidacy;
use crate::leader::arbiter::{self, Arbitration};
use crate::source::kube::Shown;
use crate::status;
use crate::{Content, Published, leader, membership, source};

/// Where the kubelet puts what a pod needs to speak to the API server.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// How long the end may take: the Lease is given back as a courtesy.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// How to reach the API server.
#[derive(Clone, Debug)]
pub enum Connection {
    /// As a kubeconfig says.
    Kubeconfig(PathBuf),
    /// With the service account of the pod, at an address that needs no ClusterIP.
    Server(http::Uri),
    /// With the service account of the pod, at the address in its environment.
    InCluster,
}

/// What this part has to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to reach the API server.
    pub connection: Connection,
    /// The controller name of our GatewayClasses.
    pub controller: String,
    /// Where the Lease is.
    pub leader: leader::Settings,
}

/// What the leader writes is made of.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// The statuses that objects are to have.
    pub statuses: watch::Receiver<status::writer::Wanted>,
    /// The newest publication.
    pub published: watch::Receiver<Option<Arc<Published>>>,
    /// Whether this process may be the leader.
    pub candidacy: watch::Receiver<Candidacy>,
    /// What the leader is to say to operators, beside what the statuses say.
    pub events: Events,
    /// What decides between two agents that do not hear each other.
    pub arbitration: Arbitration,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be used.
    #[error("cannot use kubeconfig {file}")]
    Kubeconfig {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<kube::config::KubeconfigError>,
    },
    /// This is no pod.
    #[error("not in a cluster; name the API server with --api-server or --kubeconfig")]
    NotInCluster(#[source] kube::config::InClusterError),
    /// The certificates or credentials cannot be used.
    #[error("cannot make a client of the API server")]
    Client(#[source] kube::Error),
    /// The thread is gone.
    #[error("the thread that reads the cluster ended at once")]
    Ended,
    /// No thread.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// The running part.
#[derive(Debug)]
pub struct Cluster {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Cluster {
    /// Starts to read, and to write what is wanted whenever this process is the leader.
    ///
    /// # Errors
    /// When the settings make no client; an API server that does not answer is waited for.
    pub fn start(
        settings: Settings,
        outlook: Outlook,
        publish: impl Fn(Content) + Send + 'static,
    ) -> Result<Self, ConnectError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ConnectError::Thread)?;
        let (stop, stopped) = oneshot::channel();
        let (sender, connected) = std::sync::mpsc::channel();
        // The client belongs to its runtime, and making it speaks to nobody yet.
        let thread = std::thread::Builder::new()
            .name("cluster".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let client = match connect(&settings.connection).await {
                        Ok(client) => client,
                        Err(error) => return drop(sender.send(Err(error))),
                    };
                    drop(sender.send(Ok(())));
                    run(client, settings, outlook, publish, stopped).await;
                });
            })
            .map_err(ConnectError::Thread)?;
        connected.recv().map_err(|_gone| ConnectError::Ended)??;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stopped = self.stop.take().map(|it| it.send(()));
        debug!(?stopped, "the cluster is left");
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            warn!("the thread that reads the cluster panicked");
        }
    }
}

async fn run(
    client: Client,
    settings: Settings,
    outlook: Outlook,
    publish: impl Fn(Content) + Send + 'static,
    stopped: oneshot::Receiver<()>,
) {
    let shown = Shown::default();
    let (sender, leadership) = watch::channel(None);
    let reading = source::kube::Settings {
        controller: settings.controller.clone(),
        namespace: settings.leader.namespace.clone(),
    };
    let (statuses, services) = (shown.statuses.clone(), shown.services.clone());
    let status_writer = status::writer::Writer::new(
        client.clone(),
        settings.controller.clone(),
        statuses.clone(),
    );
    let features = part(outlook.published.clone(), |it| &it.features);
    let author = events::writer::Author {
        controller: settings.controller,
        instance: settings.leader.identity.clone(),
    };
    let told = outlook.events.clone();
    let event_writer = events::writer::Writer::new(client.clone(), author, told, statuses.clone());
    let view = events::writer::View {
        statuses: outlook.statuses.clone(),
        problems: part(outlook.published.clone(), |it| &it.problems),
    };
    let services =
        infrastructure::writer::Writer::new(client.clone(), statuses, services, outlook.events);
    let infrastructure = part(outlook.published.clone(), |it| &it.infrastructure);
    let key = part(outlook.published, |it| &it.membership_key);
    let namespace = settings.leader.namespace.clone();
    let membership = membership::keep(client.clone(), namespace, key, leadership.clone());
    let competition = leader::compete(
        client.clone(),
        settings.leader.clone(),
        outlook.candidacy,
        sender,
    );
    let arbitration = arbiter::arbitrate(client.clone(), &settings.leader, outlook.arbitration);
    tokio::select! {
        () = arbitration => {}
        () = source::kube::follow(client.clone(), reading, shown, publish) => {}
        () = competition => {}
        () = status_writer.run(outlook.statuses, features, leadership.clone()) => {}
        () = event_writer.run(view, leadership.clone()) => {}
        () = services.run(infrastructure, leadership) => {}
        () = membership => {}
        // Who holds the other end may also just be gone.
        _ = stopped => {}
    }
    match timeout(END_TIMEOUT, leader::release(client, &settings.leader)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "the Lease is not given back"),
        Err(_elapsed) => debug!("the Lease is not given back in time"),
    }
}

/// One part of the publications, new only when it differs; none: there is no publication yet.
fn part<T: Clone + PartialEq + Send + Sync + 'static>(
    mut published: watch::Receiver<Option<Arc<Published>>>,
    part: fn(&Published) -> &T,
) -> watch::Receiver<Option<Arc<T>>> {
    let (sender, parts) = watch::channel(None);
    tokio::spawn(async move {
        published.mark_changed();
        while published.changed().await.is_ok() && !sender.is_closed() {
            let newest = published.borrow_and_update().clone();
            sender.send_if_modified(|last: &mut Option<Arc<T>>| {
                let newest = newest.as_deref().map(part);
                let is_new = last.as_deref() != newest;
                if is_new {
                    *last = newest.cloned().map(Arc::new);
                }
                is_new
            });
        }
    });
    parts
}

async fn connect(connection: &Connection) -> Result<Client, ConnectError> {
    let mut config = match connection {
        Connection::Kubeconfig(file) => from_file(file).await?,
        Connection::InCluster => Config::incluster().map_err(ConnectError::NotInCluster)?,
        Connection::Server(server) => from_service_account(server.clone()),
    };
    // It would repeat a write for minutes, whoever is the leader by then. Who asks has pauses of its own.
    config.default_retry = false;
    Client::try_from(config).map_err(ConnectError::Client)
}

async fn from_file(file: &Path) -> Result<Config, ConnectError> {
    let failed = |source| ConnectError::Kubeconfig {
        file: file.to_owned(),
        source: Box::new(source),
    };
    let kubeconfig = Kubeconfig::read_from(file).map_err(failed)?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    config.map_err(failed)
}

fn from_service_account(server: http::Uri) -> Config {
    let file = |name: &str| Path::new(SERVICE_ACCOUNT).join(name);
    let mut config = Config::new(server);
    // Both files are read again when they change.
    config.root_cert_file = Some(file("ca.crt"));
    config.auth_info = AuthInfo {
        token_file: Some(file("token").to_string_lossy().into_owned()),
        ..AuthInfo::default()
    };
    config
}

/// The namespace of the pod that this process runs in.
pub fn own_namespace() -> Option<String> {
    let namespace = std::fs::read_to_string(Path::new(SERVICE_ACCOUNT).join("namespace")).ok()?;
    Some(namespace.trim().to_owned())
}
