//! Programs on interfaces: which hook, over restarts, and what stays behind. Each test in a namespace of its own.

use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use gateway_ir::{DatapathMode, Interface, Mac, NodeName};
use gateway_l4::{AttachError, Datapath, Hook, OpenError, RemoveError, Settings, uninstall};
use gateway_vm_tests::bpf::{Hook as Place, count_programs};
use gateway_vm_tests::netlink::{self, Plug, XdpProgram};
use gateway_vm_tests::{Namespace, skips};

const NIC: &str = "nic";

#[test]
fn a_veth_gets_tc_unless_native_is_asked_for_and_never_both() {
    in_a_namespace(
        "a_veth_gets_tc_unless_native_is_asked_for_and_never_both",
        |_net| async {
            let root = root();
            let nic = interface().await?;
            let (mut datapath, _answers) = Datapath::open(&settings(&root))?;

            assert_eq!(datapath.attach(&nic, DatapathMode::Auto)?, Hook::Tc);
            assert_eq!(hooks(nic.index).await?, (XdpProgram::None, 1, 1));
            assert_eq!(datapath.attach(&nic, DatapathMode::Native)?, Hook::Native);
            assert_eq!(hooks(nic.index).await?, (XdpProgram::Attached, 0, 1));
            assert_eq!(datapath.attach(&nic, DatapathMode::Tc)?, Hook::Tc);
            assert_eq!(hooks(nic.index).await?, (XdpProgram::None, 1, 1));

            datapath.remove()?;
            assert_eq!(hooks(nic.index).await?, (XdpProgram::None, 0, 0));
            assert!(!root.exists(), "nothing stays behind");
            Ok(())
        },
    );
}

#[test]
fn programs_outlive_their_process_and_the_next_one_takes_them_over() {
    in_a_namespace(
        "programs_outlive_their_process_and_the_next_one_takes_them_over",
        |_net| async {
            let root = root();
            let nic = interface().await?;
            for mode in [DatapathMode::Tc, DatapathMode::Native] {
                let (mut first, _answers) = Datapath::open(&settings(&root))?;
                first.attach(&nic, mode)?;
                let attached = hooks(nic.index).await?;
                drop(first);
                assert_eq!(
                    hooks(nic.index).await?,
                    attached,
                    "{mode:?}: while nobody runs"
                );

                let (mut second, _answers) = Datapath::open(&settings(&root))?;
                second.attach(&nic, mode)?;
                assert_eq!(
                    hooks(nic.index).await?,
                    attached,
                    "{mode:?}: replaced, not doubled"
                );
            }

            let removed = uninstall(&root)?;
            assert!(
                removed.iter().any(|path| path.contains("links/xdp-")),
                "{removed:?}"
            );
            assert_eq!(hooks(nic.index).await?, (XdpProgram::None, 0, 0));
            assert_eq!(
                uninstall(&root)?,
                Vec::<String>::new(),
                "a second time there is nothing"
            );
            Ok(())
        },
    );
}

#[test]
fn a_second_one_on_the_same_root_is_told_who_has_it() {
    in_a_namespace(
        "a_second_one_on_the_same_root_is_told_who_has_it",
        |_net| async {
            let root = root();
            let (first, _answers) = Datapath::open(&settings(&root))?;

            let second = Datapath::open(&settings(&root));

            let this = std::process::id();
            assert!(
                matches!(second, Err(OpenError::InUse { pid, .. }) if pid == this),
                "{second:?}"
            );
            let uninstalled = uninstall(&root);
            assert!(matches!(uninstalled, Err(RemoveError::InUse { pid, .. }) if pid == this));
            first.remove()?;
            Ok(())
        },
    );
}

#[test]
fn an_interface_that_comes_back_is_attached_again() {
    in_a_namespace(
        "an_interface_that_comes_back_is_attached_again",
        |_net| async {
            let root = root();
            let old = interface().await?;
            let (mut datapath, _answers) = Datapath::open(&settings(&root))?;
            datapath.attach(&old, DatapathMode::Native)?;

            netlink::delete(NIC).await?;
            datapath.detach(old.index)?;
            let gone = datapath.attach(&old, DatapathMode::Auto);
            assert!(
                matches!(gone, Err(AttachError::NoInterface { .. })),
                "{gone:?}"
            );
            let new = interface().await?;
            datapath.attach(&new, DatapathMode::Native)?;

            assert_ne!(new.index, old.index);
            assert_eq!(hooks(new.index).await?, (XdpProgram::Attached, 0, 1));
            datapath.remove()?;
            Ok(())
        },
    );
}

#[test]
fn the_sockets_program_is_attached_once_however_often_it_is_asked_for() {
    in_a_namespace(
        "the_sockets_program_is_attached_once_however_often_it_is_asked_for",
        |net| async move {
            let root = root();
            let (mut datapath, _answers) = Datapath::open(&settings(&root))?;
            let socket = TcpListener::bind("127.0.0.1:0")?;

            for _start in 0..2 {
                datapath.attach_proxy(&[socket.as_fd()])?;
                assert_eq!(count_programs(Place::SkLookup, net)?, 1);
            }

            datapath.remove()?;
            assert_eq!(count_programs(Place::SkLookup, net)?, 0);
            Ok(())
        },
    );
}

fn in_a_namespace<F, Fut>(test: &str, body: F)
where
    F: FnOnce(u32) -> Fut + Send + 'static,
    Fut: Future<Output = anyhow::Result<()>> + 'static,
{
    if skips(test) {
        return;
    }
    let namespace = Namespace::new("hooks").expect("a namespace");
    let net = u32::try_from(namespace.fd()).expect("a descriptor");
    namespace.run(move || body(net)).expect("the test's steps");
}

fn root() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("sanmon-hooks-{}-{number}", std::process::id()))
}

fn settings(root: &Path) -> Settings {
    Settings {
        bpf_root: root.to_owned(),
        node: NodeName("here".to_owned()),
    }
}

/// A veth whose other end is in the same namespace.
async fn interface() -> anyhow::Result<Interface> {
    let here = std::fs::File::open("/proc/thread-self/ns/net")?;
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&here);
    netlink::cable(Plug::named(NIC), Plug::named("far"), descriptor).await?;
    netlink::up(NIC).await?;
    netlink::up("far").await?;
    Ok(Interface {
        name: NIC.to_owned(),
        index: netlink::index(NIC).await?,
        mac: Mac(netlink::mac(NIC).await?),
        addresses: Vec::new(),
    })
}

/// XDP, programs at tcx ingress, programs at tcx egress.
async fn hooks(index: u32) -> anyhow::Result<(XdpProgram, u32, u32)> {
    Ok((
        netlink::xdp_program(NIC).await?,
        count_programs(Place::TcxIngress, index)?,
        count_programs(Place::TcxEgress, index)?,
    ))
}
