//! Session persistence (Gateway API: `SessionPersistence`): tokens that lead a client back to its endpoint.
//!
//! A token names the endpoint by a keyed hash, so that it tells clients nothing about addresses. It leads to the same
//! endpoint wherever the key is the same; otherwise it is as good as none.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use gateway_ir::{BackendName, CookieLifetime, RuleId, SessionCarrier, SessionPersistence};
use http::{HeaderMap, HeaderValue, header};

use crate::secrets::{DerivedKey, Secrets, WallClock, mac};
use crate::transport::Destination;

const LABEL: &[u8] = b"sanmon session persistence";
const ID_BYTES: usize = 16;
const ISSUED_BYTES: usize = 4;
const SEAL_BYTES: usize = 12;
const TOKEN_BYTES: usize = ID_BYTES + ISSUED_BYTES + SEAL_BYTES;

type Id = [u8; ID_BYTES];

/// The keys of all tokens, and the clock that their time is read from.
#[derive(Clone, Debug)]
pub(crate) struct TokenKeys {
    /// The first seals.
    keys: Arc<[hmac::Key]>,
    clock: WallClock,
}

impl TokenKeys {
    pub(crate) fn new(secrets: &Secrets, clock: WallClock) -> Self {
        let keys = secrets.derive(LABEL);
        let keys = keys
            .iter()
            .map(|key: &DerivedKey| hmac::Key::new(hmac::HMAC_SHA256, key));
        Self {
            keys: keys.collect(),
            clock,
        }
    }

    /// Keys that nobody else has.
    #[cfg(test)]
    pub(crate) fn draw() -> Result<Self, rustls::Error> {
        Ok(Self::new(&Secrets::draw()?, WallClock::start()))
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
    clock: WallClock,
    rule: String,
    carrier: SessionCarrier,
    absolute_timeout: Option<Duration>,
    /// The first one makes tokens.
    seals: Vec<Seal>,
}

/// A key, and what tokens under it lead to.
#[derive(Debug)]
struct Seal {
    key: hmac::Key,
    pins: HashMap<Id, Pin>,
}

impl Sessions {
    pub(crate) fn new<'d>(
        persistence: &SessionPersistence,
        rule: &RuleId,
        keys: &TokenKeys,
        shares: impl Iterator<Item = Option<&'d Destination>>,
    ) -> Self {
        let seals = keys.keys.iter().map(|key| Seal {
            key: key.clone(),
            pins: HashMap::new(),
        });
        let mut sessions = Self {
            clock: keys.clock,
            rule: rule.to_string(),
            carrier: persistence.carrier.clone(),
            absolute_timeout: persistence.absolute_timeout,
            seals: seals.collect(),
        };
        for (share, destination) in shares.enumerate() {
            let Some(destination) = destination else {
                continue;
            };
            let backend = &destination.backend;
            for endpoint in &backend.endpoints.endpoints {
                let address = endpoint.address;
                let name = sessions.name(&backend.name, address);
                for seal in &mut sessions.seals {
                    seal.pins
                        .insert(mac(&seal.key, name.as_bytes()), Pin { share, address });
                }
            }
        }
        sessions
    }

    /// Where the session of a request goes; nothing without one, or when it is over or its endpoint is gone.
    pub(crate) fn find(&self, request: &HeaderMap) -> Option<Pin> {
        let token = read_hex(self.token(request)?)?;
        let (sealed, seal) = token.split_at(ID_BYTES + ISSUED_BYTES);
        let (id, issued) = sealed.split_at(ID_BYTES);
        let its_own = |it: &&Seal| mac::<SEAL_BYTES>(&it.key, sealed) == *seal;
        let seal = self.seals.iter().find(its_own)?;
        let issued = u32::from_be_bytes(issued.try_into().ok()?);
        let age = Duration::from_secs(self.clock.now_s().saturating_sub(issued).into());
        if self.absolute_timeout.is_some_and(|limit| age >= limit) {
            return None;
        }
        seal.pins.get(id).copied()
    }

    /// Tells the client where its session goes from now on.
    pub(crate) fn begin(
        &self,
        backend: &BackendName,
        address: SocketAddr,
        scheme: gateway_ir::Scheme,
        response: &mut HeaderMap,
    ) {
        let Some(Seal { key, .. }) = self.seals.first() else {
            return;
        };
        let name = self.name(backend, address);
        let mut token = Vec::with_capacity(TOKEN_BYTES);
        token.extend(mac::<ID_BYTES>(key, name.as_bytes()));
        token.extend(self.clock.now_s().to_be_bytes());
        let seal: [u8; SEAL_BYTES] = mac(key, &token);
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

    /// What the first part of a token is the hash of.
    fn name(&self, backend: &BackendName, address: SocketAddr) -> String {
        format!("{}|{backend}|{address}", self.rule)
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
