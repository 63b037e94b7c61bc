//! Heartbeats as bytes: one datagram each, signed, with a version. Knows no socket.
//!
//! ```text
//! magic "sanm" · version · serving · from · to · incarnation · sequence · voters · generation     each 8 bytes
//! beat · lease, in microseconds, each 4 bytes
//! echo: incarnation · sequence · accepted (all zero: none) · three counts of 2 bytes
//! asked: address · stance (· successor)     granted: address · armed · holder
//! alive: node · serving; none: as before
//! records: kind · length of 2 bytes · so many bytes; kind 1: the sender's Ethernet addresses, 6 bytes each;
//!          kind 2: other machines that have addresses of ours: address · course · Ethernet address
//! HMAC-SHA-256 of everything before
//! ```
//! Integers are big-endian; an address is the number 4 or 6 and its bytes.
//!
//! A release adds what it has to say as a new kind of record. The release before skips kinds that it does not know, and
//! the release after does without those that are missing: nodes of two releases understand each other. The version
//! changes only when that is not enough; a datagram of another version is refused and counted.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use aws_lc_rs::hmac;
use gateway_ir::Mac;

use crate::membership::heartbeat::{
    Asked, Course, Echo, Foreign, Granted, Heartbeat, NodeId, Serving, SetId, Stance,
};
use crate::membership::terms::Terms;

/// The UDP port of heartbeats, on every node.
pub const PORT: u16 = 9191;
/// The largest datagram that is read.
pub const BYTES_MAX: usize = 65_507;

const MAGIC: [u8; 4] = *b"sanm";
const VERSION: u8 = 2;
const TAG_BYTES: usize = 32;
/// No node answers for longer: it would be a slip of the pen, and voters would have to keep their word for as long.
const LEASE_MAX: Duration = Duration::from_secs(60);
/// Below this a key could be guessed.
const KEY_BYTES_MIN: usize = 16;

/// What heartbeats are signed with.
#[derive(Clone)]
pub struct Keys {
    current: hmac::Key,
    previous: Option<hmac::Key>,
}

/// Why a key is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a membership key needs at least {KEY_BYTES_MIN} bytes")]
pub struct WeakKey;

/// Why a datagram is not a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is something else, or of a version that is not understood.
    #[error("not a heartbeat of a version that is understood")]
    Foreign,
    /// Whoever sent it does not know the key.
    #[error("signed with another key")]
    Signature,
    /// It ends early, or says what nobody says.
    #[error("malformed")]
    Malformed,
}

impl Keys {
    /// Signs with one key and accepts the one before it too, for as long as it is rotated.
    ///
    /// # Errors
    /// When a key is too short.
    pub fn new(current: &[u8], previous: Option<&[u8]>) -> Result<Self, WeakKey> {
        let key = |bytes: &[u8]| {
            if bytes.len() < KEY_BYTES_MIN {
                return Err(WeakKey);
            }
            Ok(hmac::Key::new(hmac::HMAC_SHA256, bytes))
        };
        Ok(Self {
            current: key(current)?,
            previous: previous.map(key).transpose()?,
        })
    }

    fn verify(&self, signed: &[u8], tag: &[u8]) -> Result<(), Refused> {
        let mut keys = std::iter::once(&self.current).chain(&self.previous);
        if keys.any(|key| hmac::verify(key, signed, tag).is_ok()) {
            Ok(())
        } else {
            Err(Refused::Signature)
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

/// Writes a heartbeat. Of more addresses than a datagram can name the last are left out: they are not asked for.
pub fn encode(heartbeat: &Heartbeat, keys: &Keys) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend(MAGIC);
    out.extend([VERSION, serving_code(heartbeat.serving)]);
    let echo = heartbeat
        .echo
        .map_or([0; 3], |it| [it.incarnation, it.sequence, it.accepted]);
    let words = [
        heartbeat.from.0,
        heartbeat.to.0,
        heartbeat.incarnation,
        heartbeat.sequence,
        heartbeat.voters.0,
        heartbeat.generation,
    ];
    out.extend(words.into_iter().flat_map(u64::to_be_bytes));
    for length in [heartbeat.terms.beat, heartbeat.terms.lease] {
        let micros = u32::try_from(length.as_micros()).unwrap_or(u32::MAX);
        out.extend(micros.to_be_bytes());
    }
    out.extend(echo.into_iter().flat_map(u64::to_be_bytes));
    let asked = heartbeat.asked.iter().take(ENTRIES_MAX);
    let granted = heartbeat.granted.iter().take(ENTRIES_MAX);
    let alive = heartbeat.alive.iter().take(ENTRIES_MAX);
    for count in [asked.len(), granted.len(), alive.len()] {
        out.extend(u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
    }
    for it in asked {
        put_address(&mut out, it.vip);
        match it.stance {
            Stance::Wanted => out.push(0),
            Stance::Held => out.push(1),
            Stance::Released(to) => {
                out.push(2);
                out.extend(to.0.to_be_bytes());
            }
        }
    }
    for it in granted {
        put_address(&mut out, it.vip);
        out.push(u8::from(it.armed));
        out.extend(it.holder.0.to_be_bytes());
    }
    for (node, serving) in alive {
        out.extend(node.0.to_be_bytes());
        out.push(serving_code(*serving));
    }
    put_macs(&mut out, &heartbeat.macs);
    put_foreign(&mut out, &heartbeat.foreign);
    let tag = hmac::sign(&keys.current, &out);
    out.extend_from_slice(tag.as_ref());
    out
}

/// The kind of record that has the sender's Ethernet addresses.
const MACS: u8 = 1;
/// More interfaces than these no node has on LANs with VIPs.
const MACS_MAX: u16 = 64;

/// The kind of record that has other machines with addresses of ours.
const FOREIGN: u8 = 2;
/// As many as are set aside at most, and as many again.
const FOREIGN_MAX: usize = 128;

/// Entries of each list; three lists of so many fit a datagram.
const ENTRIES_MAX: usize = 900;

/// Reads a datagram.
///
/// # Errors
/// When it is no heartbeat of somebody who knows the key.
pub fn decode(bytes: &[u8], keys: &Keys) -> Result<Heartbeat, Refused> {
    let (signed, tag) = bytes
        .len()
        .checked_sub(TAG_BYTES)
        .and_then(|end| bytes.split_at_checked(end))
        .ok_or(Refused::Foreign)?;
    let mut reader = Reader(signed);
    if reader.array().ok() != Some(MAGIC) || reader.byte().ok() != Some(VERSION) {
        return Err(Refused::Foreign);
    }
    keys.verify(signed, tag)?;
    read(&mut reader)
}

fn read(reader: &mut Reader<'_>) -> Result<Heartbeat, Refused> {
    let serving = reader.serving()?;
    let (from, to) = (NodeId(reader.word()?), NodeId(reader.word()?));
    let (incarnation, sequence) = (reader.word()?, reader.word()?);
    let (voters, generation) = (SetId(reader.word()?), reader.word()?);
    let terms = reader.terms()?;
    let echo = Echo {
        incarnation: reader.word()?,
        sequence: reader.word()?,
        accepted: reader.word()?,
    };
    let counts = [reader.short()?, reader.short()?, reader.short()?];
    let [asked, granted, alive] = counts;
    let mut heartbeat = Heartbeat {
        from,
        to,
        incarnation,
        sequence,
        terms,
        voters,
        generation,
        serving,
        echo: (echo.sequence != 0).then_some(echo),
        asked: (0..asked)
            .map(|_| reader.asked())
            .collect::<Result<_, _>>()?,
        granted: (0..granted)
            .map(|_| reader.granted())
            .collect::<Result<_, _>>()?,
        alive: (0..alive)
            .map(|_| Ok((NodeId(reader.word()?), reader.serving()?)))
            .collect::<Result<_, _>>()?,
        macs: Vec::new(),
        foreign: Vec::new(),
    };
    while !reader.0.is_empty() {
        let (kind, record) = reader.record()?;
        match kind {
            MACS => {
                let (macs, _rest) = record.as_chunks();
                let macs = macs.iter().take(MACS_MAX.into());
                heartbeat.macs = macs.copied().map(Mac).collect();
            }
            FOREIGN => heartbeat.foreign = Reader(record).foreign()?,
            // Of a later release.
            _ => {}
        }
    }
    Ok(heartbeat)
}

fn serving_code(serving: Serving) -> u8 {
    match serving {
        Serving::Everything => 0,
        Serving::Part => 1,
        Serving::Reserve => 2,
        Serving::Nothing => 3,
    }
}

fn put_macs(out: &mut Vec<u8>, macs: &[Mac]) {
    if macs.is_empty() {
        return;
    }
    let count = u16::try_from(macs.len()).unwrap_or(u16::MAX).min(MACS_MAX);
    out.push(MACS);
    out.extend((count * 6).to_be_bytes());
    out.extend(macs.iter().take(count.into()).flat_map(|mac| mac.0));
}

fn put_foreign(out: &mut Vec<u8>, foreign: &[Foreign]) {
    if foreign.is_empty() {
        return;
    }
    let mut record = Vec::new();
    for it in foreign.iter().take(FOREIGN_MAX) {
        put_address(&mut record, it.address);
        record.push(match it.course {
            Course::Defended => 0,
            Course::Withheld => 1,
            Course::SetAside => 2,
        });
        record.extend(it.mac.0);
    }
    out.push(FOREIGN);
    // At most 128 times 24 bytes.
    let length = u16::try_from(record.len()).unwrap_or(u16::MAX);
    out.extend(length.to_be_bytes());
    out.extend(record);
}

fn put_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            out.push(4);
            out.extend(address.octets());
        }
        IpAddr::V6(address) => {
            out.push(6);
            out.extend(address.octets());
        }
    }
}

/// What is left of a datagram.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Refused::Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    fn byte(&mut self) -> Result<u8, Refused> {
        self.array().map(|[byte]| byte)
    }

    fn short(&mut self) -> Result<u16, Refused> {
        self.array().map(u16::from_be_bytes)
    }

    fn word(&mut self) -> Result<u64, Refused> {
        self.array().map(u64::from_be_bytes)
    }

    fn terms(&mut self) -> Result<Terms, Refused> {
        let mut length = || {
            let micros = self.array().map(u32::from_be_bytes)?;
            Ok(Duration::from_micros(micros.into()))
        };
        let terms = Terms {
            beat: length()?,
            lease: length()?,
        };
        if terms.beat.is_zero() || terms.lease < terms.beat || terms.lease > LEASE_MAX {
            return Err(Refused::Malformed);
        }
        Ok(terms)
    }

    fn record(&mut self) -> Result<(u8, &[u8]), Refused> {
        let (kind, length) = (self.byte()?, self.short()?);
        let split = self.0.split_at_checked(usize::from(length));
        let (record, rest) = split.ok_or(Refused::Malformed)?;
        self.0 = rest;
        Ok((kind, record))
    }

    fn serving(&mut self) -> Result<Serving, Refused> {
        match self.byte()? {
            0 => Ok(Serving::Everything),
            1 => Ok(Serving::Part),
            2 => Ok(Serving::Reserve),
            3 => Ok(Serving::Nothing),
            _ => Err(Refused::Malformed),
        }
    }

    fn address(&mut self) -> Result<IpAddr, Refused> {
        match self.byte()? {
            4 => Ok(Ipv4Addr::from(self.array::<4>()?).into()),
            6 => Ok(Ipv6Addr::from(self.array::<16>()?).into()),
            _ => Err(Refused::Malformed),
        }
    }

    /// Everything to the end; a course that is not known is one of a later release.
    fn foreign(&mut self) -> Result<Vec<Foreign>, Refused> {
        let mut foreign = Vec::new();
        while !self.0.is_empty() && foreign.len() < FOREIGN_MAX {
            let (address, course) = (self.address()?, self.byte()?);
            let mac = Mac(self.array()?);
            let course = match course {
                0 => Course::Defended,
                1 => Course::Withheld,
                2 => Course::SetAside,
                _ => continue,
            };
            foreign.push(Foreign {
                address,
                course,
                mac,
            });
        }
        Ok(foreign)
    }

    fn asked(&mut self) -> Result<Asked, Refused> {
        let vip = self.address()?;
        let stance = match self.byte()? {
            0 => Stance::Wanted,
            1 => Stance::Held,
            2 => Stance::Released(NodeId(self.word()?)),
            _ => return Err(Refused::Malformed),
        };
        Ok(Asked { vip, stance })
    }

    fn granted(&mut self) -> Result<Granted, Refused> {
        let vip = self.address()?;
        let armed = match self.byte()? {
            0 => false,
            1 => true,
            _ => return Err(Refused::Malformed),
        };
        let holder = NodeId(self.word()?);
        Ok(Granted { vip, holder, armed })
    }
}

#[cfg(test)]
mod tests;
