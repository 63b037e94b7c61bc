//! That nothing of a ClientHello is lost or doubled, whatever bytes come and however they are cut.

use std::sync::Arc;

use gateway_ir::{
    HostPattern, HttpPort, Listener, ListenerId, ObjectName, PortProtocol, RouteName, Routing,
    RuleId, Snapshot, StreamProgram,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;
use crate::program::{Compiler, Program};

#[test]
fn any_hello_is_handed_on_byte_by_byte_or_the_connection_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    let program = passing_on("*.pass.test");
    let local = ([127, 0, 0, 1], 443).into();
    let port = program.port(local).expect("the port");
    let (usual, other) = (hello("a.pass.test"), hello("other.test"));
    let cut = usual.get(..60).unwrap_or_default();
    let seeds = [usual.as_slice(), &other, cut, b"GET / HTTP/1.1\r\n"];
    let pieces: [&[u8]; 8] = [
        &[22, 3, 1],
        &[0, 0],
        &[0xff, 0xff],
        b"a.pass.test",
        b"b.pass.test",
        b".",
        b"A",
        &[21, 3, 3],
    ];
    crate::fuzz::fuzz(&seeds, &pieces, |bytes| {
        let script = Script::new(bytes);
        let opened = runtime.block_on(open(script, |look| look(port)));
        match opened {
            None => (0, bytes.len() / 16),
            Some(Opened::Passed { stream, hello, .. }) => {
                let all = [hello.as_slice(), stream.left()].concat();
                assert_eq!(all, bytes, "nothing is lost, doubled or changed");
                (1, hello.len() / 16)
            }
            Some(Opened::Http { .. } | Opened::Ended { .. }) => panic!("TLS does not end here"),
        }
    });
}

/// Bytes that come in pieces of all sizes; what is written is gone.
#[derive(Debug)]
struct Script {
    bytes: Vec<u8>,
    read: usize,
    step: usize,
}

impl Script {
    fn new(bytes: &[u8]) -> Self {
        let step = bytes.first().map_or(1, |first| 1 + usize::from(*first));
        Self {
            bytes: bytes.to_vec(),
            read: 0,
            step,
        }
    }

    fn left(&self) -> &[u8] {
        self.bytes.get(self.read..).unwrap_or_default()
    }
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.left().len().min(self.step).min(buffer.remaining());
        let piece = self.left().get(..count).unwrap_or_default();
        buffer.put_slice(piece);
        self.read += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn hello(name: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let session = ClientConnection::new(Arc::new(config), name);
    let mut bytes = Vec::new();
    let written = session.expect("settings").write_tls(&mut bytes);
    written.expect("a vector takes everything");
    bytes
}

/// A port whose connections for these names are passed through.
fn passing_on(hostname: &str) -> Program {
    let pattern = HostPattern::try_from(hostname.to_owned()).expect("a pattern");
    let program = StreamProgram {
        id: RuleId {
            route: RouteName {
                kind: "TLSRoute".to_owned(),
                object: ObjectName::new("default", "pass"),
            },
            index: 0,
            name: None,
        },
        backends: Vec::new(),
    };
    let listener = Listener {
        id: ListenerId {
            gateway: ObjectName::new("default", "main"),
            section: "pass".to_owned(),
        },
        hostname: pattern.clone(),
        tls: None,
        routing: Routing::Stream([(pattern, Arc::new(program))].into_iter().collect()),
    };
    let snapshot = Snapshot {
        http: vec![HttpPort {
            addresses: Vec::new(),
            port: 443,
            protocol: PortProtocol::Tls,
            listeners: vec![listener],
            settings: Arc::default(),
        }],
        ..Snapshot::default()
    };
    let mut compiler = Compiler::new().expect("randomness");
    compiler.compile(&snapshot).0
}
