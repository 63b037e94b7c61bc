//! Addresses that change hands, as happenings: pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gateway_control::events::{Happening, Level};
use gateway_ir::{NodeName, ObjectName};
use gateway_translate::{Kind, ObjectKey};

use crate::board::Owner;

/// Who answered for each address last.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    last: BTreeMap<IpAddr, NodeName>,
}

impl Moves {
    /// The addresses that another node answers for than before.
    pub(crate) fn next(&mut self, owners: &[Owner]) -> Vec<Happening> {
        self.last
            .retain(|address, _| owners.iter().any(|it| it.address == *address));
        let mut moves = Vec::new();
        for owner in owners {
            let (Some(node), Some(gateway)) = (&owner.node, &owner.gateway) else {
                continue;
            };
            let last = self.last.insert(owner.address, node.clone());
            let Some(last) = last.filter(|last| last != node) else {
                continue;
            };
            let (namespace, name) = gateway.split_once('/').unwrap_or_default();
            moves.push(Happening {
                regarding: ObjectKey {
                    kind: Kind::Gateway,
                    name: ObjectName::new(namespace, name),
                },
                level: Level::Normal,
                reason: "AddressMoved",
                action: "Announce",
                note: format!(
                    "node {node} answers for {} instead of node {last}",
                    owner.address
                ),
            });
        }
        moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_told_also_when_nobody_answered_for_a_while() {
        let mut moves = Moves::default();
        assert_eq!(moves.next(&[owner(Some("a"))]), []);
        assert_eq!(moves.next(&[owner(None)]), []);
        assert_eq!(moves.next(&[owner(Some("a"))]), []);
        let told = moves.next(&[owner(Some("b"))]);
        assert_eq!(told.len(), 1);
        assert_eq!(
            told[0].note,
            "node b answers for 192.0.2.1 instead of node a"
        );
        assert_eq!(told[0].regarding.name, ObjectName::new("shop", "web"));
        assert_eq!(moves.next(&[]), []);
        assert_eq!(moves.next(&[owner(Some("a"))]), []);
    }

    fn owner(node: Option<&str>) -> Owner {
        Owner {
            address: [192, 0, 2, 1].into(),
            gateway: Some("shop/web".to_owned()),
            pool: None,
            node: node.map(|it| NodeName(it.to_owned())),
            since_ms: None,
            interfaces: Vec::new(),
            why: String::new(),
            conflict: None,
            contest: None,
            withheld: None,
        }
    }
}
