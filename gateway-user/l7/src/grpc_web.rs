//! gRPC-Web (gRPC, "PROTOCOL-WEB"): calls as browsers can make them, taken for gRPC by endpoints. What HTTP/2 says in
//! trailers is the last frame of the body there, and the text form is all of it in base64.

mod base64;

use bytes::{BufMut, Bytes, BytesMut};
use gateway_ir::{GrpcWeb, ProxySettings};
use http::{HeaderMap, HeaderValue, header};

pub(crate) use base64::{Decoder, NotBase64};

const WEB: &str = "application/grpc-web";
const TEXT: &str = "application/grpc-web-text";
const GRPC: &str = "application/grpc";
/// The flag of the frame with the trailers.
const TRAILERS: u8 = 0x80;

/// How the body of a call or of its answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Binary,
    Text,
}

/// A call in gRPC-Web.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    request: Form,
    answer: Form,
}

impl Call {
    /// Reads whether a request is such a call, on ports that take them.
    pub(crate) fn of(headers: &HeaderMap, settings: &ProxySettings) -> Option<Self> {
        match settings.grpc_web {
            GrpcWeb::PassedThrough => return None,
            GrpcWeb::Translated => {}
        }
        let request = form(headers.get(header::CONTENT_TYPE)?.to_str().ok()?)?;
        let accepted = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
        Some(Self {
            request,
            // A client that takes anything is taken to want what it sends.
            answer: accepted.and_then(form).unwrap_or(request),
        })
    }

    /// The form of the body that came.
    pub(crate) fn request(self) -> Form {
        self.request
    }

    /// The form of the answer.
    pub(crate) fn answer(self) -> Form {
        self.answer
    }

    /// Makes the head for an endpoint that speaks gRPC.
    pub(crate) fn edit_request(self, headers: &mut HeaderMap) {
        replace_type(headers, |kind| {
            let message = kind.strip_prefix(TEXT).or(kind.strip_prefix(WEB));
            message.map(|message| format!("{GRPC}{message}"))
        });
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        if self.request == Form::Text {
            headers.remove(header::CONTENT_LENGTH);
        }
    }

    /// Makes the head for the client out of the endpoint's; tells whether the body has to be written anew.
    pub(crate) fn edit_answer(self, headers: &mut HeaderMap) -> Option<Form> {
        let name = self.answer.content_type();
        let replaced = replace_type(headers, |kind| {
            let message = kind.strip_prefix(GRPC)?;
            let is_grpc = message.is_empty() || message.starts_with(['+', ';']);
            is_grpc.then(|| format!("{name}{message}"))
        });
        replaced?;
        headers.remove(header::CONTENT_LENGTH);
        Some(self.answer)
    }
}

impl Form {
    /// The content type, without the format of messages.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Binary => WEB,
            Self::Text => TEXT,
        }
    }

    /// Bytes of the body.
    pub(crate) fn data(self, bytes: Bytes) -> Bytes {
        match self {
            Self::Binary => bytes,
            Self::Text => base64::encode(&bytes),
        }
    }

    /// The frame that stands for the trailers.
    pub(crate) fn trailers(self, trailers: &HeaderMap) -> Bytes {
        let mut lines = Vec::new();
        for (name, value) in trailers {
            lines.extend_from_slice(name.as_str().as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value.as_bytes());
            lines.extend_from_slice(b"\r\n");
        }
        let mut frame = BytesMut::with_capacity(5 + lines.len());
        frame.put_u8(TRAILERS);
        // The engine takes no trailers of 4 GiB.
        frame.put_u32(u32::try_from(lines.len()).unwrap_or_default());
        frame.extend_from_slice(&lines);
        self.data(frame.freeze())
    }
}

/// The form that a content type names, whatever the format of messages.
fn form(kind: &str) -> Option<Form> {
    let is_kind = |name: &str| {
        let rest = kind.strip_prefix(name)?;
        (rest.is_empty() || rest.starts_with(['+', ';', ','])).then_some(())
    };
    let text = is_kind(TEXT).map(|()| Form::Text);
    text.or_else(|| is_kind(WEB).map(|()| Form::Binary))
}

/// Puts another content type in the place of one; nothing if it is none to be replaced.
fn replace_type(headers: &mut HeaderMap, with: impl Fn(&str) -> Option<String>) -> Option<()> {
    let kind = headers.get_mut(header::CONTENT_TYPE)?;
    *kind = HeaderValue::try_from(with(kind.to_str().ok()?)?).ok()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_its_content_type_where_it_is_translated() {
        use Form::{Binary, Text};
        for (kind, accept, expected) in [
            ("application/grpc-web", None, Some((Binary, Binary))),
            (
                "application/grpc-web+proto",
                Some("*/*"),
                Some((Binary, Binary)),
            ),
            ("application/grpc-web-text", None, Some((Text, Text))),
            (
                "application/grpc-web-text+proto",
                Some("application/grpc-web+proto"),
                Some((Text, Binary)),
            ),
            (
                "application/grpc-web;x=y",
                Some("application/grpc-web-text, */*"),
                Some((Binary, Text)),
            ),
            ("application/grpc", None, None),
            ("application/grpc+proto", None, None),
            ("application/grpc-webby", None, None),
            ("text/plain", None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            }
            let settings = |grpc_web| ProxySettings {
                grpc_web,
                ..ProxySettings::default()
            };
            let call = Call::of(&headers, &settings(GrpcWeb::Translated));
            let expected = expected.map(|(request, answer)| Call { request, answer });
            assert_eq!(call, expected, "{kind} {accept:?}");
            let call = Call::of(&headers, &settings(GrpcWeb::PassedThrough));
            assert_eq!(call, None);
        }
    }

    #[test]
    fn heads_keep_the_format_of_messages_both_ways() {
        let call = Call {
            request: Form::Text,
            answer: Form::Text,
        };
        let mut headers = HeaderMap::new();
        let kind = "application/grpc-web-text+proto;charset=x";
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("8"));
        call.edit_request(&mut headers);
        let grpc = "application/grpc+proto;charset=x";
        assert_eq!(headers[header::CONTENT_TYPE], grpc);
        assert_eq!(headers[header::TE], "trailers");
        assert!(!headers.contains_key(header::CONTENT_LENGTH));
        assert_eq!(call.edit_answer(&mut headers), Some(Form::Text));
        assert_eq!(headers[header::CONTENT_TYPE], kind);

        let html = HeaderValue::from_static("text/html");
        headers.insert(header::CONTENT_TYPE, html.clone());
        assert_eq!(call.edit_answer(&mut headers), None);
        assert_eq!(headers[header::CONTENT_TYPE], html);
    }

    /// PROTOCOL-WEB: the most significant bit of the flag marks trailers, which are lines in lower case.
    #[test]
    fn trailers_become_the_last_frame() {
        let mut trailers = HeaderMap::new();
        trailers.insert("Grpc-Status", HeaderValue::from_static("0"));
        trailers.append("x", HeaderValue::from_static("1"));
        let expected = b"\x80\0\0\0\x16grpc-status: 0\r\nx: 1\r\n";
        assert_eq!(Form::Binary.trailers(&trailers), expected.as_slice());
        let text = Form::Text.trailers(&trailers);
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode(&text).expect("base64"), expected.as_slice());
    }
}
