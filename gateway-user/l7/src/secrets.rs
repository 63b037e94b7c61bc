//! The secrets behind what clients keep for later: TLS session tickets and tokens of session persistence. Every use has
//! keys of its own, derived from one secret by a label.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use gateway_ir::SessionKeys;

const KEY_BYTES: usize = 32;

/// A key for one use.
pub(crate) type DerivedKey = [u8; KEY_BYTES];

/// The secrets in use: the first seals, and what any of them has sealed is taken.
#[derive(Clone, Debug)]
pub(crate) struct Secrets(Vec<hmac::Key>);

impl Secrets {
    /// Secrets that nobody else has.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn draw() -> Result<Self, rustls::Error> {
        let mut secret = [0; KEY_BYTES];
        SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_unspecified| rustls::Error::FailedToGetRandomBytes)?;
        Ok(Self(vec![hmac::Key::new(hmac::HMAC_SHA256, &secret)]))
    }

    /// Secrets that all nodes have.
    pub(crate) fn shared(keys: &SessionKeys) -> Self {
        let keys = std::iter::once(&keys.current).chain(&keys.previous);
        let keys = keys.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret));
        Self(keys.collect())
    }

    /// The keys for one use.
    pub(crate) fn derive(&self, label: &[u8]) -> Vec<DerivedKey> {
        self.0.iter().map(|secret| mac(secret, label)).collect()
    }
}

/// The first bytes of a message's authentication code.
pub(crate) fn mac<const N: usize>(key: &hmac::Key, message: &[u8]) -> [u8; N] {
    let tag = hmac::sign(key, message);
    let mut bytes = [0; N];
    let places = bytes.iter_mut().zip(tag.as_ref());
    places.for_each(|(to, from)| *to = *from);
    bytes
}

/// The time of day, which all nodes agree on, without asking the system for it each time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock {
    /// Seconds since 1970.
    start_s: u64,
    started: Instant,
}

impl WallClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "read once, where the clock is made that is then handed on"
    )]
    pub(crate) fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            start_s: since.map_or(0, |since| since.as_secs()),
            started: Instant::now(),
        }
    }

    /// Seconds since 1970.
    pub(crate) fn now_s(&self) -> u32 {
        let now = self.start_s + self.started.elapsed().as_secs();
        u32::try_from(now).unwrap_or(u32::MAX)
    }
}
