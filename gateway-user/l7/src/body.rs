//! What clients are sent: a text of the proxy's own, or an endpoint's body as it comes. Nothing is boxed.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::grpc_web::Form;
use crate::in_flight::InFlight;
use crate::upstream::Lease;

/// Why an answer ends before it is whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CutOff {
    #[error("the endpoint broke off")]
    Upstream(#[source] hyper::Error),
    #[error("the rule's time is over")]
    TimedOut,
}

/// What is sent to a client. The request counts as in flight until this is dropped.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    content: Content,
    /// None: somebody else keeps it.
    _in_flight: Option<InFlight>,
}

#[derive(Debug)]
enum Content {
    Text(Option<Bytes>),
    Upstream {
        incoming: Incoming,
        /// The connection that the body comes from, given back at its end.
        lease: Option<Lease>,
        /// When the rest must have come.
        until: Option<Pin<Box<Sleep>>>,
        /// How it is written for a client of gRPC-Web.
        web: Option<Form>,
    },
}

impl ResponseBody {
    /// A text of the proxy's own.
    pub(crate) fn text(text: &'static str, in_flight: InFlight) -> Self {
        Self {
            content: Content::Text(Some(Bytes::from_static(text.as_bytes()))),
            _in_flight: Some(in_flight),
        }
    }

    /// A text of somebody else's.
    pub(crate) fn bytes(bytes: Bytes, in_flight: InFlight) -> Self {
        Self {
            content: Content::Text(Some(bytes).filter(|bytes| !bytes.is_empty())),
            _in_flight: Some(in_flight),
        }
    }

    /// Nothing.
    pub(crate) fn empty(in_flight: InFlight) -> Self {
        Self {
            content: Content::Text(None),
            _in_flight: Some(in_flight),
        }
    }

    /// No body: what follows on the connection is not HTTP.
    pub(crate) fn switched() -> Self {
        Self {
            content: Content::Text(None),
            _in_flight: None,
        }
    }

    /// An endpoint's body.
    pub(crate) fn upstream(
        incoming: Incoming,
        lease: Lease,
        until: Option<Instant>,
        web: Option<Form>,
        in_flight: InFlight,
    ) -> Self {
        let mut lease = Some(lease);
        if incoming.is_end_stream() {
            give_back(&mut lease);
        }
        Self {
            content: Content::Upstream {
                incoming,
                lease,
                until: until.map(|until| Box::pin(sleep_until(until))),
                web,
            },
            _in_flight: Some(in_flight),
        }
    }
}

/// Writes a frame for a client of gRPC-Web.
fn rewrite(form: Form, frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_data() {
        Ok(data) => Frame::data(form.data(data)),
        Err(frame) => match frame.into_trailers() {
            Ok(trailers) => Frame::data(form.trailers(&trailers)),
            Err(frame) => frame,
        },
    }
}

fn give_back(lease: &mut Option<Lease>) {
    if let Some(lease) = lease.take() {
        lease.give_back();
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match &mut self.get_mut().content {
            Content::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Content::Upstream {
                incoming,
                lease,
                until,
                web,
            } => {
                let mut frame = Pin::new(&mut *incoming).poll_frame(cx);
                if frame.is_pending()
                    && let Some(lease) = lease
                {
                    // Nobody else polls the connection that the bytes come from.
                    lease.drive(cx);
                    frame = Pin::new(&mut *incoming).poll_frame(cx);
                }
                if frame.is_pending()
                    && let Some(until) = until
                    && until.as_mut().poll(cx).is_ready()
                {
                    // The status is sent already: all that can be said is that the answer is not whole.
                    return Poll::Ready(Some(Err(CutOff::TimedOut)));
                }
                let frame = ready!(frame);
                if frame.is_none() || incoming.is_end_stream() {
                    give_back(lease);
                }
                let frame = frame.map(|frame| frame.map_err(CutOff::Upstream));
                Poll::Ready(match web {
                    None => frame,
                    Some(form) => frame.map(|frame| frame.map(|frame| rewrite(*form, frame))),
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Text(text) => text.is_none(),
            Content::Upstream { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Text(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Content::Upstream {
                incoming,
                web: None,
                ..
            } => incoming.size_hint(),
            Content::Upstream { web: Some(_), .. } => SizeHint::default(),
        }
    }
}
