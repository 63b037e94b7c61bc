//! gRPC by GRPCRoutes: calls, streams both ways, and what callers get for calls that lead nowhere.

use std::convert::Infallible;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::client::{Client, Sent, in_time, tcp, tls, whole};
use super::pods::Pod;
use super::site::{file, gateway, route, service};
use crate::agent::Agent;
use crate::conf::{Conf, free_port};
use crate::identity::Identity;

const HOST: &str = "calls.test";
/// A message of three bytes with its prefix (gRPC over HTTP/2, Length-Prefixed-Message).
const MESSAGE: &[u8] = b"\0\0\0\0\x03abc";

#[tokio::test]
async fn calls_are_routed_by_service_and_method_and_refused_in_grpc() {
    let pod = Pod::grpc().await;
    let (clear, secure) = (free_port(), free_port());
    let identity = Identity::new(&[HOST]);
    let conf = Conf::new();
    conf.write("site.yaml", &site(clear, secure, pod.port));
    conf.write("secret.yaml", &identity.secret("cert"));
    let _agent = Agent::start(&conf);

    let stream = tls(tcp(secure).await, HOST, identity.client(), &["h2"]).await;
    let secured = Client::http2(stream.expect("a handshake")).await;
    for mut client in [Client::http2(tcp(clear).await).await, secured] {
        for (method, status) in [
            ("/shop.Orders/Get", "0"),
            ("/shop.Orders/Put", "12"),
            ("/shop.v2.Orders/List", "0"),
            ("/other.Orders/Get", "12"),
            ("/shop.Empty/Get", "14"),
            ("/shop.Gone/Get", "14"),
        ] {
            let answer = client.send(HOST, call(method, whole(MESSAGE))).await;
            let answer = answer.unwrap_or_else(|error| panic!("{method}: {error}"));
            assert_eq!(answer.status(), 200, "{method}");
            assert_eq!(answer.header("content-type"), "application/grpc");
            if status == "0" {
                assert_eq!(answer.trailer("grpc-status"), "0", "{method}");
                assert_eq!(answer.trailer("x-trailer"), "kept");
                assert_eq!(answer.header("x-method"), method);
                assert_eq!(answer.header("x-filtered"), "yes");
                assert_eq!(answer.body, MESSAGE);
            } else {
                assert_eq!(answer.header("grpc-status"), status, "{method}");
                assert!(!answer.header("grpc-message").is_empty(), "{method}");
            }
        }
    }
}

/// Each message is answered before the next one is sent: nothing waits for the end of either stream.
#[tokio::test]
async fn messages_stream_both_ways_at_once() {
    let pod = Pod::grpc().await;
    let (clear, secure) = (free_port(), free_port());
    let identity = Identity::new(&[HOST]);
    let conf = Conf::new();
    conf.write("site.yaml", &site(clear, secure, pod.port));
    conf.write("secret.yaml", &identity.secret("cert"));
    let _agent = Agent::start(&conf);

    let Client::Http2(mut sender) = Client::http2(tcp(clear).await).await else {
        panic!("a client for HTTP/2");
    };
    let (messages, receiver) = mpsc::channel::<Bytes>(1);
    let frames = futures_util::stream::unfold(receiver, async |mut receiver| {
        let message = receiver.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(message)), receiver))
    });
    let url = format!("http://{HOST}/shop.Orders/Get");
    let request = call(&url, BodyExt::boxed(StreamBody::new(Box::pin(frames))));
    let answer = in_time(sender.send_request(request)).await;
    let mut body = answer.expect("an answer").into_body();
    for number in 0..10_u8 {
        let message = Bytes::from(vec![0, 0, 0, 0, 1, number]);
        messages.send(message.clone()).await.expect("a stream");
        let frame = in_time(body.frame()).await.expect("a frame");
        assert_eq!(frame.expect("no error").into_data().expect("data"), message);
    }
    drop(messages);
    let last = in_time(body.frame()).await.expect("a frame");
    let trailers = last.expect("no error").into_trailers().expect("trailers");
    assert_eq!(trailers["grpc-status"], "0");
}

fn call(path: &str, body: Sent) -> Request<Sent> {
    Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .expect("a request")
}

fn site(clear: u16, secure: u16, pod: u16) -> String {
    let certificate = json!({"certificateRefs": [{"name": "cert"}]});
    let listeners = json!([
        {"name": "web", "port": clear, "protocol": "HTTP"},
        {"name": "tls", "port": secure, "protocol": "HTTPS", "tls": certificate},
    ]);
    let method = |kind: &str, service: &str, method: Option<&str>| json!({"method": {"type": kind, "service": service, "method": method}});
    let set = json!([{"name": "x-filtered", "value": "yes"}]);
    let filter = json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": set}});
    let to = |service: &str, matches: Value| {
        json!({
            "matches": [matches], "filters": [filter],
            "backendRefs": [{"name": service, "port": 80}]
        })
    };
    let rules = json!([
        to("calls", method("Exact", "shop.Orders", Some("Get"))),
        to(
            "calls",
            method("RegularExpression", "shop\\.v[0-9]+\\.Orders", None)
        ),
        to("empty", method("Exact", "shop.Empty", None)),
        to("gone", method("Exact", "shop.Gone", None)),
    ]);
    let mut objects = gateway(listeners, json!({})).to_vec();
    objects.push(route("GRPCRoute", "calls", &[HOST], rules));
    objects.extend(service("calls", None, &[pod]));
    objects.extend(service("empty", None, &[]));
    file(objects)
}
