//! What the compiler keeps and what it reports.

use gateway_ir::{
    HostPattern, Listener as IrListener, ListenerId, ListenerTls, ObjectName, PortProtocol,
};

use super::*;

#[test]
fn an_unchanged_host_program_is_taken_over() {
    let mut compiler = Compiler::new().expect("a compiler");
    let kept = Arc::new(HostProgram::default());
    let (first, _) = compiler.compile(&snapshot(&kept, &Arc::default()));
    let (second, _) = compiler.compile(&snapshot(&kept, &Arc::default()));

    assert!(Arc::ptr_eq(
        &routes(&first, "kept"),
        &routes(&second, "kept")
    ));
    assert!(!Arc::ptr_eq(
        &routes(&first, "new"),
        &routes(&second, "new")
    ));
}

#[test]
fn hosts_that_are_gone_are_found_no_more_and_forgotten() {
    let mut compiler = Compiler::new().expect("a compiler");
    let kept = Arc::new(HostProgram::default());
    let both = snapshot(&kept, &Arc::default());
    let mut one = both.clone();
    let gateway_ir::Routing::Http(hosts) = &mut one.http[0].listeners[0].routing else {
        panic!("a listener for requests");
    };
    hosts.remove(&HostPattern::Exact("new".to_owned()));

    let (first, _) = compiler.compile(&both);
    let (second, _) = compiler.compile(&one);
    let found = |program: &Program, host: &str| {
        let port = program.port(([127, 0, 0, 1], 80).into()).expect("the port");
        let Routing::Http(hosts) = &port.listener(host).expect("the listener").routing else {
            panic!("a listener for requests");
        };
        hosts.covering(host).count()
    };
    // The program in force does not change under those that use it.
    assert_eq!((found(&first, "kept"), found(&first, "new")), (1, 1));
    assert_eq!((found(&second, "kept"), found(&second, "new")), (1, 0));

    drop(first);
    compiler.compile(&one);
    assert_eq!(compiler.routes.len(), 1);
    let (third, _) = compiler.compile(&both);
    assert_eq!(found(&third, "new"), 1);
}

#[test]
fn a_listener_without_a_usable_certificate_is_named() {
    let mut compiler = Compiler::new().expect("a compiler");
    let mut snapshot = snapshot(&Arc::default(), &Arc::default());
    snapshot.http[0].protocol = PortProtocol::Tls;
    snapshot.http[0].listeners[0].tls = Some(ListenerTls {
        certificates: Vec::new(),
        clients: None,
    });
    let (program, failures) = compiler.compile(&snapshot);

    assert_eq!(program.listeners.len(), 1);
    assert_eq!(failures.len(), 1);
    assert!(failures[0].message.contains("certificate"), "{failures:?}");
}

fn snapshot(kept: &Arc<HostProgram>, new: &Arc<HostProgram>) -> Snapshot {
    let hosts = [("kept", kept), ("new", new)]
        .map(|(name, program)| (HostPattern::Exact(name.to_owned()), Arc::clone(program)));
    Snapshot {
        http: vec![HttpPort {
            addresses: Vec::new(),
            port: 80,
            protocol: PortProtocol::Http,
            settings: Arc::default(),
            listeners: vec![IrListener {
                id: ListenerId {
                    gateway: ObjectName::new("default", "gateway"),
                    section: "http".to_owned(),
                },
                hostname: HostPattern::Any,
                tls: None,
                routing: gateway_ir::Routing::Http(hosts.into_iter().collect()),
            }],
        }],
        ..Snapshot::default()
    }
}

fn routes(program: &Program, host: &str) -> Arc<Routes> {
    let port = program.port(([127, 0, 0, 1], 80).into()).expect("the port");
    let listener = port.listener(host).expect("the listener");
    let Routing::Http(hosts) = &listener.routing else {
        panic!("a listener for requests");
    };
    Arc::clone(hosts.covering(host).next().expect("the host"))
}
