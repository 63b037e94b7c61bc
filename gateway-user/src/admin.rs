//! The admin server: health, metrics and the state of the process, read-only.
//!
//! It runs on a thread of its own, so that it answers also when the proxy's workers are busy.

mod pages;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Notify, Semaphore};
use tracing::{debug, info};

pub(crate) use self::pages::Pages;
use crate::board::Board;

/// Connections at the same time; a scraper needs one.
const CONNECTIONS_MAX: usize = 64;
/// How long a client may take to send a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// A running server. It ends with the process, or when it is told to.
#[derive(Debug)]
pub(crate) struct Admin {
    listener: TcpListener,
    stop: Arc<Notify>,
}

/// Serves pages at an address: on a socket that was opened for it before, if there is one.
///
/// # Errors
/// When the address cannot be bound: another process has it, or it is not of this machine.
pub(crate) fn start(
    address: SocketAddr,
    opened: &[TcpListener],
    pages: Pages,
    board: Arc<Board>,
) -> anyhow::Result<Admin> {
    let flag = match pages {
        Pages::All => "--admin",
        Pages::Monitoring => "--metrics",
    };
    let mut opened = opened.iter();
    let listener = match opened.find(|it| it.local_addr().is_ok_and(|it| it == address)) {
        Some(opened) => opened.try_clone()?,
        None => TcpListener::bind(address)
            .with_context(|| format!("cannot listen on {address}; choose another with {flag}"))?,
    };
    listener.set_nonblocking(true)?;
    let admin = Admin {
        listener: listener.try_clone()?,
        stop: Arc::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    info!(address = %listener.local_addr()?, flag, "admin server listens");
    let stop = Arc::clone(&admin.stop);
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            if let Err(error) = runtime.block_on(serve(listener, stop, pages, board)) {
                tracing::error!(%error, flag, "admin server has ended");
            }
        })?;
    Ok(admin)
}

impl Admin {
    /// The socket, for another process to serve.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub(crate) fn socket(&self) -> io::Result<OwnedFd> {
        Ok(self.listener.try_clone()?.into())
    }

    /// Accepts no connection any more; those that are open are served.
    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }
}

async fn serve(
    listener: TcpListener,
    stop: Arc<Notify>,
    pages: Pages,
    board: Arc<Board>,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await?;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.notified() => break,
        };
        let stream = match accepted {
            Ok((stream, _peer)) => stream,
            Err(error) => {
                // Out of file descriptors, mostly; the next attempt may find one.
                debug!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let board = Arc::clone(&board);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let response = pages::respond(pages, &board, &request);
                std::future::ready(Ok::<_, std::convert::Infallible>(response))
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = served.await {
                debug!(%error, "admin connection ended early");
            }
            drop(slot);
        });
    }
    drop(listener);
    // Who was let in is answered.
    let all = u32::try_from(CONNECTIONS_MAX)?;
    drop(slots.acquire_many(all).await?);
    Ok(())
}
