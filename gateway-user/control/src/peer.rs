//! The other nodes, as far as heartbeats need to know: where they are, who takes part, and the common key.

use std::fmt;
use std::net::IpAddr;

use gateway_ir::{NodeName, ObjectName};
use gateway_translate::Inputs;

/// The Secret with the key of the heartbeats, in the namespace of the agents.
pub(crate) const SECRET: &str = "sanmon-membership";
/// Its field with the key itself.
pub(crate) const KEY_FIELD: &str = "key";
/// Its field with the key before that one.
const PREVIOUS_FIELD: &str = "previous";

/// A node of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub node: NodeName,
    /// Its first InternalIP; none: it cannot be spoken to.
    pub address: Option<IpAddr>,
    /// Whether it is cordoned: it should not take on more.
    pub cordon: Cordon,
}

/// Whether a node is cordoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cordon {
    /// It is not.
    Open,
    /// `Node.spec.unschedulable` is set.
    Cordoned,
}

/// What heartbeats are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct MembershipKey {
    /// The field `key`.
    pub current: Vec<u8>,
    /// The field `previous`, while the key is rotated.
    pub previous: Option<Vec<u8>>,
}

impl fmt::Debug for MembershipKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MembershipKey")
    }
}

/// The nodes, sorted by name.
pub(crate) fn peers(inputs: &Inputs) -> Vec<Peer> {
    let nodes = inputs.nodes.iter();
    nodes
        .map(|(name, node)| {
            let addresses = node
                .status
                .iter()
                .flat_map(|it| it.addresses.iter().flatten());
            let mut internal = addresses.filter(|it| it.type_ == "InternalIP");
            let spec = node.spec.as_ref();
            let cordoned = spec.and_then(|it| it.unschedulable) == Some(true);
            Peer {
                node: NodeName(name.name.to_string()),
                address: internal.find_map(|it| it.address.parse().ok()),
                cordon: if cordoned {
                    Cordon::Cordoned
                } else {
                    Cordon::Open
                },
            }
        })
        .collect()
}

/// The key in the Secret of a namespace, if there is one.
pub(crate) fn membership_key(inputs: &Inputs, namespace: &str) -> Option<MembershipKey> {
    let secret = inputs.secrets.get(&ObjectName::new(namespace, SECRET))?;
    let field = |name| secret.data.as_ref()?.get(name).map(|it| it.0.clone());
    Some(MembershipKey {
        current: field(KEY_FIELD)?,
        previous: field(PREVIOUS_FIELD),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_never_printed() {
        let key = MembershipKey {
            current: b"secret".to_vec(),
            previous: None,
        };
        assert_eq!(format!("{key:?}"), "MembershipKey");
    }
}
