//! Which interfaces gates 1 and 2 run on. Pure: interfaces and wishes in, a choice out.

use std::collections::BTreeSet;

use gateway_ir::{Interface, Pool, Snapshot};

use crate::interfaces::Present;

/// The interfaces to use, and the names that were asked for in vain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) missing: Vec<String>,
}

/// Chooses: what the command line names, else what the configuration names, else each pool's own.
pub(crate) fn choose(named: &[String], snapshot: &Snapshot, present: &Present) -> Choice {
    let present: Vec<_> = present.all().collect();
    let configured = &snapshot.datapath.interfaces;
    let (wanted, names) = if !named.is_empty() {
        (by_name(named, &present), named.to_vec())
    } else if !configured.is_empty() {
        (by_name(configured, &present), configured.clone())
    } else {
        let pools = snapshot.pools.iter();
        let wanted = pools.clone().flat_map(|pool| of_pool(pool, &present));
        let names = pools.flat_map(|pool| pool.interfaces.clone());
        (wanted.collect(), names.collect())
    };
    let known: BTreeSet<_> = present.iter().map(|it| &it.name).collect();
    let missing: BTreeSet<_> = names.into_iter().filter(|it| !known.contains(it)).collect();
    Choice {
        interfaces: wanted.into_iter().cloned().collect(),
        missing: missing.into_iter().collect(),
    }
}

fn by_name<'a>(names: &[String], present: &[&'a Interface]) -> BTreeSet<&'a Interface> {
    let chosen = present
        .iter()
        .copied()
        .filter(|it| names.contains(&it.name));
    chosen.collect()
}

fn of_pool<'a>(pool: &Pool, present: &[&'a Interface]) -> BTreeSet<&'a Interface> {
    if !pool.interfaces.is_empty() {
        return by_name(&pool.interfaces, present);
    }
    let in_subnet = |interface: &&Interface| {
        interface.addresses.iter().any(|net| {
            // A host prefix makes no subnet, and every interface has a link-local one.
            let is_subnet = net.prefix_len() < net.max_prefix_len();
            let mut ranges = pool.ranges.iter();
            is_subnet && ranges.any(|it| net.contains(&it.first()) || net.contains(&it.last()))
        })
    };
    present.iter().copied().filter(in_subnet).collect()
}

#[cfg(test)]
mod tests {
    use gateway_ir::{DatapathSettings, Mac};

    use super::*;

    #[test]
    fn the_command_line_wins_over_the_configuration() {
        let snapshot = snapshot(&["lan1"], &[]);
        let choice = choose(&["lan0".to_owned()], &snapshot, &present());
        assert_eq!(names(&choice), ["lan0"]);
        assert_eq!(names(&choose(&[], &snapshot, &present())), ["lan1"]);
    }

    #[test]
    fn a_pool_without_a_wish_takes_the_interfaces_whose_subnet_holds_it() {
        let choice = choose(&[], &snapshot(&[], &[]), &present());
        assert_eq!(names(&choice), ["lan0"]);
        assert_eq!(choice.missing, Vec::<String>::new());
    }

    #[test]
    fn names_that_are_not_there_are_said() {
        let choice = choose(&[], &snapshot(&[], &["lan1", "lan7"]), &present());
        assert_eq!(names(&choice), ["lan1"]);
        assert_eq!(choice.missing, ["lan7"]);
    }

    fn names(choice: &Choice) -> Vec<&str> {
        choice
            .interfaces
            .iter()
            .map(|it| it.name.as_str())
            .collect()
    }

    fn present() -> Present {
        let interface = |name: &str, index, address: &str| Interface {
            name: name.to_owned(),
            index,
            mac: Mac([2, 0, 0, 0, 0, 1]),
            addresses: vec![address.parse().expect("a prefix")],
        };
        Present {
            up: vec![
                interface("lan0", 2, "192.0.2.1/24"),
                interface("pod0", 4, "192.0.2.200/32"),
            ],
            down: vec![interface("lan1", 3, "198.51.100.1/24")],
            routers: Vec::new(),
        }
    }

    fn snapshot(configured: &[&str], of_pool: &[&str]) -> Snapshot {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Snapshot {
            pools: vec![Pool {
                name: "lan".to_owned(),
                ranges: vec!["192.0.2.200-192.0.2.210".parse().expect("a range")],
                interfaces: owned(of_pool),
            }],
            datapath: DatapathSettings {
                interfaces: owned(configured),
                ..DatapathSettings::default()
            },
            ..Snapshot::default()
        }
    }
}
