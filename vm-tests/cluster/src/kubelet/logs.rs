//! Logs of containers: written with the time of each line, and read back over the kubelet's API.
//!
//! Of that API only the logs are here; `exec` and the others answer 404.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::{clock, tell_error};

/// Where kubelets listen.
pub(crate) const PORT: u16 = 10250;

/// The log of a container.
pub(super) fn path(folder: &Path, namespace: &str, pod: &str, container: &str) -> PathBuf {
    folder.join(format!("{namespace}_{pod}_{container}.log"))
}

/// Copies lines into a log, each with its time, until the last writer is gone.
pub(super) fn record(lines: PipeReader, mut log: File) {
    std::thread::spawn(move || {
        for line in BufReader::new(lines).split(b'\n') {
            let Ok(line) = line else { return };
            let mut record = clock::now_micros().into_bytes();
            record.push(b' ');
            record.extend(line);
            record.push(b'\n');
            if let Err(error) = log.write_all(&record) {
                tell_error(&anyhow::Error::from(error).context("log of a container"));
                return;
            }
        }
    });
}

/// Serves the logs of a folder until it is dropped. The API server does not check the certificate.
pub(super) async fn serve(address: SocketAddr, folder: PathBuf) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new([address.ip().to_string()])?.self_signed(&key)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    loop {
        let (stream, _peer) = listener.accept().await?;
        let (acceptor, folder) = (acceptor.clone(), folder.clone());
        let _detached = tokio::task::spawn_local(async move {
            if let Err(error) = converse(&acceptor, stream, &folder).await {
                tell_error(&error.context("kubelet API"));
            }
        });
    }
}

async fn converse(acceptor: &TlsAcceptor, stream: TcpStream, folder: &Path) -> anyhow::Result<()> {
    let stream = acceptor.accept(stream).await?;
    let service = service_fn(async |request: Request<_>| {
        let query = request.uri().query().unwrap_or_default();
        let (status, body) = answer(request.uri().path(), query, folder, Timestamp::now());
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        anyhow::Ok(response)
    });
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

/// What somebody wants of a log.
#[derive(Debug, Default)]
struct Wanted {
    since: Option<Timestamp>,
    last: Option<usize>,
    times: Times,
}

/// Whether lines are shown with their times.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Times {
    Shown,
    #[default]
    Hidden,
}

fn answer(path: &str, query: &str, folder: &Path, now: Timestamp) -> (StatusCode, String) {
    let parts: Vec<&str> = path.split('/').collect();
    let ["", "containerLogs", namespace, pod, container] = parts.as_slice() else {
        return (StatusCode::NOT_FOUND, format!("no {path} here\n"));
    };
    let wanted = match Wanted::parse(query, now) {
        Ok(wanted) => wanted,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error:#}\n")),
    };
    match std::fs::read(self::path(folder, namespace, pod, container)) {
        Ok(log) => (
            StatusCode::OK,
            wanted.choose(&String::from_utf8_lossy(&log)),
        ),
        Err(error) => (
            StatusCode::NOT_FOUND,
            format!("{pod}/{container}: {error}\n"),
        ),
    }
}

impl Wanted {
    fn parse(query: &str, now: Timestamp) -> anyhow::Result<Self> {
        let mut wanted = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let said = || format!("{name}={value}");
            match (name, value) {
                ("sinceTime", time) => {
                    let time = time.replace("%3A", ":").replace("%2B", "+");
                    wanted.since = Some(time.parse().with_context(said)?);
                }
                ("sinceSeconds", seconds) => {
                    let age = SignedDuration::from_secs(seconds.parse().with_context(said)?);
                    wanted.since = Some(now - age);
                }
                ("tailLines", count) => wanted.last = Some(count.parse().with_context(said)?),
                ("timestamps", "true") => wanted.times = Times::Shown,
                (
                    "timestamps" | "follow" | "previous" | "insecureSkipTLSVerifyBackend",
                    "false",
                ) => {}
                (_other, _) => anyhow::bail!("{} is not known here", said()),
            }
        }
        Ok(wanted)
    }

    fn choose(&self, log: &str) -> String {
        let lines: Vec<(&str, &str)> = log
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(time, _)| {
                self.since
                    .is_none_or(|since| time.parse::<Timestamp>().is_ok_and(|time| time >= since))
            })
            .collect();
        let first = self
            .last
            .map_or(0, |count| lines.len().saturating_sub(count));
        let mut text = String::new();
        for (time, line) in lines.get(first..).unwrap_or_default() {
            if self.times == Times::Shown {
                text.push_str(time);
                text.push(' ');
            }
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-01-01T00:00:01.500000Z one\n2026-01-01T00:00:02.000000Z two words\n2026-01-01T00:00:03.000000Z three\n";

    #[test]
    fn lines_are_chosen_by_time_and_number() {
        assert_eq!(chosen(""), "one\ntwo words\nthree\n");
        assert_eq!(
            chosen("sinceTime=2026-01-01T00%3A00%3A02Z"),
            "two words\nthree\n"
        );
        assert_eq!(chosen("sinceSeconds=2"), "two words\nthree\n");
        assert_eq!(chosen("tailLines=1&follow=false"), "three\n");
        assert_eq!(
            chosen("tailLines=1&timestamps=true"),
            "2026-01-01T00:00:03.000000Z three\n"
        );
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        let error = Wanted::parse("follow=true", Timestamp::UNIX_EPOCH).unwrap_err();

        assert!(error.to_string().contains("follow=true"), "{error}");
    }

    fn chosen(query: &str) -> String {
        let now = "2026-01-01T00:00:04Z".parse().unwrap();
        Wanted::parse(query, now).unwrap().choose(LOG)
    }
}
