//! The endpoint table: what a Maglev slot or a flow points to.

use bytemuck::{Pod, Zeroable};

use crate::addr::Address;

/// An index into the endpoint table. Local to one machine: it is never told to another.
pub type EndpointId = u16;

/// The slot value that stands for no endpoint: the flow is refused. A zeroed table refuses everything.
pub const REFUSED: EndpointId = 0;

/// One IP address and port that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Endpoint {
    address: Address,
    port: [u8; 2],
    place: u8,
    pad: u8,
    generation: u32,
}

/// Where an endpoint runs, seen from this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: the entry is free.
    Absent,
    /// Reachable from this node's stack.
    Here,
    /// On another node.
    Elsewhere,
}

const _: () = assert!(size_of::<Endpoint>() == 24 && align_of::<Endpoint>() == 4);
crate::map_types!(Endpoint);

impl Endpoint {
    const HERE: u8 = 1;
    const ELSEWHERE: u8 = 2;

    /// Describes an endpoint. The generation tells it from earlier holders of the same id.
    pub const fn new(address: Address, port: u16, place: Place, generation: u32) -> Self {
        Self {
            address,
            port: port.to_be_bytes(),
            place: match place {
                Place::Absent => 0,
                Place::Here => Self::HERE,
                Place::Elsewhere => Self::ELSEWHERE,
            },
            pad: 0,
            generation,
        }
    }

    /// The address.
    #[inline(always)]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The port, in network order.
    #[inline(always)]
    pub const fn port(&self) -> [u8; 2] {
        self.port
    }

    /// Where it runs.
    #[inline(always)]
    pub const fn place(&self) -> Place {
        match self.place {
            Self::HERE => Place::Here,
            Self::ELSEWHERE => Place::Elsewhere,
            _ => Place::Absent,
        }
    }

    /// How many holders the id had before this one.
    #[inline(always)]
    pub const fn generation(&self) -> u32 {
        self.generation
    }
}
