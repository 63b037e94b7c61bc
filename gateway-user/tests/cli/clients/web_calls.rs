//! gRPC-Web: the calls of browsers, in both forms, over both versions of HTTP.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use super::client::{Answer, Client, tcp, whole};
use super::pods::Pod;
use super::site::{file, gateway, object, service};
use crate::agent::Agent;
use crate::conf::{Conf, free_port};

const HOST: &str = "calls.test";
/// A message of three bytes, and the same in base64 in two pieces that are each padded.
const MESSAGE: &[u8] = b"\0\0\0\0\x03abc";
const TEXT: &[u8] = b"AAAAAAM=YWJj";
/// What pods say in trailers.
const TRAILERS: &[u8] = b"\x80\0\0\0\x21grpc-status: 0\r\nx-trailer: kept\r\n";

#[tokio::test]
async fn calls_of_browsers_are_made_in_grpc_and_answered_in_their_form() {
    let (pod, port, plain) = (Pod::grpc().await, free_port(), free_port());
    let conf = Conf::new();
    conf.write("site.yaml", &site(port, plain, pod.port));
    let _agent = Agent::start(&conf);

    let binary = [MESSAGE, TRAILERS].concat();
    let kinds = ["application/grpc-web+proto", "application/grpc-web-text"];
    for mut client in [
        Client::http1(tcp(port).await).await,
        Client::http2(tcp(port).await).await,
    ] {
        let answer = call(&mut client, kinds[0], "*/*", MESSAGE).await;
        // The pod does not say what its messages are.
        assert_eq!(answer.header("content-type"), "application/grpc-web");
        assert_eq!(answer.body, binary);
        assert!(answer.trailers.is_empty());

        let answer = call(&mut client, kinds[1], kinds[1], TEXT).await;
        assert_eq!(answer.header("content-type"), kinds[1]);
        assert_eq!(decode(answer.text()), binary);

        let answer = call(&mut client, kinds[1], "application/grpc-web", TEXT).await;
        assert_eq!(answer.header("content-type"), "application/grpc-web");
        assert_eq!(answer.body, binary);

        let request = request("/shop.Orders/Put", kinds[1], "*/*", MESSAGE);
        let answer = client.send(HOST, request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.header("content-type"), kinds[1]);
        assert_eq!(answer.header("grpc-status"), "12");
        assert_eq!(answer.body, b"".as_slice());
    }
    // A body of another form is broken off, for the pod and for the client.
    let mut client = Client::http2(tcp(port).await).await;
    let broken = request("/shop.Orders/Get", kinds[1], kinds[1], b"not base64");
    let answer = client.send(HOST, broken).await;
    // What comes first: the end of the stream, or a status for it.
    let status = answer.map(|answer| answer.header("grpc-status").to_owned());
    assert!(status.as_deref().unwrap_or("14") == "14", "{status:?}");
    let answer = call(&mut client, kinds[1], kinds[1], TEXT).await;
    assert_eq!(decode(answer.text()), binary, "the connection goes on");
    // A Gateway that does not translate hands calls on as they are.
    let mut client = Client::http2(tcp(plain).await).await;
    let answer = call(&mut client, kinds[0], "*/*", MESSAGE).await;
    assert_eq!(answer.body, MESSAGE);
    assert_eq!(answer.trailer("grpc-status"), "0");
}

async fn call(client: &mut Client, kind: &str, accept: &str, body: &'static [u8]) -> Answer {
    let request = request("/shop.Orders/Get", kind, accept, body);
    client.send(HOST, request).await.expect("an answer")
}

fn request(
    path: &str,
    kind: &str,
    accept: &str,
    body: &'static [u8],
) -> Request<super::client::Sent> {
    Request::post(path)
        .header("content-type", kind)
        .header("accept", accept)
        .body(whole(Bytes::from_static(body)))
        .expect("a request")
}

/// Reads base64 by way of numbers.
fn decode(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let digits = group.iter().filter(|it| **it != b'=').map(|it| {
            let digit = alphabet.iter().position(|letter| letter == it);
            u32::try_from(digit.expect("base64")).expect("small")
        });
        let count = digits.clone().count();
        let number = digits.fold(0, |number, digit| number << 6 | digit) << (6 * (4 - count));
        let [_, all @ ..] = number.to_be_bytes();
        bytes.extend(all.iter().take(count - 1));
    }
    bytes
}

fn site(port: u16, plain: u16, pod: u16) -> String {
    let config = json!({
        "apiVersion": "sanmon.dev/v1alpha1", "kind": "SanmonGatewayConfig",
        "metadata": {"name": "web"}, "spec": {"proxy": {"grpcWeb": "translated"}}
    });
    let parameters = json!({"group": "sanmon.dev", "kind": "SanmonGatewayConfig", "name": "web"});
    let listeners = |port: u16| json!([{"name": "web", "port": port, "protocol": "HTTP"}]);
    let infrastructure = json!({"infrastructure": {"parametersRef": parameters}});
    let mut objects = gateway(listeners(port), infrastructure).to_vec();
    objects.extend([config, second(listeners(plain))]);
    let method = json!({"method": {"service": "shop.Orders", "method": "Get"}});
    let rule = json!({"matches": [method], "backendRefs": [{"name": "calls", "port": 80}]});
    let parents = json!([{"name": "main"}, {"name": "plain"}]);
    let spec = json!({"parentRefs": parents, "rules": [rule]});
    objects.push(object("GRPCRoute", "calls", spec));
    objects.extend(service("calls", None, &[pod]));
    file(objects)
}

/// A Gateway without settings of its own.
fn second(listeners: Value) -> Value {
    let spec = json!({
        "gatewayClassName": "sanmon", "listeners": listeners,
        "addresses": [{"type": "IPAddress", "value": "127.0.0.1"}]
    });
    object("Gateway", "plain", spec)
}
