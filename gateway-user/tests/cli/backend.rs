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
        Self::serve(move |stream, _head| answer(stream, name, name))
    }

    /// Answers every request with its name, and in the body with the target and the host that it got.
    pub(crate) fn echo(name: &'static str) -> Self {
        Self::serve(move |stream, head| {
            let target = head.first().and_then(|line| line.split(' ').nth(1));
            let target = target.unwrap_or_default();
            let mut hosts = head.iter().filter_map(|line| line.strip_prefix("host: "));
            let body = format!("{target}\n{}", hosts.next().unwrap_or_default());
            answer(stream, name, &body);
        })
    }

    /// Says when a request has come, and answers it when it is told to.
    pub(crate) fn held(name: &'static str) -> (Self, Receiver<Sender<()>>) {
        let (arrived, arrivals) = channel();
        let backend = Self::serve(move |stream, _head| {
            let (release, released) = channel();
            arrived.send(release).expect("the test waits");
            released.recv().expect("the test releases");
            answer(stream, name, name);
        });
        (backend, arrivals)
    }

    fn serve(reply: impl Fn(&mut TcpStream, &[String]) + Clone + Send + 'static) -> Self {
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

fn serve_connection(mut stream: TcpStream, reply: impl Fn(&mut TcpStream, &[String])) {
    let lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
    let mut head = Vec::new();
    // The requests of these tests have no body: an empty line ends each.
    for line in lines.map_while(Result::ok) {
        if line.is_empty() {
            reply(&mut stream, &head);
            head.clear();
        } else {
            head.push(line);
        }
    }
}

fn answer(stream: &mut TcpStream, name: &str, body: &str) {
    let length = body.len();
    // The proxy may have gone away.
    drop(write!(
        stream,
        "HTTP/1.1 200 OK\r\nx-pod: {name}\r\ncontent-length: {length}\r\n\r\n{body}"
    ));
}
