//! The LAN with `sanmon` in the middle of it: how it is built, how to look around in it, how it ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context;
use gateway_vm_tests::bed::PATIENCE;
use gateway_vm_tests::folder::Folder;
use gateway_vm_tests::lan::NIC;
use gateway_vm_tests::sanmon::{self, Options};
use gateway_vm_tests::trace::Trace;
use gateway_vm_tests::{Capture, Host, Lan, Namespace, Sanmon, Task, pod};
use nix::sys::signal::Signal;

use crate::door::Door;
use crate::example::{self, PODS};
use crate::interrupt::Cleanup;
use crate::stage::Stage;

/// The LAN with everything on it. `sanmon` ends before its namespace.
pub(crate) struct Scene {
    pub(crate) sanmon: Sanmon,
    pub(crate) wire: Capture,
    pub(crate) client: Host,
    pub(crate) node: Host,
    pub(crate) vip: Ipv4Addr,
    lan: Lan,
    pods: Vec<Host>,
    folder: Folder,
    options: Options,
    untouched: Trace,
    _services: Vec<Task<()>>,
}

/// Builds the LAN and starts `sanmon` on it.
pub(crate) fn set(stage: &mut Stage, cleanup: &Cleanup) -> anyhow::Result<Scene> {
    let (lan, client, node) = stage.step("LAN", || {
        let lan = Lan::new()?;
        let client = lan.host("client", "192.168.2.50/24".parse()?)?;
        let node = lan.host("node-1", "192.168.2.10/24".parse()?)?;
        node.make_node()?;
        let evidence =
            "client 192.168.2.50 - switch - node-1 192.168.2.10, joined by cables (veth)";
        Ok(((lan, client, node), evidence.into()))
    })?;
    let (pods, services) = stage.step("pods on node-1", || {
        let (mut pods, mut services, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for pod in PODS {
            let host = node.pod(pod.name, pod.address())?;
            services.push(pod::serve(&host, pod.service, pod.port)?);
            pods.push(host);
            names.push(pod.name);
        }
        Ok(((pods, services), names.join(", ")))
    })?;
    let folder = stage.step("configuration", || {
        let folder = example::copy()?;
        cleanup.folder(folder.root().to_owned());
        example::force_native(&folder)?;
        let evidence = "a copy of examples/url-shortener, with native XDP forced on the veth";
        Ok((folder, evidence.into()))
    })?;
    let options = Options {
        program: sanmon::binary(),
        config: folder.path().to_owned(),
        node: "node-1".into(),
        bpf_root: sanmon::unique_bpf_root(),
        admin: sanmon::ADMIN,
        log: folder.beside("log"),
        more: Vec::new(),
    };
    let untouched = Trace::of(&node, &options.bpf_root)?;
    let wire = Capture::start(&client.namespace, NIC)?;
    let (sanmon, vip) = stage.step("sanmon run --config DIR", || {
        let mut sanmon = Sanmon::start(&node.namespace, &options)?;
        cleanup.process(sanmon.pid());
        sanmon.wait_ready(&node.namespace, PATIENCE)?;
        let vip = sanmon.first_vip(&node.namespace)?;
        let evidence = format!("ready; the Gateway got {vip} from the pool");
        Ok(((sanmon, vip), evidence))
    })?;
    Ok(Scene {
        sanmon,
        wire,
        client,
        node,
        vip,
        lan,
        pods,
        folder,
        options,
        untouched,
        _services: services,
    })
}

impl Scene {
    /// The client's way to gate 3.
    pub(crate) fn door(&self) -> anyhow::Result<Door<'_>> {
        Door::new(
            &self.client.namespace,
            &self.folder,
            [80, 443].map(|port| SocketAddr::from((self.vip, port))),
            self.client.address.into(),
        )
    }

    /// Says how to look around.
    pub(crate) fn invite(&self, stage: &Stage) {
        stage
            .say("\nThe LAN stays up until Ctrl-C. To enter it, as root, from another terminal:\n");
        let enter = |namespace: &Namespace| format!("nsenter -n -m -t {}", namespace.thread());
        let hosts = [&self.client, &self.node].into_iter().chain(&self.pods);
        for namespace in hosts.map(|host| &host.namespace).chain([self.lan.switch()]) {
            stage.say(&format!("  {:10} {}", namespace.name(), enter(namespace)));
        }
        let (client, node) = (enter(&self.client.namespace), enter(&self.node.namespace));
        let (vip, maps) = (self.vip, self.maps());
        let maps = maps.display();
        let sanmon = sanmon::binary();
        let sanmon = sanmon.display();
        stage.say("\nFor example:\n");
        for line in [
            format!("{client} ip neigh"),
            format!(
                "{client} curl -H 'Host: {}' http://{vip}/",
                example::SHORTENER
            ),
            format!("{node} {sanmon} get vips"),
            format!("{node} bpftool net show"),
            format!("{node} bpftool map dump pinned {maps}/ANSWERS"),
            format!("{node} bpftool map dump pinned {maps}/SERVICES"),
            format!("{node} bpftool map dump pinned {maps}/FLOWS"),
            format!("edit {}/*.yaml", self.folder.path().display()),
        ] {
            stage.say(&format!("  {line}"));
        }
    }

    /// Where the maps are pinned, as the node sees it: below the version of their layout.
    fn maps(&self) -> PathBuf {
        let root = self.options.bpf_root.clone();
        let versions = root.clone();
        let version = self.node.namespace.run(move || async move {
            let mut entries = std::fs::read_dir(versions)?;
            let first = entries.next().context("nothing is pinned")??;
            Ok(first.path())
        });
        version.unwrap_or(root).join("maps")
    }

    /// Ends `sanmon` as Ctrl-C in its terminal would, and looks at what is left.
    pub(crate) fn end(&mut self, stage: &mut Stage, cleanup: &Cleanup) {
        stage.show("Ctrl-C leaves nothing behind", || {
            self.sanmon.signal(Signal::SIGINT)?;
            let status = self.sanmon.wait(PATIENCE)?;
            cleanup.process_ended();
            anyhow::ensure!(status.success(), "sanmon ended with {status}: {}", self.sanmon.log());
            self.untouched
                .expect_on(&self.node, &self.options.bpf_root).context("something is left on the node")?;
            Ok("no program on eth0, no pin, no route, no rule; the namespaces end with this process".into())
        });
    }
}
