//! The process kubelet: pods of one node as processes in namespaces.
//!
//! An image is a name for a program of this machine. Pods see the machine's files through an overlay, with their volumes
//! at the places that they ask for; what they write vanishes with them.

mod environment;
mod life;
mod logs;
mod sandbox;
mod status;
mod volumes;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use gateway_vm_tests::Host;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch as state;

use crate::tell_error;
use life::Wish;

pub(crate) use logs::PORT;

/// Which program each image is, by the image's name without its tag.
pub(crate) type Images = BTreeMap<String, PathBuf>;

/// What a kubelet needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The programs.
    pub(crate) images: Images,
    /// Where the logs of pods go.
    pub(crate) logs: PathBuf,
    /// An empty folder, over which each pod mounts its own files.
    pub(crate) mount_point: PathBuf,
    /// Where `hostPath` volumes of this node are, but for the kernel's file systems.
    pub(crate) host_files: PathBuf,
    /// Where pods find the API server.
    pub(crate) api_server: Ipv4Addr,
    /// The number of the node: its pods are 10.244.NUMBER.0/24.
    pub(crate) number: u8,
}

/// A kubelet; see [`Kubelet::run`].
pub(crate) struct Kubelet {
    context: Arc<Context>,
    pods: BTreeMap<String, state::Sender<Wish>>,
    next_address: u8,
}

/// What the pods of a node share.
struct Context {
    client: Client,
    host: Arc<Host>,
    settings: Settings,
}

/// The first of a node's pod addresses; lower ones are for routers.
const FIRST_ADDRESS: u8 = 10;

impl Kubelet {
    /// A kubelet without pods.
    pub(crate) fn new(client: Client, host: Arc<Host>, settings: Settings) -> Self {
        Self {
            context: Arc::new(Context {
                client,
                host,
                settings,
            }),
            pods: BTreeMap::new(),
            next_address: FIRST_ADDRESS,
        }
    }

    /// Serves the node's pods, and the API server's questions about them, as long as it is polled.
    pub(crate) async fn run(self) {
        let address = SocketAddr::from((self.context.host.address, PORT));
        let logs = logs::serve(address, self.context.settings.logs.clone());
        let logs = async {
            if let Err(error) = logs.await {
                tell_error(&error.context("kubelet API"));
            }
        };
        tokio::join!(logs, self.run_pods());
    }

    async fn run_pods(mut self) {
        let pods: Api<Pod> = Api::all(self.context.client.clone());
        let node = self.context.host.namespace.name();
        let own = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
        let mut news = watch(pods, own).default_backoff().boxed();
        while let Some(event) = news.next().await {
            match event {
                Ok(Event::Apply(pod) | Event::InitApply(pod)) => self.take(pod),
                Ok(Event::Delete(pod)) => self.forget(&pod),
                Ok(Event::Init | Event::InitDone) => {}
                // The watch begins anew by itself.
                Err(error) => tell_error(&anyhow::Error::from(error).context("kubelet")),
            }
        }
    }

    fn take(&mut self, pod: Pod) {
        let id = pod.uid().unwrap_or_default();
        let wish = Wish::of(&pod);
        if let Some(known) = self.pods.get(&id) {
            // A pod that has ended hears nothing any more.
            let _ended = known.send(wish);
            return;
        }
        let address = self.free_address();
        let (wishes, wished) = state::channel(wish);
        self.pods.insert(id, wishes);
        let context = Arc::clone(&self.context);
        let _detached = tokio::task::spawn_local(life::live(context, pod, address, wished));
    }

    fn forget(&mut self, pod: &Pod) {
        // Without the API server's consent the pod would be there still; its process must not be.
        if let Some(known) = self.pods.remove(&pod.uid().unwrap_or_default()) {
            let _ended = known.send(Wish::Stop { grace_seconds: 0 });
        }
    }

    /// Addresses are used in turn, so that one is free for long before it is used again.
    fn free_address(&mut self) -> Ipv4Addr {
        let address = Ipv4Addr::new(10, 244, self.context.settings.number, self.next_address);
        self.next_address = match self.next_address {
            254 => FIRST_ADDRESS,
            number => number + 1,
        };
        address
    }
}
