//! Servers that speak Envoy's `ext_authz` (`envoy.service.auth.v3.Authorization`; Gateway API: `GRPCAuthConfig`).
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/external_auth.proto>

use std::net::SocketAddr;

use bytes::Bytes;
use gateway_ir::Listing;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};

use super::protobuf::{Message, Value, fields};
use super::{Denial, Edit, Facts, Grant, Mode, Verdict, is_writable};
use crate::refusal::Refusal;

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// The longest answer that is read.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Flag and length in front of a message (gRPC over HTTP/2, "Length-Prefixed-Message").
const PREFIX_BYTES: usize = 5;

/// A `CheckRequest`.
pub(super) fn question(
    head: &Parts,
    facts: &Facts<'_>,
    listed: &Listing<HeaderName>,
) -> Result<(Parts, Bytes), Refusal> {
    let session = Message::default().bytes(1, facts.server_name.unwrap_or_default());
    let mut attributes = Message::default()
        .message(1, peer(facts.peer))
        .message(2, peer(facts.local))
        .message(
            4,
            Message::default().message(2, http_request(head, facts, listed)),
        );
    if facts.scheme == "https" {
        attributes = attributes.message(12, session);
    }
    let message = Message::default().message(1, attributes).into_bytes();
    let length = u32::try_from(message.len()).map_err(|_huge| Refusal::AuthorizationFailed)?;
    let mut body = vec![0];
    body.extend(length.to_be_bytes());
    body.extend(message);
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(CHECK);
    let headers = request.headers_mut();
    if let Some(host) = head.headers.get(header::HOST) {
        headers.insert(header::HOST, host.clone());
    }
    let grpc = HeaderValue::from_static("application/grpc");
    headers.insert(header::CONTENT_TYPE, grpc);
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    Ok((request.into_parts().0, Bytes::from(body)))
}

/// An `AttributeContext.Peer`.
fn peer(address: SocketAddr) -> Message {
    let socket = Message::default()
        .bytes(2, address.ip().to_canonical().to_string())
        .number(3, address.port().into());
    let address = Message::default().message(1, socket);
    Message::default().message(1, address)
}

/// An `AttributeContext.HttpRequest`.
fn http_request(head: &Parts, facts: &Facts<'_>, listed: &Listing<HeaderName>) -> Message {
    let text = |name: &HeaderName| joined(&head.headers, name);
    let request_id = HeaderName::from_static("x-request-id");
    let mut message = Message::default()
        .bytes(1, text(&request_id))
        .bytes(2, head.method.as_str());
    for name in head.headers.keys() {
        let is_sent = match listed {
            Listing::Any => true,
            Listing::These(names) => names.contains(name),
        };
        if is_sent {
            let entry = Message::default()
                .bytes(1, name.as_str())
                .bytes(2, text(name));
            message = message.message(3, entry);
        }
    }
    let size = facts.body.as_ref().map_or(0, Bytes::len);
    let message = message
        .bytes(4, facts.target.as_str())
        .bytes(5, text(&header::HOST))
        .bytes(6, facts.scheme)
        .number(9, size as u64)
        .bytes(10, format!("{:?}", head.version));
    match &facts.body {
        None => message,
        // A string must be UTF-8; what is not goes as `raw_body`.
        Some(body) if std::str::from_utf8(body).is_ok() => message.bytes(11, body),
        Some(body) => message.bytes(12, body),
    }
}

/// The values of a header as one list; what is not text is not sent.
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter();
    let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

/// Reads the body of an answer: one `CheckResponse`.
pub(super) fn verdict(body: &[u8]) -> Result<Verdict, Refusal> {
    read(body).ok_or(Refusal::AuthorizationFailed)
}

fn read(body: &[u8]) -> Option<Verdict> {
    let (prefix, message) = body.split_at_checked(PREFIX_BYTES)?;
    let [0, length @ ..] = prefix else {
        // Compressed, which was not offered.
        return None;
    };
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if usize::try_from(length).ok()? != message.len() {
        return None;
    }
    let mut code = 0;
    let mut denied = None;
    let mut granted = None;
    for (field, value) in fields(message)? {
        match (field, value) {
            (1, Value::Bytes(status)) => code = status_code(status)?,
            (2, Value::Bytes(response)) => denied = Some(denial(response)?),
            (3, Value::Bytes(response)) => granted = Some(grant(response)?),
            _unused => {}
        }
    }
    Some(if code == 0 {
        Verdict::Granted(granted.unwrap_or_default())
    } else {
        Verdict::Denied(denied.unwrap_or_else(Denial::forbidden))
    })
}

/// `google.rpc.Status.code`.
fn status_code(status: &[u8]) -> Option<u64> {
    let mut code = 0;
    for (field, value) in fields(status)? {
        if let (1, Value::Number(number)) = (field, value) {
            code = number;
        }
    }
    Some(code)
}

/// An `OkHttpResponse`.
fn grant(response: &[u8]) -> Option<Grant> {
    let mut grant = Grant::default();
    for (field, value) in fields(response)? {
        match (field, value) {
            (2, Value::Bytes(option)) => grant.edits.extend(edit(option, Mode::Set)?),
            (5, Value::Bytes(name)) => {
                let name = HeaderName::from_bytes(name).ok();
                grant.remove.extend(name.filter(is_writable));
            }
            (6, Value::Bytes(option)) => grant.response.extend(edit(option, Mode::Append)?),
            _unused => {}
        }
    }
    Some(grant)
}

/// A `DeniedHttpResponse`.
fn denial(response: &[u8]) -> Option<Denial> {
    let mut denial = Denial::forbidden();
    for (field, value) in fields(response)? {
        match (field, value) {
            (1, Value::Bytes(status)) => denial.status = http_status(status)?,
            (2, Value::Bytes(option)) => {
                super::write(edit(option, Mode::Set)?.as_slice(), &mut denial.headers)
            }
            (3, Value::Bytes(body)) => denial.body = Bytes::copy_from_slice(body),
            _unused => {}
        }
    }
    Some(denial)
}

impl Denial {
    /// What a server says that says no more.
    pub(crate) fn forbidden() -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }
}

/// `envoy.type.v3.HttpStatus.code`; a status that would look like a yes is none.
fn http_status(status: &[u8]) -> Option<StatusCode> {
    let code = u16::try_from(status_code(status)?).ok();
    let status = code.and_then(|code| StatusCode::from_u16(code).ok());
    let is_refusal = |it: &StatusCode| it.as_u16() >= 300;
    Some(status.filter(is_refusal).unwrap_or(StatusCode::FORBIDDEN))
}

/// A `HeaderValueOption`: a header, and what becomes of values that are there. Nothing in a list: a header that is not
/// the server's to write.
fn edit(option: &[u8], default: Mode) -> Option<Vec<Edit>> {
    let mut header = None;
    let mut mode = default;
    for (field, value) in fields(option)? {
        match (field, value) {
            (1, Value::Bytes(bytes)) => header = Some(header_value(bytes)?),
            (2, Value::Bytes(append)) => {
                mode = match status_code(append)? {
                    0 => Mode::Set,
                    _true => Mode::Append,
                };
            }
            (3, Value::Number(1)) => mode = Mode::AddIfAbsent,
            (3, Value::Number(2)) => mode = Mode::Set,
            (3, Value::Number(3)) => mode = Mode::SetIfPresent,
            _unused => {}
        }
    }
    let (name, value) = header?;
    let edit = Edit { name, value, mode };
    Some(if is_writable(&edit.name) {
        vec![edit]
    } else {
        Vec::new()
    })
}

/// A `HeaderValue`.
fn header_value(bytes: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let mut name = None;
    let mut value: &[u8] = b"";
    for field in fields(bytes)? {
        match field {
            (1, Value::Bytes(key)) => name = HeaderName::from_bytes(key).ok(),
            (2 | 3, Value::Bytes(text)) if !text.is_empty() => value = text,
            _unused => {}
        }
    }
    Some((name?, HeaderValue::from_bytes(value).ok()?))
}

#[cfg(test)]
mod tests;
