//! Announced addresses and the pools that they come from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use serde::{Deserialize, Serialize};

use crate::ObjectName;

/// An address of a Gateway that no interface of the LAN owns by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vip {
    /// The address.
    pub address: IpAddr,
    /// The Gateway that it belongs to.
    pub gateway: ObjectName,
    /// The pool that it comes from, by name.
    pub pool: String,
    /// Who has chosen it.
    #[serde(default, skip_serializing_if = "Choice::is_automatic")]
    pub choice: Choice,
}

/// Who has chosen an address.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Choice {
    /// The pool: another one would do as well.
    #[default]
    Automatic,
    /// The Gateway, by name: it is never another one.
    Named,
}

impl Choice {
    fn is_automatic(&self) -> bool {
        *self == Self::Automatic
    }
}

/// A named set of addresses that VIPs are taken from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pool {
    /// The name, unique in a configuration.
    pub name: String,
    /// The addresses, in the order of the configuration.
    pub ranges: Vec<AddressRange>,
    /// The interfaces to announce on; empty: those whose subnet holds the address.
    pub interfaces: Vec<String>,
}

impl Pool {
    /// Tells whether an address belongs to the pool.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(address))
    }
}

/// An inclusive range of addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

/// Why a text is not an address range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidRange {
    /// Neither `A.B.C.D/N` nor `FIRST-LAST` nor one address.
    Syntax,
    /// The two ends are of different families.
    MixedFamilies,
    /// The first address is above the last.
    Reversed,
}

impl fmt::Display for InvalidRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => {
                "not an address, a CIDR (192.0.2.0/28) or a range (192.0.2.10-192.0.2.20)"
            }
            Self::MixedFamilies => "one end is IPv4 and the other IPv6",
            Self::Reversed => "the first address is above the last",
        })
    }
}

impl std::error::Error for InvalidRange {}

impl AddressRange {
    /// Makes a range of two ends, both included.
    ///
    /// # Errors
    /// When the ends are of different families or reversed.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, InvalidRange> {
        if first.is_ipv4() != last.is_ipv4() {
            return Err(InvalidRange::MixedFamilies);
        }
        if first > last {
            return Err(InvalidRange::Reversed);
        }
        Ok(Self { first, last })
    }

    /// The lowest address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The highest address.
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// Tells whether an address is inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Tells whether two ranges share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }

    /// The fewest prefixes that cover exactly the range: the keys of the guard's longest-prefix map.
    pub fn prefixes(&self) -> Vec<IpNet> {
        match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect()
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect()
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Vec::new(),
        }
    }

    /// Every address, lowest first. A pool of IPv6 addresses can be long: take what is needed.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let (first, last) = (to_bits(self.first), to_bits(self.last));
        let family = self.first;
        (first..=last).map(move |bits| from_bits(bits, family))
    }
}

fn to_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// The address of those bits, in the family of another.
fn from_bits(bits: u128, family: IpAddr) -> IpAddr {
    match u32::try_from(bits) {
        Ok(low) if family.is_ipv4() => IpAddr::V4(Ipv4Addr::from(low)),
        _ => IpAddr::V6(Ipv6Addr::from(bits)),
    }
}

impl FromStr for AddressRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some((first, last)) = text.split_once('-') {
            let parse = |end: &str| {
                end.trim()
                    .parse::<IpAddr>()
                    .map_err(|_syntax| InvalidRange::Syntax)
            };
            return Self::new(parse(first)?, parse(last)?);
        }
        if let Ok(net) = text.parse::<IpNet>() {
            return Self::new(net.network(), net.broadcast());
        }
        let address = text
            .parse::<IpAddr>()
            .map_err(|_syntax| InvalidRange::Syntax)?;
        Self::new(address, address)
    }
}

impl TryFrom<String> for AddressRange {
    type Error = InvalidRange;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AddressRange> for String {
    fn from(range: AddressRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> AddressRange {
        text.parse().expect("a valid range")
    }

    #[test]
    fn reads_cidrs_ranges_and_single_addresses() {
        assert_eq!(range("192.0.2.0/30"), range("192.0.2.0-192.0.2.3"));
        assert_eq!(range("192.0.2.7"), range("192.0.2.7/32"));
        assert_eq!(range("fd00::/126").addresses().count(), 4);
    }

    #[test]
    fn refuses_what_is_no_range_and_says_why() {
        for (text, why) in [
            ("nonsense", InvalidRange::Syntax),
            ("192.0.2.1-", InvalidRange::Syntax),
            ("192.0.2.9-192.0.2.1", InvalidRange::Reversed),
            ("192.0.2.9-fd00::1", InvalidRange::MixedFamilies),
        ] {
            assert_eq!(text.parse::<AddressRange>(), Err(why), "{text}");
        }
    }

    #[test]
    fn prefixes_cover_the_range_and_nothing_else() {
        let pool = range("192.168.2.200-192.168.2.250");
        let covered: Vec<IpAddr> = pool
            .prefixes()
            .into_iter()
            .flat_map(|net| {
                AddressRange::new(net.network(), net.broadcast())
                    .expect("ordered")
                    .addresses()
            })
            .collect();
        assert_eq!(covered, pool.addresses().collect::<Vec<_>>());
    }

    #[test]
    fn families_never_mix() {
        assert!(!range("0.0.0.0/0").contains("::1".parse().expect("address")));
        assert!(!range("0.0.0.0/0").overlaps(&range("::/0")));
    }
}
