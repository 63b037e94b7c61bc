//! Session persistence (Gateway API: `SessionPersistence`): tokens that lead a client back to its endpoint.
//!
//! A token names the endpoint by a keyed hash, so that it tells clients nothing about addresses. The key is drawn when
//! the proxy starts: tokens of another process, or of another node, are as good as none.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use gateway_ir::{BackendName, CookieLifetime, RuleId, SessionCarrier, SessionPersistence};
use http::{HeaderMap, HeaderValue, header};

use crate::transport::Destination;

const ID_BYTES: usize = 16;
const ISSUED_BYTES: usize = 4;
const SEAL_BYTES: usize = 12;
const TOKEN_BYTES: usize = ID_BYTES + ISSUED_BYTES + SEAL_BYTES;

type Id = [u8; ID_BYTES];

/// The key of all tokens of this process, and the start of their time.
#[derive(Clone, Debug)]
pub(crate) struct SessionKey {
    key: Arc<hmac::Key>,
    start: Instant,
}

impl SessionKey {
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn draw() -> Result<Self, rustls::Error> {
        let mut secret = [0; 32];
        SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_unspecified| rustls::Error::FailedToGetRandomBytes)?;
        Ok(Self {
            key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &secret)),
            start: Instant::now(),
        })
    }

    fn hash<const N: usize>(&self, text: &[u8]) -> [u8; N] {
        let tag = hmac::sign(&self.key, text);
        let mut hash = [0; N];
        let bytes = tag.as_ref().iter().take(N);
        hash.iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        hash
    }

    /// Seconds since the start.
    fn now(&self) -> u32 {
        u32::try_from(self.start.elapsed().as_secs()).unwrap_or(u32::MAX)
    }
}

/// Where a session goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    /// Position among the rule's shares.
    pub(crate) share: usize,
    pub(crate) address: SocketAddr,
}

/// The sessions of one rule.
#[derive(Debug)]
pub(crate) struct Sessions {
    key: SessionKey,
    rule: String,
    carrier: SessionCarrier,
    absolute_timeout: Option<Duration>,
    pins: HashMap<Id, Pin>,
}

impl Sessions {
    pub(crate) fn new<'d>(
        persistence: &SessionPersistence,
        rule: &RuleId,
        key: &SessionKey,
        shares: impl Iterator<Item = Option<&'d Destination>>,
    ) -> Self {
        let mut sessions = Self {
            key: key.clone(),
            rule: rule.to_string(),
            carrier: persistence.carrier.clone(),
            absolute_timeout: persistence.absolute_timeout,
            pins: HashMap::new(),
        };
        for (share, destination) in shares.enumerate() {
            let Some(destination) = destination else {
                continue;
            };
            let backend = &destination.backend;
            for endpoint in &backend.endpoints.endpoints {
                let address = endpoint.address;
                let id = sessions.id(&backend.name, address);
                sessions.pins.insert(id, Pin { share, address });
            }
        }
        sessions
    }

    /// Where the session of a request goes; nothing without one, or when it is over or its endpoint is gone.
    pub(crate) fn find(&self, request: &HeaderMap) -> Option<Pin> {
        let token = read_hex(self.token(request)?)?;
        let (sealed, seal) = token.split_at(ID_BYTES + ISSUED_BYTES);
        let (id, issued) = sealed.split_at(ID_BYTES);
        let expected: [u8; SEAL_BYTES] = self.key.hash(sealed);
        if expected != seal {
            return None;
        }
        let issued = u32::from_be_bytes(issued.try_into().ok()?);
        let age = Duration::from_secs(self.key.now().saturating_sub(issued).into());
        if self.absolute_timeout.is_some_and(|limit| age >= limit) {
            return None;
        }
        self.pins.get(id).copied()
    }

    /// Tells the client where its session goes from now on.
    pub(crate) fn begin(
        &self,
        backend: &BackendName,
        address: SocketAddr,
        scheme: gateway_ir::Scheme,
        response: &mut HeaderMap,
    ) {
        let mut token = Vec::with_capacity(TOKEN_BYTES);
        token.extend(self.id(backend, address));
        token.extend(self.key.now().to_be_bytes());
        let seal: [u8; SEAL_BYTES] = self.key.hash(&token);
        token.extend(seal);
        let token = write_hex(&token);
        match &self.carrier {
            SessionCarrier::Cookie {
                name,
                path,
                lifetime,
            } => {
                let mut cookie = format!("{name}={token}; Path={path}; HttpOnly");
                if scheme == gateway_ir::Scheme::Https {
                    cookie.push_str("; Secure");
                }
                if let (CookieLifetime::Permanent, Some(limit)) = (lifetime, self.absolute_timeout)
                {
                    write!(cookie, "; Max-Age={}", limit.as_secs())
                        .expect("a String takes every write");
                }
                if let Ok(cookie) = HeaderValue::try_from(cookie) {
                    response.append(header::SET_COOKIE, cookie);
                }
            }
            SessionCarrier::Header { name } => {
                let token = HeaderValue::try_from(token);
                response.insert(name, token.expect("hexadecimal digits are visible ASCII"));
            }
        }
    }

    fn token<'r>(&self, request: &'r HeaderMap) -> Option<&'r str> {
        match &self.carrier {
            SessionCarrier::Header { name } => request.get(name)?.to_str().ok(),
            SessionCarrier::Cookie { name, .. } => request
                .get_all(header::COOKIE)
                .iter()
                .filter_map(|line| line.to_str().ok())
                .flat_map(|line| line.split(';'))
                .filter_map(|pair| pair.trim().split_once('='))
                .find_map(|(key, value)| (key == name).then_some(value)),
        }
    }

    fn id(&self, backend: &BackendName, address: SocketAddr) -> Id {
        self.key
            .hash(format!("{}|{backend}|{address}", self.rule).as_bytes())
    }
}

fn write_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}

fn read_hex(text: &str) -> Option<[u8; TOKEN_BYTES]> {
    if text.len() != 2 * TOKEN_BYTES || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; TOKEN_BYTES];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}
