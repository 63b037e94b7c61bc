//! Addresses are stable, within the pool and never shared.

use proptest::prelude::{Strategy, proptest};

use super::*;

const FOREIGN: Mac = Mac([2, 0, 0, 0, 0, 0x66]);

#[test]
fn a_gateway_that_comes_moves_no_other_while_places_are_free() {
    let pools = [pool("192.0.2.0/24", Assign::Automatic)];
    let before = assigned(&pools, &["a", "c", "d"]);
    let after = assigned(&pools, &["a", "b", "c", "d"]);
    for (name, address) in before {
        assert_eq!(after.get(&name), Some(&address), "{name}");
    }
}

#[test]
fn a_full_pool_leaves_the_last_without_an_address() {
    let pools = [pool("192.0.2.8-192.0.2.9", Assign::Automatic)];
    assert_eq!(assigned(&pools, &["a", "b", "c"]).len(), 2);
}

#[test]
fn a_pool_on_request_is_not_touched_by_itself() {
    assert!(assigned(&[pool("192.0.2.0/24", Assign::OnRequest)], &["a"]).is_empty());
}

#[test]
fn ipv4_comes_before_ipv6() {
    let both = [
        pool("fd00::/64", Assign::Automatic),
        pool("192.0.2.0/24", Assign::Automatic),
    ];
    assert!(assigned(&both, &["a"]).values().all(IpAddr::is_ipv4));
    assert!(assigned(&both[..1], &["a"]).values().all(IpAddr::is_ipv6));
}

#[test]
fn what_another_machine_has_is_left_out_and_moves_nobody_else() {
    let pools = [pool("192.0.2.0/24", Assign::Automatic)];
    let before = assigned(&pools, &["a", "b", "c"]);
    let after = assigned_without(&pools, &["a", "b", "c"], &[before["b"]]);
    assert_ne!(after["b"], before["b"]);
    assert_eq!((after["a"], after["c"]), (before["a"], before["c"]));
}

#[test]
fn what_another_machine_has_is_better_than_nothing() {
    let pools = [pool("192.0.2.8-192.0.2.9", Assign::Automatic)];
    let aside = ["192.0.2.8", "192.0.2.9"].map(|it| it.parse().unwrap());
    assert_eq!(assigned_without(&pools, &["a", "b"], &aside[..1]).len(), 2);
    let inputs = Inputs::default();
    let aside = aside.into_iter().map(|it| (it, FOREIGN)).collect();
    for held in ["192.0.2.8", "192.0.2.9"].map(|it| it.parse().unwrap()) {
        let mut pools = Pools::new(&inputs, &pools, &aside);
        let vip = pools.any(&ObjectName::new("default", "a"), &[held]);
        assert_eq!(vip.map(|it| it.address), Ok(held), "it stays where it is");
    }
}

#[test]
fn the_place_of_a_name_never_changes() {
    // Recorded: another value would move every address at an upgrade.
    assert_eq!(
        place(&ObjectName::new("default", "gw")),
        0xe6aa_29c9_e020_8581
    );
}

proptest! {
    #[test]
    fn addresses_are_of_the_pool_and_never_shared(
        names in proptest::collection::btree_set("[a-z]{1,3}", 0..40),
        size in (1u8..40).prop_map(u32::from),
        aside in proptest::collection::btree_set(0u8..40, 0..9),
    ) {
        let last = Ipv4Addr::from(u32::from(Ipv4Addr::new(192, 0, 2, 0)) + size - 1);
        let pools = [pool(&format!("192.0.2.0-{last}"), Assign::Automatic)];
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let aside: Vec<IpAddr> = aside.iter().map(|it| IpAddr::from([192, 0, 2, *it])).collect();
        let found = assigned_without(&pools, &names, &aside);
        let distinct: BTreeSet<_> = found.values().collect();
        assert_eq!(distinct.len(), found.len());
        assert_eq!(found.len(), names.len().min(size as usize));
        assert!(found.values().all(|it| pools[0].pool.contains(*it)));
        let left = aside.iter().filter(|it| pools[0].pool.contains(**it)).count();
        if names.len() + left <= size as usize {
            assert!(found.values().all(|it| !aside.contains(it)));
        }
    }
}

fn pool(range: &str, assign: Assign) -> ConfiguredPool {
    ConfiguredPool {
        pool: Pool {
            name: range.to_owned(),
            ranges: vec![range.parse().expect("a range")],
            interfaces: Vec::new(),
        },
        assign,
        namespaces: None,
    }
}

fn assigned(pools: &[ConfiguredPool], names: &[&str]) -> BTreeMap<String, IpAddr> {
    assigned_without(pools, names, &[])
}

/// The same while other machines have addresses.
fn assigned_without(
    pools: &[ConfiguredPool],
    names: &[&str],
    aside: &[IpAddr],
) -> BTreeMap<String, IpAddr> {
    let inputs = Inputs::default();
    let aside = aside.iter().map(|it| (*it, FOREIGN)).collect();
    let mut pools = Pools::new(&inputs, pools, &aside);
    let names = names.iter().map(|name| ObjectName::new("default", *name));
    names
        .filter_map(|name| Some((name.name.to_string(), pools.any(&name, &[]).ok()?.address)))
        .collect()
}
