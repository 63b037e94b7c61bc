//! What a SanmonConfig says of gate 1, each value checked: one that cannot be is named, and its default is in force.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use gateway_crds::{Announcement, ConflictPolicy, Voters};
use gateway_ir::{AnnounceSettings, NodeName};

use super::meta::selector;
use crate::inputs::Inputs;
use crate::kinds::SanmonConfig;

/// More voters make heartbeats dearer and fail-over no better.
const VOTERS_MAX: usize = 5;
const BEAT: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_secs(5);
const REFRESH: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
const MISSES: RangeInclusive<u32> = 3..=12;

/// The settings in force, and what was refused.
pub(crate) fn settings(config: &SanmonConfig, inputs: &Inputs) -> (AnnounceSettings, Vec<String>) {
    let (mut settings, mut refused) = (AnnounceSettings::default(), Vec::new());
    if let Some(given) = &config.spec.announcement {
        apply(given, inputs, &mut settings, &mut refused);
    }
    let refused = refused.into_iter().map(|it| format!("announcement.{it}"));
    (settings, refused.collect())
}

fn apply(
    given: &Announcement,
    inputs: &Inputs,
    settings: &mut AnnounceSettings,
    refused: &mut Vec<String>,
) {
    let interval = given.heartbeat_interval.as_deref();
    match interval.map(|text| duration("heartbeatInterval", text, &BEAT)) {
        None => {}
        Some(Ok(beat)) => settings.beat = beat,
        Some(Err(why)) => refused.push(why),
    }
    match given.heartbeat_misses {
        None => {}
        Some(misses) if MISSES.contains(&misses) => settings.misses = misses,
        Some(misses) => refused.push(format!("heartbeatMisses {misses} is not in 3..=12")),
    }
    let interval = given.refresh_interval.as_deref();
    match interval.map(|text| duration("refreshInterval", text, &REFRESH)) {
        None => {}
        Some(Ok(refresh)) => settings.refresh = refresh,
        Some(Err(why)) => refused.push(why),
    }
    if let Some(policy) = given.conflict_policy {
        settings.conflicts = match policy {
            ConflictPolicy::Defend => gateway_ir::ConflictPolicy::Defend,
            ConflictPolicy::Yield => gateway_ir::ConflictPolicy::Yield,
            ConflictPolicy::Reallocate => gateway_ir::ConflictPolicy::Reallocate,
        };
    }
    for text in &given.witnesses {
        match witness(text) {
            Some(address) => settings.witnesses.push(address),
            None => refused.push(format!("witnesses {text:?} is not the address of a host")),
        }
    }
    settings.witnesses.sort_unstable();
    settings.witnesses.dedup();
    if let Some(wanted) = &given.voters {
        settings.voters = voters(wanted, inputs, refused);
    }
}

/// The nodes that are named or selected, sorted. A name without a Node is named: it would not vote.
fn voters(given: &Voters, inputs: &Inputs, refused: &mut Vec<String>) -> Vec<NodeName> {
    let exists = |name: &String| inputs.nodes.keys().any(|it| *it.name == **name);
    let mut names = Vec::new();
    for name in &given.names {
        if exists(name) {
            names.push(NodeName(name.clone()));
        } else {
            refused.push(format!("voters.names {name:?} is the name of no Node"));
        }
    }
    if let Some(wanted) = given.selector.as_ref().map(selector) {
        let nodes = inputs.nodes.iter();
        let labelled = nodes.filter(|(_, node)| {
            let labels = node.metadata.labels.clone().unwrap_or_default();
            wanted.matches(&labels)
        });
        let labelled: Vec<_> = labelled
            .map(|(name, _)| NodeName(name.name.to_string()))
            .collect();
        if labelled.is_empty() {
            refused.push("voters.selector selects no Node: the first five by name vote".to_owned());
        }
        names.extend(labelled);
    }
    names.sort_unstable();
    names.dedup();
    if names.len() > VOTERS_MAX {
        if given.selector.is_none() {
            refused.push(format!(
                "voters.names has more than {VOTERS_MAX}: the first by name vote"
            ));
        }
        names.truncate(VOTERS_MAX);
    }
    names
}

/// The router and other neighbours are asked by ARP.
fn witness(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    let is_host = !address.is_loopback() && !address.is_multicast() && !address.is_unspecified();
    is_host.then_some(address)
}

fn duration(name: &str, text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let parsed = text.parse::<gateway_api::Duration>().ok();
    let parsed = parsed.map(|it| Duration::new(it.as_secs(), it.subsec_nanos()));
    parsed.filter(|it| range.contains(it)).ok_or_else(|| {
        let (start, end) = (range.start(), range.end());
        format!("{name} {text:?} is not a duration from {start:?} to {end:?}")
    })
}
