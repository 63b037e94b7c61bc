//! Which classes are ours, and the settings that they name.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gateway_ir::{DatapathSettings, ObjectName, ProxySettings};

use crate::conv;
use crate::conv::config::ConfiguredPool;
use crate::inputs::Inputs;
use crate::kinds::SanmonConfig;
use crate::model::{Class, Problem};
use crate::status::{Condition, ConditionStatus, ConditionType, Kind, ObjectStatus, Reason};
use crate::{Announce, Settings};

/// The SanmonConfig of classes that name none.
const DEFAULT_CONFIG: &str = "default";

/// What our classes and their SanmonConfigs say.
#[derive(Debug)]
pub(crate) struct Config {
    /// Our classes by name; a problem: it is not accepted.
    pub(crate) classes: BTreeMap<String, Option<Problem>>,
    /// The pools that are in force, in the order of configurations and entries.
    pub(crate) pools: Vec<ConfiguredPool>,
    /// Where the addresses of Gateways come from.
    pub(crate) addressing: Addressing,
    pub(crate) datapath: DatapathSettings,
    pub(crate) proxy: ProxySettings,
    pub(crate) statuses: Vec<ObjectStatus>,
}

/// Where the addresses of Gateways come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// From the pools.
    Pools,
    /// The machine's own: nothing is announced, for this reason.
    Local(String),
}

pub(crate) fn read(inputs: &Inputs, settings: &Settings) -> Config {
    let mut config = Config {
        classes: BTreeMap::new(),
        pools: Vec::new(),
        addressing: Addressing::Local("no SanmonConfig has an address pool".to_owned()),
        datapath: DatapathSettings::default(),
        proxy: ProxySettings::default(),
        statuses: Vec::new(),
    };
    let used = read_classes(inputs, settings, &mut config);
    let taken = taken_addresses(inputs, settings);
    let mut problems: BTreeMap<&ObjectName, Vec<String>> = BTreeMap::new();
    for (index, name) in used.iter().enumerate() {
        let Some(found) = inputs.sanmon_configs.get(name) else {
            continue;
        };
        let (proxy, mut refused) = conv::config::proxy(found);
        if index == 0 {
            config.datapath = conv::config::datapath(found);
            config.proxy = proxy;
        }
        refused.extend(take_pools(found, &taken, &mut config));
        problems.insert(name, refused);
    }
    if let Announce::Off(why) = &settings.announce {
        config.pools.clear();
        config.addressing = Addressing::Local(why.clone());
    }
    let first = used.first();
    for (name, found) in &inputs.sanmon_configs {
        let condition = accepted(problems.get(name).map(Vec::as_slice), name, first);
        config.statuses.push(status(
            Kind::SanmonConfig,
            name,
            found.metadata.generation,
            condition,
        ));
    }
    config
}

/// Reads our classes; gives the SanmonConfigs that they use, in the order of the classes.
fn read_classes(inputs: &Inputs, settings: &Settings, config: &mut Config) -> Vec<ObjectName> {
    let mut used = Vec::new();
    let classes = inputs
        .gateway_classes
        .values()
        .map(|it| conv::class::class(it));
    for class in classes.filter(|class| class.controller == settings.controller_name) {
        let problem = match parameters(&class, inputs) {
            Ok(Some(name)) if !used.contains(&name) => {
                used.push(name);
                None
            }
            Ok(_known_or_none) => None,
            Err(problem) => Some(problem),
        };
        let condition = match &problem {
            None => affirm(String::new()),
            Some(problem) => refuse(problem.reason, problem.message.clone()),
        };
        let generation = Some(class.meta.generation);
        config.statuses.push(status(
            Kind::GatewayClass,
            &class.meta.name,
            generation,
            condition,
        ));
        config.classes.insert(class.meta.name.name, problem);
    }
    used
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
    let name = ObjectName::new("", &wanted.name.name);
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
            "its pools are in force; datapath and proxy settings are those of {}",
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
