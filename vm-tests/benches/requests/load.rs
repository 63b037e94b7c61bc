//! Client and backend in one single-threaded process: both ends of the proxy under test.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

const REQUEST: &[u8] =
    b"GET /bench/item HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 34\r\n\r\nthirty-four bytes of plain content";

/// The load generator.
pub(crate) struct Load {
    runtime: Runtime,
    tasks: LocalSet,
    backend: SocketAddr,
    connections: usize,
}

/// What one run did.
pub(crate) struct Done {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
}

impl Load {
    /// Starts the backend; the client side runs in [`Load::drive`].
    pub(crate) fn start(connections: usize) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let tasks = LocalSet::new();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let backend = listener.local_addr()?;
        tasks.spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(answer(stream));
            }
        });
        Ok(Self {
            runtime,
            tasks,
            backend,
            connections,
        })
    }

    /// Where the proxies find their backend.
    pub(crate) fn backend(&self) -> SocketAddr {
        self.backend
    }

    /// Sends requests through a proxy on all connections for a time.
    pub(crate) fn drive(&mut self, proxy: SocketAddr, time: Duration) -> anyhow::Result<Done> {
        let connections = self.connections;
        self.tasks.block_on(&self.runtime, async move {
            let requests = Rc::new(Cell::new(0_u64));
            let start = Instant::now();
            let end = start + time;
            let clients: Vec<_> = (0..connections)
                .map(|_| tokio::task::spawn_local(request(proxy, end, Rc::clone(&requests))))
                .collect();
            for client in clients {
                client.await.context("a client ended early")??;
            }
            Ok(Done {
                requests: requests.get(),
                elapsed: start.elapsed(),
            })
        })
    }
}

async fn answer(mut stream: TcpStream) {
    let mut buffer = vec![0; 8 * 1024];
    let mut filled = 0;
    while let Ok(read) = stream.read(&mut buffer[filled..]).await {
        filled += read;
        if read == 0 || filled == buffer.len() {
            return;
        }
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            filled = 0;
            if stream.write_all(RESPONSE).await.is_err() {
                return;
            }
        }
    }
}

async fn request(proxy: SocketAddr, end: Instant, requests: Rc<Cell<u64>>) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(proxy).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 8 * 1024];
    while Instant::now() < end {
        stream.write_all(REQUEST).await?;
        let mut filled = 0;
        while !buffer[..filled].ends_with(b"thirty-four bytes of plain content") {
            let read = stream.read(&mut buffer[filled..]).await?;
            anyhow::ensure!(
                read > 0,
                "the proxy closed: {}",
                String::from_utf8_lossy(&buffer[..filled])
            );
            filled += read;
        }
        anyhow::ensure!(
            buffer.starts_with(b"HTTP/1.1 200"),
            "not a 200: {}",
            String::from_utf8_lossy(&buffer[..filled])
        );
        requests.set(requests.get() + 1);
    }
    Ok(())
}
