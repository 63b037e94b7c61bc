//! The life of a pod: its place, its containers, its status, its end.

mod container;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use gateway_vm_tests::Namespace;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt};
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};

use super::environment::Place;
use super::logs;
use super::sandbox::{self, Access, Network, Plan};
use super::status::{self, Addresses, View};
use super::volumes::{self, Content};
use super::{Context, Images};
use crate::{clock, tell_error};
use container::Job;

/// How long a pod waits before it asks again for what is missing.
const RETRY: Duration = Duration::from_millis(500);

/// What the API server wants of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// It shall run.
    Run,
    /// It shall end.
    Stop {
        /// How long it may take.
        grace_seconds: u64,
    },
}

impl Wish {
    /// What a pod's object says.
    pub(super) fn of(pod: &Pod) -> Self {
        if pod.metadata.deletion_timestamp.is_none() {
            return Self::Run;
        }
        let grace = pod
            .metadata
            .deletion_grace_period_seconds
            .unwrap_or_default();
        Self::Stop {
            grace_seconds: u64::try_from(grace).unwrap_or_default(),
        }
    }
}

/// A pod on its node.
struct Life {
    context: Arc<Context>,
    pod: Pod,
    addresses: Addresses,
    network: Network,
}

/// Lives through all of it. Returns when the pod's object is gone.
pub(super) async fn live(
    context: Arc<Context>,
    pod: Pod,
    address: Ipv4Addr,
    mut wishes: watch::Receiver<Wish>,
) {
    let on_node = pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true);
    let host = context.host.address;
    let (network, address) = if on_node {
        (Network::Node, host)
    } else {
        (Network::Own(address), address)
    };
    let life = Life {
        context,
        pod,
        addresses: Addresses { pod: address, host },
        network,
    };
    if let Some(sandbox) = life.settle(&mut wishes).await {
        life.run(Arc::new(sandbox), wishes).await;
    }
    life.delete().await;
}

impl Life {
    /// Makes the pod's place, as soon as everything is there that it names; none if it is to end before.
    async fn settle(&self, wishes: &mut watch::Receiver<Wish>) -> Option<Namespace> {
        let mut told = String::new();
        loop {
            if *wishes.borrow_and_update() != Wish::Run {
                return None;
            }
            match self.prepare().await {
                Ok(sandbox) => return Some(sandbox),
                Err(error) => {
                    let reason = format!("{error:#}");
                    if reason != told {
                        let waiting = vec![View::waiting(reason.clone()); self.containers().len()];
                        self.report(&waiting).await;
                        told = reason;
                    }
                }
            }
            // Either is a reason to look again.
            let _news = tokio::time::timeout(RETRY, wishes.changed()).await;
        }
    }

    async fn prepare(&self) -> anyhow::Result<Namespace> {
        let spec = self.pod.spec.as_ref().context("the pod has no spec")?;
        let has_init = spec
            .init_containers
            .as_ref()
            .is_some_and(|init| !init.is_empty());
        ensure!(!has_init, "init containers are not known here");
        let settings = &self.context.settings;
        let contents = volumes::collect(
            &self.context.client,
            &self.pod,
            self.place(),
            &settings.host_files,
        )
        .await?;
        let mut plan = Plan {
            name: short_name(&self.pod),
            network: self.network,
            mount_point: settings.mount_point.clone(),
            folders: Vec::new(),
            files: Vec::new(),
            binds: Vec::new(),
            access: access(&spec.containers),
        };
        for container in &spec.containers {
            let program = program(&settings.images, container)?;
            plan.binds.push((program, image_path(container)));
            for mount in container.volume_mounts.iter().flatten() {
                ensure!(
                    mount.sub_path.is_none() && mount.sub_path_expr.is_none(),
                    "subPath of a volume is not known here"
                );
                let content = contents.get(&mount.name);
                let content = content.with_context(|| format!("no volume {}", mount.name))?;
                place_volume(&mut plan, PathBuf::from(&mount.mount_path), content);
            }
        }
        let host = Arc::clone(&self.context.host);
        spawn_blocking(move || sandbox::make(&host, plan)).await?
    }

    /// Runs the containers until they are to end, and has ended them when it returns.
    async fn run(&self, sandbox: Arc<Namespace>, mut wishes: watch::Receiver<Wish>) {
        let containers = self.containers();
        let views = vec![View::waiting("starts"); containers.len()];
        let (views, mut seen) = watch::channel(views);
        let mut running = JoinSet::new();
        for (index, container) in containers.iter().enumerate() {
            let job = Job {
                sandbox: Arc::clone(&sandbox),
                pod: self.pod.clone(),
                container: container.clone(),
                program: image_path(container),
                log: self.log(container),
                index,
            };
            let place = self.place();
            match job.prepare(place) {
                Ok(ready) => {
                    running.spawn_local(ready.run(views.clone(), wishes.clone()));
                }
                Err(error) => container::show(&views, index, View::waiting(format!("{error:#}"))),
            }
        }
        loop {
            let now: Vec<View> = seen.borrow_and_update().clone();
            self.report(&now).await;
            tokio::select! {
                changed = seen.changed() => { if changed.is_err() { break; } }
                _ended = wishes.wait_for(|wish| *wish != Wish::Run) => break,
            }
        }
        while let Some(ended) = running.join_next().await {
            if let Err(error) = ended {
                tell_error(&anyhow::Error::from(error).context("container"));
            }
        }
        // The namespace's end is waited for: its address and its interface are free then.
        if let Err(error) = spawn_blocking(move || drop(sandbox)).await {
            tell_error(&anyhow::Error::from(error).context("end of a pod"));
        }
    }

    async fn report(&self, views: &[View]) {
        let patch = status::patch(&self.pod, views, self.addresses, &clock::now());
        let parameters = PatchParams::default();
        let name = self.pod.name_any();
        let patched = self
            .api()
            .patch_status(&name, &parameters, &Patch::Merge(&patch))
            .await;
        if let Err(error) = patched {
            tell_error(&anyhow::Error::from(error).context(format!("status of pod {name}")));
        }
    }

    /// Lets the API server forget the pod, if it is to end and is the same still.
    async fn delete(&self) {
        let mut parameters = DeleteParams::default().grace_period(0);
        parameters.preconditions = Some(Preconditions {
            uid: self.pod.uid(),
            resource_version: None,
        });
        let name = self.pod.name_any();
        match self.api().delete(&name, &parameters).await {
            Ok(_deleted) => {}
            // Somebody was faster, or a new one has the name.
            Err(kube::Error::Api(refusal)) if [404, 409].contains(&refusal.code) => {}
            Err(error) => {
                tell_error(&anyhow::Error::from(error).context(format!("end of pod {name}")))
            }
        }
    }

    fn api(&self) -> Api<Pod> {
        let namespace = self.pod.namespace().unwrap_or_default();
        Api::namespaced(self.context.client.clone(), &namespace)
    }

    fn containers(&self) -> &[Container] {
        self.pod.spec.as_ref().map_or(&[], |spec| &spec.containers)
    }

    fn place(&self) -> Place<'_> {
        Place {
            pod: self.addresses.pod,
            node: self.addresses.host,
            node_name: self.context.host.namespace.name(),
            api_server: self.context.settings.api_server,
        }
    }

    fn log(&self, container: &Container) -> PathBuf {
        let namespace = self.pod.namespace().unwrap_or_default();
        let folder = &self.context.settings.logs;
        logs::path(folder, &namespace, &self.pod.name_any(), &container.name)
    }
}

/// The program of a container's image.
fn program(images: &Images, container: &Container) -> anyhow::Result<PathBuf> {
    let image = container.image.as_deref().unwrap_or_default();
    let (name, _digest) = image.split_once('@').unwrap_or((image, ""));
    // A colon before the last slash belongs to the registry's port.
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        Some(_) | None => name,
    };
    let program = images.get(name);
    Ok(program
        .with_context(|| format!("there is no program for the image {name}"))?
        .clone())
}

/// What containers may write to: they share a root directory.
fn access(containers: &[Container]) -> Access {
    let is_sealed = |container: &Container| {
        let security = container.security_context.as_ref();
        security.and_then(|it| it.read_only_root_filesystem) == Some(true)
    };
    if containers.iter().all(is_sealed) {
        Access::Nothing
    } else {
        Access::Everything
    }
}

/// Where a container finds its program.
fn image_path(container: &Container) -> PathBuf {
    PathBuf::from(format!("/image/{}", container.name))
}

fn place_volume(plan: &mut Plan, target: PathBuf, content: &Content) {
    match content {
        Content::Files(files) => {
            for (name, bytes) in files {
                plan.files.push((target.join(name), bytes.clone()));
            }
            plan.folders.push(target);
        }
        // The kernel's file systems are in every root.
        Content::Folder(source) if *source == target => {}
        Content::Folder(source) => plan.binds.push((source.clone(), target)),
    }
}

/// A name for a pod's interface on the node, which may have 15 characters, `pod-` among them.
fn short_name(pod: &Pod) -> String {
    let id = pod.uid().unwrap_or_default();
    id.chars()
        .filter(char::is_ascii_hexdigit)
        .take(11)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_name_without_tag_and_digest() {
        let images = Images::from([("host:5000/a/b".to_owned(), PathBuf::from("/b"))]);
        let container = |image: &str| Container {
            image: Some(image.to_owned()),
            ..Container::default()
        };

        for image in [
            "host:5000/a/b",
            "host:5000/a/b:v1",
            "host:5000/a/b:v1@sha256:0",
        ] {
            assert_eq!(
                program(&images, &container(image)).unwrap(),
                PathBuf::from("/b")
            );
        }
        let unknown = program(&images, &container("a/c:v1"))
            .unwrap_err()
            .to_string();
        assert!(unknown.contains("a/c"), "{unknown}");
    }
}
