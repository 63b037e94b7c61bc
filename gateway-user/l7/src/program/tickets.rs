//! TLS session tickets (RFC 5077, RFC 8446 §4.6.1) that every node with the same secret can open.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use gateway_ir::{ClientValidation, ClientValidationMode};
use rustls::server::ProducesTickets;

use crate::secrets::{DerivedKey, Secrets, WallClock, mac};

const LABEL: &[u8] = b"sanmon tls session tickets";
/// As long as the tickets that rustls makes by itself.
const LIFETIME_S: u32 = 12 * 60 * 60;
/// How far the clocks of nodes may be apart.
const SKEW_S: u32 = 60;
const SALT_BYTES: usize = 32;
const TIME_BYTES: usize = 4;
const HEAD_BYTES: usize = SALT_BYTES + TIME_BYTES;

/// Seals and opens tickets. A ticket is a salt, the time, and the state of the session under a key that belongs to the
/// salt alone: so no number of nodes has to agree on nonces.
#[derive(Debug)]
pub(super) struct Tickets {
    /// The first one seals.
    keys: Vec<hmac::Key>,
    clock: WallClock,
}

impl Tickets {
    /// Tickets for listeners that ask this of clients: a session that began with less must not go on where more is asked.
    pub(super) fn new(
        secrets: &Secrets,
        clients: Option<&ClientValidation>,
        clock: WallClock,
    ) -> Self {
        let keys = secrets.derive(&label(clients));
        let keys = keys
            .iter()
            .map(|key: &DerivedKey| hmac::Key::new(hmac::HMAC_SHA256, key));
        Self {
            keys: keys.collect(),
            clock,
        }
    }

    fn seal(&self, state: &[u8], issued: u32) -> Option<Vec<u8>> {
        let mut head = [0; HEAD_BYTES];
        let (salt, time) = head.split_at_mut(SALT_BYTES);
        SystemRandom::new().fill(salt).ok()?;
        time.copy_from_slice(&issued.to_be_bytes());
        let mut sealed = state.to_vec();
        let key = key(self.keys.first()?, &head)?;
        key.seal_in_place_append_tag(nonce(), Aad::from(&head), &mut sealed)
            .ok()?;
        Some([head.as_slice(), &sealed].concat())
    }

    fn open(&self, ticket: &[u8], now: u32) -> Option<Vec<u8>> {
        let (head, sealed) = ticket.split_at_checked(HEAD_BYTES)?;
        let (_salt, time) = head.split_at_checked(SALT_BYTES)?;
        let issued = u32::from_be_bytes(time.try_into().ok()?);
        let is_fresh = issued <= now.saturating_add(SKEW_S)
            && now.saturating_sub(issued) <= LIFETIME_S + SKEW_S;
        if !is_fresh {
            return None;
        }
        self.keys.iter().find_map(|secret| {
            let mut state = sealed.to_vec();
            let opened = key(secret, head)?.open_in_place(nonce(), Aad::from(head), &mut state);
            opened.ok().map(|state| state.to_vec())
        })
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_S
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, self.clock.now_s())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, self.clock.now_s())
    }
}

/// The key of one ticket.
fn key(secret: &hmac::Key, head: &[u8]) -> Option<LessSafeKey> {
    let key: DerivedKey = mac(secret, head);
    UnboundKey::new(&AES_256_GCM, &key)
        .ok()
        .map(LessSafeKey::new)
}

/// Each key seals one ticket, so that the nonce is no secret and need not differ.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; aws_lc_rs::aead::NONCE_LEN])
}

/// The use of a secret: the same wherever the same is asked of clients.
fn label(clients: Option<&ClientValidation>) -> Vec<u8> {
    let mut label = LABEL.to_vec();
    let Some(clients) = clients else {
        return label;
    };
    label.push(match clients.mode {
        ClientValidationMode::AllowValidOnly => 1,
        ClientValidationMode::AllowInsecureFallback => 2,
    });
    for root in &clients.roots {
        label.extend((root.len() as u64).to_be_bytes());
        label.extend(root);
    }
    label
}

#[cfg(test)]
mod tests {
    use gateway_ir::SessionKeys;

    use super::*;

    const NOW: u32 = 1_800_000_000;

    #[test]
    fn a_ticket_opens_wherever_the_secret_is() {
        let (one, other) = (tickets("a", None, None), tickets("a", None, None));
        let ticket = one.encrypt(b"state").expect("a ticket");
        assert_eq!(other.decrypt(&ticket), Some(b"state".to_vec()));
        assert_ne!(one.encrypt(b"state").expect("a ticket"), ticket);
        assert!(!ticket.windows(5).any(|it| it == b"state"));
        assert_eq!(tickets("b", None, None).decrypt(&ticket), None);
        assert_eq!(other.decrypt(&ticket[..20]), None);
        assert_eq!(other.decrypt(b""), None);
    }

    #[test]
    fn a_rotated_secret_opens_what_the_one_before_it_has_sealed() {
        let ticket = tickets("a", None, None)
            .encrypt(b"state")
            .expect("a ticket");
        let rotated = tickets("b", Some("a"), None);
        assert_eq!(rotated.decrypt(&ticket), Some(b"state".to_vec()));
        let new = rotated.encrypt(b"state").expect("a ticket");
        assert_eq!(
            tickets("b", None, None).decrypt(&new),
            Some(b"state".to_vec())
        );
        assert_eq!(tickets("a", None, None).decrypt(&new), None);
    }

    #[test]
    fn a_ticket_has_its_time_and_its_clients() {
        let plain = tickets("a", None, None);
        let ticket = plain.seal(b"state", NOW).expect("a ticket");
        for (now, opens) in [
            (NOW, true),
            (NOW - SKEW_S, true),
            (NOW - SKEW_S - 1, false),
            (NOW + LIFETIME_S, true),
            (NOW + LIFETIME_S + SKEW_S + 1, false),
        ] {
            assert_eq!(plain.open(&ticket, now).is_some(), opens, "{now}");
        }
        let mut later = ticket.clone();
        later[SALT_BYTES + TIME_BYTES - 1] ^= 1;
        assert_eq!(plain.open(&later, NOW), None, "the time is sealed too");

        let clients = |root: &[u8], mode| ClientValidation {
            roots: vec![root.to_vec()],
            mode,
        };
        let strict = clients(b"root", ClientValidationMode::AllowValidOnly);
        let lax = clients(b"root", ClientValidationMode::AllowInsecureFallback);
        let other = clients(b"toor", ClientValidationMode::AllowValidOnly);
        for clients in [strict, lax, other] {
            let asking = tickets("a", None, Some(&clients));
            assert_eq!(asking.open(&ticket, NOW), None, "{clients:?}");
        }
    }

    fn tickets(
        current: &str,
        previous: Option<&str>,
        clients: Option<&ClientValidation>,
    ) -> Tickets {
        let keys = SessionKeys {
            current: current.into(),
            previous: previous.map(Into::into),
        };
        Tickets::new(&Secrets::shared(&keys), clients, WallClock::start())
    }
}
