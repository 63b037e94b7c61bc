//! Which classes are ours, and the settings that they name.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use gateway_ir::{AnnounceSettings, DatapathSettings, ObjectName, ProxySettings, WorkerSettings};

use crate::conv;
use crate::conv::config::ConfiguredPool;
use crate::conv::proxy::Proxies;
use crate::inputs::Inputs;
use crate::kinds::SanmonConfig;
use crate::model::{Class, Meta, Problem};
use crate::status::{Condition, ConditionStatus, ConditionType, Kind, ObjectStatus, Reason};
use crate::{Announce, Settings};

/// The SanmonConfig of classes that name none.
const DEFAULT_CONFIG: &str = "default";

/// What our classes and their SanmonConfigs say.
#[derive(Debug)]
pub(crate) struct Config {
    /// Our classes by name.
    pub(crate) classes: BTreeMap<String, ClassState>,
    /// The pools that are in force, in the order of configurations and entries.
    pub(crate) pools: Vec<ConfiguredPool>,
    /// Where the addresses of Gateways come from.
    pub(crate) addressing: Addressing,
    pub(crate) announce: AnnounceSettings,
    pub(crate) datapath: DatapathSettings,
    pub(crate) workers: WorkerSettings,
    pub(crate) statuses: Vec<ObjectStatus>,
}

/// A class of ours.
#[derive(Debug)]
pub(crate) struct ClassState {
    /// Why its Gateways are not served.
    pub(crate) problem: Option<Problem>,
    /// How the proxy serves Gateways that do not say otherwise.
    pub(crate) proxy: Arc<ProxySettings>,
}

/// Where the addresses of Gateways come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// From the pools.
    Pools,
    /// The machine's own: nothing is announced, for this reason.
    Local(String),
}

/// A SanmonConfig that a class uses.
struct Used {
    proxy: Arc<ProxySettings>,
    /// What of it is not in force.
    refused: Vec<String>,
}

pub(crate) fn read(inputs: &Inputs, settings: &Settings) -> Config {
    let mut config = Config {
        classes: BTreeMap::new(),
        pools: Vec::new(),
        addressing: Addressing::Local("no SanmonConfig has an address pool".to_owned()),
        announce: AnnounceSettings::default(),
        datapath: DatapathSettings::default(),
        workers: WorkerSettings::default(),
        statuses: Vec::new(),
    };
    let classes = inputs.gateway_classes.values();
    let classes = classes.map(|it| conv::class::class(it));
    let ours = classes.filter(|class| class.controller == settings.controller_name);
    let ours: Vec<_> = ours
        .map(|class| (parameters(&class, inputs), class))
        .collect();
    let mut names: Vec<&ObjectName> = Vec::new();
    for name in ours.iter().filter_map(|(it, _)| it.as_ref().ok()?.as_ref()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let used = read_used(&names, inputs, settings, &mut config);
    for (parameters, class) in &ours {
        take_class(class, parameters, &used, &mut config);
    }
    // Of files there is no version: they are read by the types of this program.
    if let Some(served) = &inputs.served {
        for class in &mut config.statuses {
            class.conditions.push(served.condition());
        }
    }
    for (name, found) in &inputs.sanmon_configs {
        let refused = used.get(name).map(|it| it.refused.as_slice());
        let condition = accepted(refused, name, names.first().copied());
        let generation = found.metadata.generation;
        let status = status(Kind::SanmonConfig, name, generation, condition);
        config.statuses.push(status);
    }
    config
}

/// Takes over the SanmonConfigs that classes use, in the order of the classes.
fn read_used(
    names: &[&ObjectName],
    inputs: &Inputs,
    settings: &Settings,
    config: &mut Config,
) -> BTreeMap<ObjectName, Used> {
    let taken = taken_addresses(inputs, settings);
    let mut used = BTreeMap::new();
    for (index, name) in names.iter().enumerate() {
        let Some(found) = inputs.sanmon_configs.get(*name) else {
            continue;
        };
        let Proxies {
            workers,
            gateways,
            mut refused,
        } = conv::proxy::proxies(found);
        let (announce, refused_there) = conv::announce::settings(found, inputs);
        refused.extend(refused_there);
        if index == 0 {
            config.announce = announce;
            config.datapath = conv::config::datapath(found);
            config.workers = workers;
            match conv::session_keys::session_keys(found, inputs) {
                Ok(keys) => config.workers.session_keys = keys,
                Err(message) => refused.push(message),
            }
        }
        refused.extend(take_pools(found, &taken, config));
        let proxy = Arc::new(gateways);
        used.insert((*name).clone(), Used { proxy, refused });
    }
    if let Announce::Off(why) = &settings.announce {
        config.pools.clear();
        config.addressing = Addressing::Local(why.clone());
    }
    used
}

/// Takes over a class. One whose settings are wrong in part is not accepted, and what is right of them serves on: a typing
/// error must not take down what runs.
fn take_class(
    class: &Class,
    parameters: &Result<Option<ObjectName>, Problem>,
    used: &BTreeMap<ObjectName, Used>,
    config: &mut Config,
) {
    let (problem, used) = match parameters {
        Ok(name) => (None, name.as_ref().and_then(|it| used.get(it))),
        Err(problem) => (Some(problem.clone()), None),
    };
    let refused = used.map_or(&[][..], |it| &it.refused);
    let condition = match &problem {
        Some(problem) => refuse(problem.reason, problem.message.clone()),
        None if refused.is_empty() => affirm(String::new()),
        None => {
            let refused = refused.join("; ");
            let message = format!("its Gateways are served without what is refused: {refused}");
            refuse(Reason::InvalidParameters, message)
        }
    };
    let Meta {
        name, generation, ..
    } = &class.meta;
    let status = status(Kind::GatewayClass, name, Some(*generation), condition);
    config.statuses.push(status);
    let proxy = used.map(|it| Arc::clone(&it.proxy)).unwrap_or_default();
    let state = ClassState { problem, proxy };
    config.classes.insert(name.name.to_string(), state);
}

/// The SanmonConfig of a class, if it has one.
fn parameters(class: &Class, inputs: &Inputs) -> Result<Option<ObjectName>, Problem> {
    let Some(wanted) = &class.parameters else {
        let default = ObjectName::new("", DEFAULT_CONFIG);
        return Ok(inputs
            .sanmon_configs
            .contains_key(&default)
            .then_some(default));
    };
    if wanted.group != "sanmon.dev" || wanted.kind != "SanmonConfig" {
        let message = format!(
            "parametersRef names a {} of group {:?}; it must be a SanmonConfig of sanmon.dev",
            wanted.kind, wanted.group
        );
        return Err(Problem::new(Reason::InvalidParameters, message));
    }
    let name = ObjectName::new("", Arc::clone(&wanted.name.name));
    if !inputs.sanmon_configs.contains_key(&name) {
        let message = format!("there is no SanmonConfig {name}");
        return Err(Problem::new(Reason::InvalidParameters, message));
    }
    Ok(Some(name))
}

/// The addresses that no pool may hold, with their owners.
fn taken_addresses(inputs: &Inputs, settings: &Settings) -> Vec<(String, IpAddr)> {
    let own = settings.own_addresses.iter();
    let own = own.map(|address| ("an interface of this machine".to_owned(), *address));
    let nodes = conv::config::node_addresses(inputs).into_iter();
    own.chain(nodes.map(|(node, address)| (format!("Node {node}"), address)))
        .collect()
}

/// Takes over the pools of a configuration; gives what was refused. One bad pool leaves the others in force.
fn take_pools(
    found: &SanmonConfig,
    taken: &[(String, IpAddr)],
    config: &mut Config,
) -> Vec<String> {
    let mut refused = Vec::new();
    for pool in conv::config::pools(found) {
        // A pool that is refused must not turn the machine's own addresses into Gateways.
        config.addressing = Addressing::Pools;
        let checked = pool.and_then(|pool| match clash(&pool, &config.pools, taken) {
            Some(why) => Err(format!("pool {} {why}", pool.pool.name)),
            None => Ok(pool),
        });
        match checked {
            Ok(pool) => config.pools.push(pool),
            Err(why) => refused.push(why),
        }
    }
    refused
}

fn clash(
    pool: &ConfiguredPool,
    others: &[ConfiguredPool],
    taken: &[(String, IpAddr)],
) -> Option<String> {
    let pool = &pool.pool;
    if others.iter().any(|other| other.pool.name == pool.name) {
        return Some("has the name of another pool".to_owned());
    }
    let overlaps = |other: &&ConfiguredPool| {
        let ranges = &other.pool.ranges;
        ranges
            .iter()
            .any(|range| pool.ranges.iter().any(|own| own.overlaps(range)))
    };
    if let Some(other) = others.iter().find(overlaps) {
        return Some(format!("overlaps pool {}", other.pool.name));
    }
    let (owner, address) = taken.iter().find(|(_, address)| pool.contains(*address))?;
    Some(format!(
        "holds {address}, the address of {owner}: leave it out of the pool"
    ))
}

/// The condition of a SanmonConfig; no problems at all: no class uses it.
fn accepted(
    problems: Option<&[String]>,
    name: &ObjectName,
    first: Option<&ObjectName>,
) -> Condition {
    match problems {
        None => affirm("no accepted GatewayClass uses it".to_owned()),
        Some([]) if first == Some(name) => affirm(String::new()),
        Some([]) => affirm(format!(
            "its pools and the proxy settings of its Gateways are in force; the rest is that of {}",
            first.map(ToString::to_string).unwrap_or_default()
        )),
        Some(problems) => refuse(Reason::Invalid, format!("refused: {}", problems.join("; "))),
    }
}

fn affirm(message: String) -> Condition {
    Condition::new(
        ConditionType::Accepted,
        ConditionStatus::True,
        Reason::Accepted,
        message,
    )
}

fn refuse(reason: Reason, message: String) -> Condition {
    Condition::new(
        ConditionType::Accepted,
        ConditionStatus::False,
        reason,
        message,
    )
}

fn status(
    kind: Kind,
    name: &ObjectName,
    generation: Option<i64>,
    condition: Condition,
) -> ObjectStatus {
    ObjectStatus {
        conditions: vec![condition],
        ..ObjectStatus::new(kind, name, generation.unwrap_or_default())
    }
}
