//! What endpoints are sent: the client's body as it comes, kept to be sent again where a rule asks for that, and
//! copied to mirrors.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::future::poll_fn;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::grpc_web::{Decoder, NotBase64};
use crate::refusal::Refusal;

/// What a mirror may be behind the client: above it, its copy breaks off.
const COPY_BYTES_MAX: usize = 256 * 1024;
const COPY_FRAMES_MAX: usize = 64;

/// The text of the refusal of a request whose body did not come to its end.
pub(super) const BROKEN_OFF: &str = "the request body broke off\n";

/// What is sent to an endpoint.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// Nothing: the request can be sent again.
    Empty,
    /// The client's body as it comes.
    Streamed(Source),
    /// The client's body, kept for another try.
    Kept(Kept),
    /// A body that is here as a whole, and can be sent again.
    Whole(Whole),
    /// What a mirror gets.
    Copied(Copied),
}

/// A body that is here as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pieces: Arc<[Piece]>,
    position: usize,
}

/// Why a body breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the client's body broke off")]
    Client(#[from] hyper::Error),
    #[error("the client's body has another form than its head says")]
    Form(#[from] NotBase64),
    #[error("the body goes to another try")]
    Superseded,
    #[error("the mirror was too slow, or the client's body broke off")]
    CopyLost,
}

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl RequestBody {
    pub(crate) fn new(incoming: Incoming) -> Self {
        if incoming.is_end_stream() {
            Self::Empty
        } else {
            Self::Streamed(Source {
                incoming,
                decoder: None,
                copies: Vec::new(),
            })
        }
    }

    /// The same body, if it is base64, as the bytes that it stands for.
    pub(crate) fn decoded(self) -> Result<Self, NotBase64> {
        match self {
            Self::Streamed(source) => Ok(Self::Streamed(Source {
                decoder: Some(Decoder::default()),
                ..source
            })),
            Self::Whole(whole) => {
                let mut decoder = Decoder::default();
                let pieces = whole.pieces.iter().map(|piece| match piece {
                    Piece::Data(data) => decoder.decode(data).map(Piece::Data),
                    Piece::Trailers(_) | Piece::End => Ok(piece.clone()),
                });
                let pieces = pieces.collect::<Result<_, _>>()?;
                let whole = Self::Whole(Whole { pieces, ..whole });
                decoder.is_at_end().then_some(whole).ok_or(NotBase64)
            }
            Self::Empty | Self::Kept(_) | Self::Copied(_) => Ok(self),
        }
    }

    /// A body of these bytes.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        Self::Whole(Whole {
            pieces: Arc::new([Piece::Data(bytes)]),
            position: 0,
        })
    }

    /// Waits for the whole body, which may not be longer than this, and keeps it.
    pub(crate) async fn collect(&mut self, bytes_max: usize) -> Result<Bytes, Refusal> {
        let Self::Streamed(source) = self else {
            return Ok(Bytes::new());
        };
        if source.incoming.size_hint().lower() > bytes_max as u64 {
            return Err(Refusal::BodyTooLarge);
        }
        let mut bytes = BytesMut::new();
        let mut trailers = None;
        while let Some(frame) = poll_fn(|cx| source.poll(cx)).await {
            let frame = frame.map_err(|_broken| Refusal::Malformed(BROKEN_OFF))?;
            match frame.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
            if bytes.len() > bytes_max {
                return Err(Refusal::BodyTooLarge);
            }
        }
        let bytes = bytes.freeze();
        let data = Piece::Data(bytes.clone());
        let pieces = [data].into_iter().chain(trailers.map(Piece::Trailers));
        *self = Self::Whole(Whole {
            pieces: pieces.collect(),
            position: 0,
        });
        Ok(bytes)
    }

    /// A body that gets what this one gets, at its own pace.
    pub(crate) fn copy(&mut self) -> Self {
        match self {
            Self::Streamed(source) => {
                let (frames, receiver) = mpsc::channel(COPY_FRAMES_MAX);
                let behind = Arc::new(AtomicUsize::new(0));
                source.copies.push(Copier {
                    frames,
                    behind: Arc::clone(&behind),
                });
                Self::Copied(Copied {
                    frames: receiver,
                    behind,
                    ended: false,
                })
            }
            Self::Whole(whole) => Self::Whole(whole.clone()),
            Self::Empty | Self::Kept(_) | Self::Copied(_) => Self::Empty,
        }
    }

    /// Makes a body that can be sent again while it is not longer than the limit.
    pub(crate) fn keep(self, bytes_max: usize) -> Self {
        match self {
            Self::Streamed(source) => Self::Kept(Kept {
                shared: Arc::new(Mutex::new(Store {
                    source,
                    frames: Some(Vec::new()),
                    bytes_left: bytes_max,
                    ended: false,
                    turn: 0,
                })),
                turn: 0,
                position: 0,
            }),
            other @ (Self::Empty | Self::Kept(_) | Self::Whole(_) | Self::Copied(_)) => other,
        }
    }

    /// A body for another try, from the start; nothing if it is not there any more. It supersedes the one before.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Kept(kept) => Some(Self::Kept(Kept {
                shared: Arc::clone(&kept.shared),
                turn: kept.turn + 1,
                position: 0,
            })),
            Self::Whole(whole) => Some(Self::Whole(Whole {
                position: 0,
                ..whole.clone()
            })),
            Self::Streamed(_) | Self::Copied(_) => None,
        }
    }

    /// Whether the body can be sent from its start.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Self::Empty | Self::Streamed(_) | Self::Whole(_) | Self::Copied(_) => true,
            Self::Kept(kept) => kept.shared.lock().frames.is_some(),
        }
    }
}

impl Whole {
    fn next(&mut self) -> Option<Frame<Bytes>> {
        let piece = self.pieces.get(self.position)?;
        self.position += 1;
        piece.frame()
    }

    fn bytes_left(&self) -> u64 {
        let left = self.pieces.iter().skip(self.position);
        left.map(|piece| match piece {
            Piece::Data(data) => data.len() as u64,
            Piece::Trailers(_) | Piece::End => 0,
        })
        .sum()
    }
}

/// The client's body with the copies that are made of it.
#[derive(Debug)]
pub(crate) struct Source {
    incoming: Incoming,
    /// Of a body that is sent on in another form.
    decoder: Option<Decoder>,
    copies: Vec<Copier>,
}

impl Source {
    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        let frame = frame.map(|frame| frame.map_err(BodyError::from));
        let frame = self.read(frame).transpose();
        match &frame {
            Some(Ok(frame)) => self.copies.retain(|copier| copier.takes(frame)),
            Some(Err(_)) => self.copies.clear(),
            None => self.end_copies(),
        }
        if self.incoming.is_end_stream() {
            self.end_copies();
        }
        Poll::Ready(frame)
    }

    /// Decodes a frame where that is asked for.
    fn read(
        &mut self,
        frame: Option<Result<Frame<Bytes>, BodyError>>,
    ) -> Result<Option<Frame<Bytes>>, BodyError> {
        let frame = frame.transpose()?;
        let Some(decoder) = &mut self.decoder else {
            return Ok(frame);
        };
        let frame = match frame.map(Frame::into_data) {
            Some(Ok(data)) => Some(Frame::data(decoder.decode(&data)?)),
            Some(Err(other)) => Some(other),
            None => None,
        };
        if self.incoming.is_end_stream() && !decoder.is_at_end() {
            return Err(NotBase64.into());
        }
        Ok(frame)
    }

    fn size_hint(&self) -> SizeHint {
        match self.decoder {
            None => self.incoming.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }

    fn end_copies(&mut self) {
        for copier in self.copies.drain(..) {
            // A mirror that is gone does not matter.
            copier.frames.try_send(Piece::End).unwrap_or_default();
        }
    }
}

/// Hands frames to a mirror.
#[derive(Debug)]
struct Copier {
    frames: mpsc::Sender<Piece>,
    behind: Arc<AtomicUsize>,
}

#[derive(Clone, Debug)]
enum Piece {
    Data(Bytes),
    Trailers(http::HeaderMap),
    End,
}

impl Piece {
    fn frame(&self) -> Option<Frame<Bytes>> {
        match self {
            Self::Data(data) => Some(Frame::data(data.clone())),
            Self::Trailers(trailers) => Some(Frame::trailers(trailers.clone())),
            Self::End => None,
        }
    }
}

impl Copier {
    /// Whether the mirror keeps up.
    fn takes(&self, frame: &Frame<Bytes>) -> bool {
        let piece = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => {
                let before = self.behind.fetch_add(data.len(), Ordering::Relaxed);
                if before > COPY_BYTES_MAX {
                    return false;
                }
                Piece::Data(data.clone())
            }
            (None, Some(trailers)) => Piece::Trailers(trailers.clone()),
            (None, None) => return true,
        };
        self.frames.try_send(piece).is_ok()
    }
}

/// The body of a mirror's request.
#[derive(Debug)]
pub(crate) struct Copied {
    frames: mpsc::Receiver<Piece>,
    behind: Arc<AtomicUsize>,
    ended: bool,
}

impl Copied {
    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        if self.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.frames.poll_recv(cx)) {
            Some(Piece::Data(data)) => {
                self.behind.fetch_sub(data.len(), Ordering::Relaxed);
                Some(Ok(Frame::data(data)))
            }
            Some(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Piece::End) => {
                self.ended = true;
                None
            }
            None => Some(Err(BodyError::CopyLost)),
        })
    }
}

/// One try's view of a kept body.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Behind a lock because the engine asks for bodies that are `Send`; never contended.
    shared: Arc<Mutex<Store>>,
    turn: u32,
    position: usize,
}

#[derive(Debug)]
struct Store {
    source: Source,
    /// What has come so far; none: more than may be kept.
    frames: Option<Vec<Piece>>,
    bytes_left: usize,
    ended: bool,
    /// The try that the body goes to.
    turn: u32,
}

impl Kept {
    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        let mut store = self.shared.lock();
        if store.turn > self.turn {
            return Poll::Ready(Some(Err(BodyError::Superseded)));
        }
        store.turn = self.turn;
        if let Some(piece) = store
            .frames
            .as_ref()
            .and_then(|kept| kept.get(self.position))
        {
            let frame = piece.frame();
            self.position += 1;
            return Poll::Ready(frame.map(Ok));
        }
        if store.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(store.source.poll(cx));
        store.remember(&frame);
        self.position += 1;
        Poll::Ready(frame)
    }
}

impl Store {
    fn remember(&mut self, frame: &Option<Result<Frame<Bytes>, BodyError>>) {
        let piece = match frame {
            Some(Ok(frame)) => match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) if data.len() <= self.bytes_left => {
                    self.bytes_left -= data.len();
                    Some(Piece::Data(data.clone()))
                }
                (None, Some(trailers)) => Some(Piece::Trailers(trailers.clone())),
                (Some(_) | None, _) => None,
            },
            Some(Err(_)) => None,
            None => {
                self.ended = true;
                Some(Piece::End)
            }
        };
        match (piece, &mut self.frames) {
            (Some(piece), Some(frames)) => frames.push(piece),
            (None, _) => self.frames = None,
            (Some(_), None) => {}
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streamed(source) => source.poll(cx),
            Self::Kept(kept) => kept.poll(cx),
            Self::Whole(whole) => Poll::Ready(whole.next().map(Ok)),
            Self::Copied(copied) => copied.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed(source) => source.incoming.is_end_stream(),
            Self::Kept(kept) => {
                let store = kept.shared.lock();
                let kept_frames = store.frames.as_ref().map_or(0, Vec::len);
                store.ended && kept.position >= kept_frames
            }
            Self::Whole(whole) => whole.position >= whole.pieces.len(),
            Self::Copied(copied) => copied.ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed(source) => source.size_hint(),
            // The head says how long the body is; what is left to come is not what this try sends.
            Self::Kept(_) | Self::Copied(_) => SizeHint::default(),
            Self::Whole(whole) => SizeHint::with_exact(whole.bytes_left()),
        }
    }
}
