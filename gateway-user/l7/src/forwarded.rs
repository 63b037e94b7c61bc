//! Headers that tell an endpoint who the client is, and what it asked for.

use std::net::{IpAddr, SocketAddr};

use gateway_ir::{ForwardedHeaders, ProxySettings, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::headers::tokens;
use crate::random::Random;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What an endpoint is told about the client; made once per connection.
#[derive(Clone, Debug)]
pub(crate) struct Forwarded {
    peer: IpAddr,
    address: HeaderValue,
    port: HeaderValue,
    scheme: &'static str,
}

/// Whether what a request says of its origin is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belief {
    Trusted,
    Nobody,
}

impl Forwarded {
    pub(crate) fn new(peer: IpAddr, local: SocketAddr, scheme: Scheme) -> Self {
        let peer = peer.to_canonical();
        let address = HeaderValue::try_from(peer.to_string());
        Self {
            peer,
            address: address.expect("an IP address is visible ASCII"),
            port: HeaderValue::from(local.port()),
            scheme: match scheme {
                Scheme::Http => "http",
                Scheme::Https => "https",
            },
        }
    }

    /// Replaces what the client claims about itself, or goes on from what a trusted proxy says about it.
    pub(crate) fn write(&self, headers: &mut HeaderMap, settings: &ProxySettings, random: &Random) {
        let belief = self.belief(headers, settings);
        // A look at each header costs less than a lookup of each name, and mostly there is no claim.
        if belief == Belief::Nobody && headers.keys().any(is_claim) {
            let claims = [
                header::FORWARDED,
                X_FORWARDED_FOR,
                X_FORWARDED_HOST,
                X_FORWARDED_PORT,
                X_FORWARDED_PROTO,
                X_REAL_IP,
                X_REQUEST_ID,
            ];
            for claim in claims {
                headers.remove(claim);
            }
        }
        if settings.forwarded == ForwardedHeaders::XForwardedAndForwarded {
            self.append_forwarded(headers);
        } else if belief == Belief::Trusted {
            // A chain that this proxy does not continue would end at the wrong hop.
            headers.remove(header::FORWARDED);
        }
        self.append_address(headers, settings);
        let host = headers.get(header::HOST).cloned();
        let facts = [
            (
                X_FORWARDED_PROTO,
                Some(HeaderValue::from_static(self.scheme)),
            ),
            (X_FORWARDED_HOST, host),
            (X_FORWARDED_PORT, Some(self.port.clone())),
        ];
        for (name, value) in facts {
            if let Some(value) = value {
                headers.entry(name).or_insert(value);
            }
        }
        let known = headers.get(X_REQUEST_ID);
        if known.is_none_or(|id| id.is_empty() || id.len() > REQUEST_ID_BYTES_MAX) {
            headers.insert(X_REQUEST_ID, request_id(random));
        }
    }

    /// By hops, a request that has come through fewer proxies has gone round them, and nothing in it is believed.
    fn belief(&self, headers: &HeaderMap, settings: &ProxySettings) -> Belief {
        let is_trusted = match usize::from(settings.trusted_hops) {
            0 => settings.trusts(self.peer),
            hops => chain(headers).len() >= hops,
        };
        if is_trusted {
            Belief::Trusted
        } else {
            Belief::Nobody
        }
    }

    /// X-Forwarded-For with this hop's peer, and X-Real-IP: the last address that no trusted proxy has added.
    fn append_address(&self, headers: &mut HeaderMap, settings: &ProxySettings) {
        let before = chain(headers);
        if before.is_empty() {
            headers.insert(X_FORWARDED_FOR, self.address.clone());
            headers.insert(X_REAL_IP, self.address.clone());
            return;
        }
        let is_trusted = |hop: &&&str| {
            let address = hop.parse::<IpAddr>();
            address.is_ok_and(|address| settings.trusts(address))
        };
        let client = match usize::from(settings.trusted_hops) {
            0 => before.iter().rev().find(|hop| !is_trusted(hop)),
            hops => before.iter().nth_back(hops - 1),
        };
        let client = client
            .or(before.first())
            .map(|hop| HeaderValue::from_str(hop));
        let chain = format!("{}, {}", before.join(", "), self.peer);
        if let Ok(chain) = HeaderValue::try_from(chain) {
            headers.insert(X_FORWARDED_FOR, chain);
        }
        if let Some(Ok(client)) = client {
            headers.insert(X_REAL_IP, client);
        }
    }

    /// RFC 7239 §4, with this hop's peer as its last element.
    fn append_forwarded(&self, headers: &mut HeaderMap) {
        let node = match self.peer {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("\"[{address}]\""),
        };
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let host = host.map_or(String::new(), |host| format!(";host=\"{host}\""));
        let element = format!("for={node}{host};proto={}", self.scheme);
        if let Ok(element) = HeaderValue::try_from(element) {
            headers.append(header::FORWARDED, element);
        }
    }
}

/// The addresses that proxies have added to X-Forwarded-For.
fn chain(headers: &HeaderMap) -> Vec<&str> {
    tokens(headers, &X_FORWARDED_FOR)
        .filter(|hop| !hop.is_empty())
        .collect()
}

/// Whether a header may be one that says who the client is.
fn is_claim(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-") || name == "forwarded"
}

/// A random identifier in the form of a UUID version 4 (RFC 9562 §5.4).
fn request_id(random: &Random) -> HeaderValue {
    let (high, low) = (random.bits(), random.bits());
    let version = (high & 0xffff_ffff_ffff_0fff) | 0x4000;
    let variant = (low & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    let mut digits = (u128::from(version) << 64) | u128::from(variant);
    // Written by hand: this is done for every request, and a formatter costs more than all the rest of it.
    let mut id = *b"00000000-0000-0000-0000-000000000000";
    for place in id.iter_mut().rev().filter(|place| **place != b'-') {
        *place = match (digits & 0xf) as u8 {
            digit @ 0..=9 => b'0' + digit,
            letter => b'a' + (letter - 10),
        };
        digits >>= 4;
    }
    HeaderValue::from_bytes(&id).expect("hexadecimal digits are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_claims_about_itself_is_overwritten() {
        let mut headers = headers(&[
            ("host", "a.b"),
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-for", "203.0.113.8"),
            ("x-real-ip", "203.0.113.9"),
            ("x-forwarded-host", "evil"),
            ("x-request-id", "evil"),
            ("forwarded", "for=203.0.113.9"),
        ]);
        write("::ffff:192.0.2.1", &ProxySettings::default(), &mut headers);
        assert_ne!(headers.remove("x-request-id").expect("an id"), "evil");
        assert_eq!(
            headers,
            self::headers(&[
                ("host", "a.b"),
                ("x-forwarded-for", "192.0.2.1"),
                ("x-real-ip", "192.0.2.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "a.b"),
                ("x-forwarded-port", "8443"),
            ])
        );
    }

    #[test]
    fn what_a_trusted_proxy_says_is_continued() {
        let settings = ProxySettings {
            trusted_proxies: vec!["192.0.2.0/24".parse().expect("a network")],
            forwarded: ForwardedHeaders::XForwardedAndForwarded,
            ..ProxySettings::default()
        };
        let mut headers = headers(&[
            ("host", "inner"),
            ("x-forwarded-for", "198.51.100.1, 203.0.113.9, 192.0.2.7"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "shop.test"),
            ("x-request-id", "kept"),
            ("forwarded", "for=203.0.113.9"),
        ]);
        write("192.0.2.1", &settings, &mut headers);
        assert_eq!(
            headers,
            self::headers(&[
                ("host", "inner"),
                (
                    "x-forwarded-for",
                    "198.51.100.1, 203.0.113.9, 192.0.2.7, 192.0.2.1"
                ),
                ("x-real-ip", "203.0.113.9"),
                ("x-forwarded-proto", "http"),
                ("x-forwarded-host", "shop.test"),
                ("x-forwarded-port", "8443"),
                ("x-request-id", "kept"),
                ("forwarded", "for=203.0.113.9"),
                ("forwarded", "for=192.0.2.1;host=\"inner\";proto=https"),
            ])
        );
    }

    #[test]
    fn by_hops_the_client_is_the_one_that_the_first_of_them_has_added() {
        for (hops, claimed, chain, client) in [
            (1, "203.0.113.9", "203.0.113.9, 192.0.2.1", "203.0.113.9"),
            (
                2,
                "10.0.0.1, 203.0.113.9, 192.0.2.7",
                "10.0.0.1, 203.0.113.9, 192.0.2.7, 192.0.2.1",
                "203.0.113.9",
            ),
            // It has gone round one of them: nobody vouches for what it says.
            (2, "203.0.113.9", "192.0.2.1", "192.0.2.1"),
            (1, "", "192.0.2.1", "192.0.2.1"),
        ] {
            let settings = ProxySettings {
                trusted_hops: hops,
                trusted_proxies: vec!["203.0.113.9/32".parse().expect("a network")],
                ..ProxySettings::default()
            };
            let mut headers = headers(&[("host", "a.b"), ("x-forwarded-host", "shop.test")]);
            let claimed = HeaderValue::from_static(claimed);
            headers.append("x-forwarded-for", claimed);
            write("192.0.2.1", &settings, &mut headers);
            assert_eq!(headers["x-forwarded-for"], chain, "{hops}");
            assert_eq!(headers["x-real-ip"], client, "{hops}");
            let host = if chain == "192.0.2.1" {
                "a.b"
            } else {
                "shop.test"
            };
            assert_eq!(headers["x-forwarded-host"], host, "{hops}");
        }
    }

    #[test]
    fn request_ids_are_random_uuids() {
        let random = Random::new(1);
        let ids: Vec<_> = (0..2).map(|_| request_id(&random)).collect();
        assert_ne!(ids[0], ids[1]);
        let id = ids[0].to_str().expect("text");
        let groups: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
        assert!(
            id[14..].starts_with('4') && "89ab".contains(&id[19..20]),
            "{id}"
        );
    }

    fn write(peer: &str, settings: &ProxySettings, headers: &mut HeaderMap) {
        let peer = peer.parse().expect("an address");
        let local = ([192, 0, 2, 100], 8443).into();
        let forwarded = Forwarded::new(peer, local, Scheme::Https);
        forwarded.write(headers, settings, &Random::new(1));
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }
}
