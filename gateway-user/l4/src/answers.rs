//! Gate 1's permissions: what is answered for on which interface, until when. A handle of its own, so that nothing that
//! gate 2 does delays them.

use std::net::IpAddr;
use std::time::Duration;

use gateway_common::announce::{Answer, AnswerKey};
use gateway_ir::Mac;

use crate::ApplyError;
use crate::bpf::AnswerMaps;

/// An address that another machine says it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignClaim {
    /// The address.
    pub address: IpAddr,
    /// Index of the interface where it was heard.
    pub interface: u32,
    /// The Ethernet address that it named.
    pub mac: Mac,
    /// When it was heard, on `CLOCK_MONOTONIC`.
    pub seen: Duration,
}

/// What the programs answer for. Permissions end by themselves, also when nobody holds this any more.
#[derive(Debug)]
pub struct Answers {
    maps: AnswerMaps,
}

impl Answers {
    pub(crate) fn new(maps: AnswerMaps) -> Self {
        Self { maps }
    }

    /// Answers ARP or neighbour solicitations for an address on an interface until a time of `CLOCK_MONOTONIC`.
    ///
    /// A time that is past answers nothing, but other machines' claims to the address are noted from then on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn answer(
        &mut self,
        address: IpAddr,
        interface: u32,
        mac: Mac,
        until: Duration,
    ) -> Result<(), ApplyError> {
        let until = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
        let Mac(mac) = mac;
        let key = AnswerKey::new(address.into(), interface);
        self.maps.answer(key, Answer::new(mac, until))
    }

    /// Stops answering. An address that was not answered for is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn silence(&mut self, address: IpAddr, interface: u32) -> Result<(), ApplyError> {
        self.maps
            .silence(&AnswerKey::new(address.into(), interface))
    }

    /// Stops answering for every address on an interface, also when it is gone.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn forget(&mut self, interface: u32) -> Result<(), ApplyError> {
        self.maps.forget(interface)
    }

    /// The last claim of another machine to each address that was given to [`Self::answer`].
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn claims(&self) -> Result<Vec<ForeignClaim>, ApplyError> {
        let claims = self.maps.claims()?.into_iter();
        let claims = claims.map(|(key, claim)| ForeignClaim {
            address: key.address().into(),
            interface: key.interface(),
            mac: Mac(claim.mac()),
            seen: Duration::from_nanos(claim.seen_ns()),
        });
        Ok(claims.collect())
    }
}
