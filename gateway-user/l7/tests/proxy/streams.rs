//! TLSRoutes, and what listeners ask of clients.

use std::net::SocketAddr;
use std::sync::Arc;

use gateway_ir::{
    Backend, BackendTls, ClientValidation, ClientValidationMode, InvalidBackend, PortProtocol,
    Target, Trust,
};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::client::Http1;
use crate::config::{backend, listener, port, rule, site};
use crate::identity::Identity;
use crate::pods::Pod;
use crate::rig::{PATIENCE, Rig, address};

/// Gateway API, `TLSRoute`: passed through, ended here, and HTTPS, on one port by server name; the server may speak
/// first; TLS that ended here may begin anew to the endpoint.
#[tokio::test]
async fn one_port_passes_through_ends_and_serves_by_server_name() {
    let (gateway, inner) = (
        Identity::new(&["end.test", "again.test", "www.test"], None),
        Identity::new(&["pass.test"], None),
    );
    let tls_pod = greeter(Some(inner.config(None))).await;
    let plain_pod = greeter(None).await;
    let (www, address) = (Pod::echo("www").await, address());
    let own = gateway.certificate();
    let again = Backend {
        tls: Some(Arc::new(BackendTls {
            hostname: "pass.test".to_owned(),
            trust: Trust::Roots(vec![inner.root()]),
            names: Vec::new(),
            client_certificate: None,
        })),
        ..backend("again", &[tls_pod])
    };
    let listeners = vec![
        listener("pass", "pass.test").stream("*", to(backend("pass", &[tls_pod]))),
        listener("end", "end.test")
            .certificate(&own)
            .stream("end.test", to(backend("end", &[plain_pod]))),
        listener("again", "again.test")
            .certificate(&own)
            .stream("again.test", to(again)),
        listener("www", "www.test")
            .certificate(&own)
            .host("*", vec![rule("/").to("www", 1, &[www.address])]),
    ];
    let listeners = listeners.into_iter().map(|listener| listener.build());
    let rig = Rig::start(site(address, PortProtocol::Tls, listeners.collect())).await;

    for (name, trusted) in [
        ("pass.test", &inner),
        ("end.test", &gateway),
        ("again.test", &gateway),
    ] {
        let mut stream = connect(address, name, trusted, None).await.expect(name);
        assert_eq!(read(&mut stream).await, "hello", "{name}");
        stream.write_all(b"ping").await.expect("a message");
        assert_eq!(read(&mut stream).await, "PING", "{name}");
    }
    let stream = connect(address, "www.test", &gateway, None).await;
    let mut client = Http1::over(stream.expect("a handshake")).await;
    assert_eq!(client.get("www.test", "/").await.status(), 200);
    drop(client);
    timeout(PATIENCE, rig.proxy.drain()).await.expect("the end");
}

/// Gateway API, `TLSRouteRule.backendRefs`: an invalid backend's connections are closed after they were accepted; so
/// are those with a name that no route covers. No alert is sent in the name of an endpoint.
#[tokio::test]
async fn what_leads_nowhere_is_accepted_and_closed_without_an_alert() {
    let (endpoint, address) = (greeter(None).await, address());
    let streams = listener("pass", "*.test")
        .stream("a.test", to(backend("a", &[endpoint])))
        .stream("invalid.test", Target::Invalid(InvalidBackend::NotFound))
        .stream("empty.test", to(backend("empty", &[])));
    let _rig = Rig::start(site(address, PortProtocol::Tls, vec![streams.build()])).await;

    let anybody = Identity::new(&["a.test"], None);
    for name in ["invalid.test", "empty.test", "b.test", "elsewhere.example"] {
        let error = connect(address, name, &anybody, None).await;
        let error = error.expect_err("no handshake");
        let alert = error
            .get_ref()
            .and_then(|error| error.downcast_ref::<rustls::Error>());
        assert_eq!(alert, None, "{name}: {error}");
    }
}

/// Gateway API, `FrontendTLSValidation.mode`: AllowValidOnly, and AllowInsecureFallback.
#[tokio::test]
async fn clients_show_a_trusted_certificate_or_none_is_needed() {
    let (server, trusted) = (
        Identity::new(&["a.test"], None),
        Identity::new(&["client.test"], None),
    );
    let stranger = Identity::new(&["stranger.test"], None);
    let pod = Pod::echo("a").await;
    for (mode, own, accepted) in [
        (ClientValidationMode::AllowValidOnly, Some(&trusted), true),
        (ClientValidationMode::AllowValidOnly, Some(&stranger), false),
        (ClientValidationMode::AllowValidOnly, None, false),
        (
            ClientValidationMode::AllowInsecureFallback,
            Some(&stranger),
            true,
        ),
        (ClientValidationMode::AllowInsecureFallback, None, true),
    ] {
        let address = address();
        let https = listener("a", "a.test")
            .certificate(&server.certificate())
            .clients(validation(&trusted, mode))
            .host("*", vec![rule("/").to("a", 1, &[pod.address])]);
        let _rig = Rig::start(site(address, PortProtocol::Tls, vec![https.build()])).await;

        assert_eq!(answers(address, &server, own).await, accepted, "{mode:?}");
    }
}

/// A ticket of a listener that asks for nothing opens no listener that asks for a certificate.
#[tokio::test]
async fn sessions_do_not_cross_to_listeners_that_ask_for_more() {
    let (server, trusted) = (
        Identity::new(&["a.test"], None),
        Identity::new(&["client.test"], None),
    );
    let (pod, open, strict) = (Pod::echo("a").await, address(), address());
    let https = |section: &str| {
        listener(section, "a.test")
            .certificate(&server.certificate())
            .host("*", vec![rule("/").to("a", 1, &[pod.address])])
    };
    let asking =
        https("strict").clients(validation(&trusted, ClientValidationMode::AllowValidOnly));
    let mut snapshot = site(open, PortProtocol::Tls, vec![https("open").build()]);
    let strict_port = port(strict, PortProtocol::Tls, vec![asking.build()]);
    snapshot.http.push(strict_port);
    let _rig = Rig::start(snapshot).await;

    let config = Arc::new(server.client(None));
    let mut kinds = Vec::new();
    for address in [open, open, strict] {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let name = ServerName::try_from("a.test").expect("a name");
        let connector = TlsConnector::from(Arc::clone(&config));
        let stream = connector.connect(name, stream).await.expect("a handshake");
        kinds.push(stream.get_ref().1.handshake_kind());
        let mut client = Http1::over(stream).await;
        let answer = client.try_send(crate::client::get("a.test", "/")).await;
        assert_eq!(answer.is_ok(), address == open, "{answer:?}");
    }
    let full = Some(rustls::HandshakeKind::Full);
    let resumed = Some(rustls::HandshakeKind::Resumed);
    assert_eq!(kinds[1], resumed);
    assert_eq!((kinds[0], kinds[2] == resumed), (full, false));
}

/// Whether a client gets an answer.
async fn answers(address: SocketAddr, server: &Identity, own: Option<&Identity>) -> bool {
    let Ok(stream) = connect(address, "a.test", server, own).await else {
        return false;
    };
    let mut client = Http1::over(stream).await;
    let answer = client.try_send(crate::client::get("a.test", "/")).await;
    answer.is_ok_and(|answer| answer.status() == 200)
}

fn validation(trusted: &Identity, mode: ClientValidationMode) -> ClientValidation {
    ClientValidation {
        roots: vec![trusted.root()],
        mode,
    }
}

fn to(backend: Backend) -> Target {
    Target::Backend(Arc::new(backend))
}

async fn connect(
    address: SocketAddr,
    name: &str,
    trusted: &Identity,
    own: Option<&Identity>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let connector = TlsConnector::from(Arc::new(trusted.client(own)));
    timeout(PATIENCE, connector.connect(name, stream))
        .await
        .expect("an end in time")
}

/// Says hello on each connection and shouts back what it hears; gives its address.
async fn greeter(tls: Option<rustls::ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = listener.local_addr().expect("an address");
    let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    None => shout(stream).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            shout(stream).await;
                        }
                    }
                }
            });
        }
    });
    address
}

async fn shout(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut message = [0; 64];
    let mut said = stream.write_all(b"hello").await;
    while said.is_ok() {
        let Ok(length @ 1..) = stream.read(&mut message).await else {
            return;
        };
        message.make_ascii_uppercase();
        let heard = message.get(..length).expect("as long as what was read");
        said = stream.write_all(heard).await;
    }
}

async fn read(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut message = [0; 64];
    let length = timeout(PATIENCE, stream.read(&mut message)).await;
    let length = length.expect("a message in time").expect("a message");
    String::from_utf8_lossy(message.get(..length).expect("what was read")).into_owned()
}
