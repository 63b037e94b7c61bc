//! Addresses are stable, within the pool and never shared.

use proptest::prelude::{Strategy, proptest};

use super::*;

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
    ) {
        let last = Ipv4Addr::from(u32::from(Ipv4Addr::new(192, 0, 2, 0)) + size - 1);
        let pools = [pool(&format!("192.0.2.0-{last}"), Assign::Automatic)];
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = assigned(&pools, &names);
        let distinct: std::collections::BTreeSet<_> = found.values().collect();
        assert_eq!(distinct.len(), found.len());
        assert_eq!(found.len(), names.len().min(size as usize));
        assert!(found.values().all(|it| pools[0].pool.contains(*it)));
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
    let inputs = Inputs::default();
    let mut pools = Pools::new(&inputs, pools);
    let names = names.iter().map(|name| ObjectName::new("default", *name));
    names
        .filter_map(|name| Some((name.name.clone(), pools.any(&name).ok()?.address)))
        .collect()
}
