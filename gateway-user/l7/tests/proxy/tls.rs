//! HTTPS listeners: chosen by server name, ALPN, and what happens when name and host disagree.

use std::net::SocketAddr;
use std::sync::Arc;

use gateway_ir::{Certificate, PortProtocol, Snapshot};
use http::Request;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, ClientConfig, NamedGroup, ProtocolVersion, RootCertStore, version};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::{Http1, Http2, get, pod};
use crate::config::{certificate, listener, rule, site};
use crate::pods::Pod;
use crate::rig::{Rig, address};

#[tokio::test]
async fn the_server_name_chooses_listener_and_certificate_and_alpn_the_engine() {
    let (pods, address) = (two_pods().await, address());
    let (a, wild) = (certificate(&["a.test"]), certificate(&["*.wild.test"]));
    let _rig = Rig::start(two_listeners(address, &pods, [&a, &wild])).await;

    let stream = handshake(address, "a.test", &[&a], &["h2", "http/1.1"]).await;
    let stream = stream.expect("a handshake");
    let session = stream.get_ref().1;
    assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = session.negotiated_key_exchange_group().map(|it| it.name());
    assert_eq!(group, Some(NamedGroup::X25519MLKEM768));
    let request = Request::get("https://a.test/").body(Default::default());
    let answer = Http2::over(stream)
        .await
        .send(request.expect("a request"))
        .await;
    assert_eq!((answer.status().as_u16(), pod(&answer)), (200, "a"));
    assert!(
        answer.body().contains("x-forwarded-proto: https\n"),
        "{}",
        answer.body()
    );

    let stream = handshake(address, "x.wild.test", &[&wild], &["http/1.1"]).await;
    let mut client = Http1::over(stream.expect("a handshake")).await;
    let answer = client.get("x.wild.test", "/").await;
    assert_eq!((answer.status().as_u16(), pod(&answer)), (200, "wild"));
}

#[tokio::test]
async fn a_server_name_without_a_listener_is_refused_in_the_handshake() {
    let (pods, address) = (two_pods().await, address());
    let (a, wild) = (certificate(&["a.test"]), certificate(&["*.wild.test"]));
    let rig = Rig::start(two_listeners(address, &pods, [&a, &wild])).await;

    let error = handshake(address, "b.test", &[&a, &wild], &[]).await;
    let error = error.expect_err("the handshake is refused");
    let cause = error.get_ref().and_then(|error| error.downcast_ref());
    assert_eq!(
        cause,
        Some(&rustls::Error::AlertReceived(
            AlertDescription::UnrecognisedName
        ))
    );
    crate::rig::eventually("the failed handshake is counted", || {
        rig.metric("proxy_tls_handshakes_failed_total") == 1
    })
    .await;
}

/// GEP-3567: a request whose host belongs to another listener than the handshake's gets 421; one of no listener 404.
#[tokio::test]
async fn a_host_of_another_listener_than_the_handshakes_is_misdirected() {
    let (pods, address) = (two_pods().await, address());
    let (a, wild) = (certificate(&["a.test"]), certificate(&["*.wild.test"]));
    let _rig = Rig::start(two_listeners(address, &pods, [&a, &wild])).await;

    let stream = handshake(address, "a.test", &[&a], &["http/1.1"]).await;
    let mut client = Http1::over(stream.expect("a handshake")).await;
    for (host, expected) in [("a.test", 200), ("x.wild.test", 421), ("b.test", 404)] {
        assert_eq!(
            client.send(get(host, "/")).await.status(),
            expected,
            "{host}"
        );
    }
}

#[tokio::test]
async fn without_a_server_name_the_listener_for_every_name_answers() {
    let pod = Pod::echo("a").await;
    let address = address();
    let any = certificate(&["localhost"]);
    let https = listener("any", "*")
        .certificate(&any)
        .host("*", vec![rule("/").to("a", 1, &[pod.address])]);
    let _rig = Rig::start(site(address, PortProtocol::Tls, vec![https.build()])).await;

    // A client that connects to an IP address sends no server name; the certificate is for another name, so it is
    // accepted here whatever it says.
    let mut config = client_config(&[&any], &["http/1.1"], &[&version::TLS13]);
    config.enable_sni = false;
    let stream = connect(address, "localhost", config)
        .await
        .expect("a handshake");
    let answer = Http1::over(stream).await.get("anything.test", "/").await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_session_is_resumed_on_whichever_worker() {
    let (pods, address) = (two_pods().await, address());
    let (a, wild) = (certificate(&["a.test"]), certificate(&["*.wild.test"]));
    let _rig = Rig::start(two_listeners(address, &pods, [&a, &wild])).await;

    for version in [&version::TLS13, &version::TLS12] {
        let config = Arc::new(client_config(&[&a], &["http/1.1"], &[version]));
        let mut resumed = 0;
        for _ in 0..8 {
            let stream = connect_shared(address, "a.test", Arc::clone(&config)).await;
            let stream = stream.expect("a handshake");
            let kind = stream.get_ref().1.handshake_kind();
            resumed += usize::from(kind == Some(rustls::HandshakeKind::Resumed));
            // The ticket arrives with the answer.
            assert_eq!(
                Http1::over(stream).await.get("a.test", "/").await.status(),
                200
            );
        }
        assert_eq!(resumed, 7, "{version:?}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_while_old_ones_go_on() {
    let (pods, address) = (two_pods().await, address());
    let (old, new) = (certificate(&["a.test"]), certificate(&["a.test"]));
    let wild = certificate(&["*.wild.test"]);
    let rig = Rig::start(two_listeners(address, &pods, [&old, &wild])).await;
    let stream = handshake(address, "a.test", &[&old], &["http/1.1"]).await;
    let mut client = Http1::over(stream.expect("a handshake")).await;
    assert_eq!(client.get("a.test", "/").await.status(), 200);

    rig.publish(two_listeners(address, &pods, [&new, &wild]))
        .await;

    assert_eq!(client.get("a.test", "/").await.status(), 200);
    assert!(handshake(address, "a.test", &[&new], &[]).await.is_ok());
    assert!(handshake(address, "a.test", &[&old], &[]).await.is_err());
}

async fn two_pods() -> [Pod; 2] {
    [Pod::echo("a").await, Pod::echo("wild").await]
}

fn two_listeners(
    address: SocketAddr,
    pods: &[Pod; 2],
    certificates: [&Arc<Certificate>; 2],
) -> Snapshot {
    let a = listener("a", "a.test")
        .certificate(certificates[0])
        .host("a.test", vec![rule("/").to("a", 1, &[pods[0].address])]);
    let wild = listener("wild", "*.wild.test")
        .certificate(certificates[1])
        .host(
            "*.wild.test",
            vec![rule("/").to("wild", 1, &[pods[1].address])],
        );
    site(address, PortProtocol::Tls, vec![a.build(), wild.build()])
}

async fn handshake(
    address: SocketAddr,
    name: &str,
    trusted: &[&Arc<Certificate>],
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let versions = [&version::TLS13, &version::TLS12];
    connect(address, name, client_config(trusted, alpn, &versions)).await
}

async fn connect(
    address: SocketAddr,
    name: &str,
    config: ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    connect_shared(address, name, Arc::new(config)).await
}

async fn connect_shared(
    address: SocketAddr,
    name: &str,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    TlsConnector::from(config).connect(name, stream).await
}

fn client_config(
    trusted: &[&Arc<Certificate>],
    alpn: &[&str],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        let chain = certificate.chain.iter().cloned().map(CertificateDer::from);
        roots.add_parsable_certificates(chain);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}
