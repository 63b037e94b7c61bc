//! What a worker knows of a client connection: the phase that its deadline depends on, and the signal to end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use gateway_ir::ProxySettings;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::Clock;

const HANDSHAKE: u8 = 0;
const HEAD: u8 = 1;
const IDLE: u8 = 2;
const ACTIVE: u8 = 3;

const RUN: u8 = 0;
const FINISH: u8 = 1;
const DRAIN: u8 = 2;
const KILL: u8 = 3;

/// What the worker asks a connection to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Go on.
    Run,
    /// Take one request more, and end with its answer.
    Finish,
    /// Finish the requests in flight and take no new ones.
    Drain,
    /// End now.
    Kill,
}

/// The state of one client connection. Only its own worker writes it; atomics make it `Send`, as the engine asks of IO.
#[derive(Debug)]
pub(crate) struct Tracker {
    clock: Arc<Clock>,
    phase: AtomicU8,
    since_ms: AtomicU64,
    in_flight: AtomicU32,
    multiplexed: AtomicBool,
    signal: AtomicU8,
    waker: AtomicWaker,
    /// The bytes of the HTTP/1.1 head that is being received.
    head: Mutex<Vec<u8>>,
}

impl Tracker {
    /// A connection that was just accepted.
    pub(crate) fn new(clock: Arc<Clock>) -> Self {
        Self {
            phase: AtomicU8::new(HEAD),
            since_ms: AtomicU64::new(clock.now_ms()),
            in_flight: AtomicU32::new(0),
            multiplexed: AtomicBool::new(false),
            signal: AtomicU8::new(RUN),
            waker: AtomicWaker::new(),
            head: Mutex::default(),
            clock,
        }
    }

    /// The TLS handshake begins.
    pub(crate) fn handshake_started(&self) {
        self.enter(HANDSHAKE);
    }

    /// The TLS handshake is done; a request head must follow.
    pub(crate) fn handshake_finished(&self) {
        self.enter(HEAD);
    }

    /// The engine speaks HTTP/2: bytes without a request are not the start of one.
    pub(crate) fn is_multiplexed(&self) {
        self.multiplexed.store(true, Ordering::Relaxed);
        if self.signal.load(Ordering::Relaxed) != RUN {
            // Such a connection ends by a message of its own.
            self.waker.wake();
        }
    }

    /// A request head is complete.
    pub(crate) fn request_started(&self) {
        // A single writer needs no read-modify-write instruction.
        let before = self.in_flight.load(Ordering::Relaxed);
        self.in_flight.store(before + 1, Ordering::Relaxed);
        self.phase.store(ACTIVE, Ordering::Relaxed);
    }

    /// A response is complete, or given up.
    pub(crate) fn request_finished(&self) {
        let left = self.in_flight.load(Ordering::Relaxed).saturating_sub(1);
        self.in_flight.store(left, Ordering::Relaxed);
        if left == 0 {
            self.enter(IDLE);
        }
    }

    /// Bytes came from the client.
    fn received(&self, bytes: &[u8]) {
        if self.multiplexed.load(Ordering::Relaxed) {
            return;
        }
        match self.phase.load(Ordering::Relaxed) {
            IDLE => {
                self.enter(HEAD);
                let mut head = self.head.lock();
                head.clear();
                head.extend_from_slice(bytes);
            }
            HEAD => self.head.lock().extend_from_slice(bytes),
            _body => {}
        }
    }

    /// Whether the head of the request that just started had a `Content-Length` line. The engine drops that line when
    /// there is a `Transfer-Encoding` too, and so hides that the message is framed twice. Heads that were received
    /// together with an earlier request are not known here; for them the engine's reading stands, which is safe: it
    /// takes the coding, sends no length on, and closes the connection.
    pub(crate) fn head_has_content_length(&self) -> bool {
        const NAME: &[u8] = b"content-length";
        let head = self.head.lock();
        let lines = head.split(|byte| *byte == b'\n').skip(1);
        lines
            .take_while(|line| !matches!(line, [] | [b'\r']))
            .filter_map(|line| line.get(..NAME.len()))
            .any(|name| name.eq_ignore_ascii_case(NAME))
    }

    /// Whether the deadline of the present phase is over.
    pub(crate) fn is_expired(&self, settings: &ProxySettings) -> bool {
        let limit = match self.phase.load(Ordering::Relaxed) {
            HANDSHAKE => settings.tls_handshake_timeout,
            HEAD => settings.header_timeout,
            IDLE => settings.idle_timeout,
            _active => return false,
        };
        self.clock
            .is_past(self.since_ms.load(Ordering::Relaxed), limit)
    }

    /// Whether an answer is under way, or its request, or the first one is still to come.
    pub(crate) fn is_busy(&self) -> bool {
        self.phase.load(Ordering::Relaxed) != IDLE
    }

    /// Whether the connection is to end with the next answer.
    pub(crate) fn is_finishing(&self) -> bool {
        self.signal.load(Ordering::Relaxed) == FINISH
    }

    /// Whether the engine is to be told now that the connection ends. HTTP/1.1 is told by the answer: an idle connection
    /// that closes may meet the next request of its client, who then cannot know whether it was served.
    pub(crate) fn is_to_close(&self, signal: Signal) -> bool {
        match signal {
            Signal::Run => false,
            Signal::Finish => self.multiplexed.load(Ordering::Relaxed),
            Signal::Drain | Signal::Kill => true,
        }
    }

    /// Asks the connection to do something; a stronger signal stays.
    pub(crate) fn signal(&self, signal: Signal) {
        let level = match signal {
            Signal::Run => RUN,
            Signal::Finish => FINISH,
            Signal::Drain => DRAIN,
            Signal::Kill => KILL,
        };
        self.signal.fetch_max(level, Ordering::Relaxed);
        self.waker.wake();
    }

    /// What the connection is asked to do; the task is woken when that changes.
    pub(crate) fn poll_signal(&self, cx: &Context<'_>) -> Signal {
        self.waker.register(cx.waker());
        match self.signal.load(Ordering::Relaxed) {
            RUN => Signal::Run,
            FINISH => Signal::Finish,
            DRAIN => Signal::Drain,
            _kill => Signal::Kill,
        }
    }

    fn enter(&self, phase: u8) {
        self.phase.store(phase, Ordering::Relaxed);
        self.since_ms.store(self.clock.now_ms(), Ordering::Relaxed);
    }
}

/// A stream that tells its tracker when bytes arrive.
#[derive(Debug)]
pub(crate) struct Tracked<S> {
    stream: S,
    tracker: Arc<Tracker>,
}

impl<S> Tracked<S> {
    pub(crate) fn new(stream: S, tracker: Arc<Tracker>) -> Self {
        Self { stream, tracker }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tracked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Some(bytes) = buffer
            .filled()
            .get(before..)
            .filter(|bytes| !bytes.is_empty())
        {
            self.tracker.received(bytes);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tracked<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
