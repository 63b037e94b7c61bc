//! A pod: an HTTP server that answers with its own name.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// A running backend; its threads end with the process.
pub(crate) struct Backend {
    pub(crate) port: u16,
}

impl Backend {
    /// Answers every request at once.
    pub(crate) fn start(name: &'static str) -> Self {
        Self::serve(move |stream| answer(stream, name))
    }

    /// Says when a request has come, and answers it when it is told to.
    pub(crate) fn held(name: &'static str) -> (Self, Receiver<Sender<()>>) {
        let (arrived, arrivals) = channel();
        let backend = Self::serve(move |stream| {
            let (release, released) = channel();
            arrived.send(release).expect("the test waits");
            released.recv().expect("the test releases");
            answer(stream, name);
        });
        (backend, arrivals)
    }

    fn serve(reply: impl Fn(&mut TcpStream) + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let reply = reply.clone();
                thread::spawn(move || serve_connection(stream, reply));
            }
        });
        Self { port }
    }
}

fn serve_connection(mut stream: TcpStream, reply: impl Fn(&mut TcpStream)) {
    let mut lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
    // The requests of these tests have no body: an empty line ends each.
    while lines
        .by_ref()
        .any(|line| line.is_ok_and(|line| line.is_empty()))
    {
        reply(&mut stream);
    }
}

fn answer(stream: &mut TcpStream, name: &str) {
    let length = name.len();
    // The proxy may have gone away.
    drop(write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{name}"
    ));
}
