//! The settings of each Gateway: those of its class, and in their place what its SanmonGatewayConfig says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_ir::{ObjectName, ProxySettings};

use crate::conv;
use crate::inputs::Inputs;
use crate::model::{Gateway, Problem};
use crate::status::{Condition, ConditionStatus, ConditionType, Kind, ObjectStatus, Reason};

/// Looks settings up, and remembers what was wrong with each object.
pub(crate) struct GatewayConfigs<'a> {
    inputs: &'a Inputs,
    /// Those that a Gateway names, with the values that cannot be.
    used: RefCell<BTreeMap<ObjectName, Vec<String>>>,
}

impl<'a> GatewayConfigs<'a> {
    pub(crate) fn new(inputs: &'a Inputs) -> Self {
        Self {
            inputs,
            used: RefCell::default(),
        }
    }

    /// How the proxy serves a Gateway.
    ///
    /// # Errors
    /// When it names something that is not there, is no SanmonGatewayConfig, or holds a value that cannot be.
    pub(crate) fn settings(
        &self,
        gateway: &Gateway,
        of_class: &Arc<ProxySettings>,
    ) -> Result<Arc<ProxySettings>, Problem> {
        let Some(wanted) = &gateway.parameters else {
            return Ok(Arc::clone(of_class));
        };
        let invalid = |message: String| {
            let message = format!("infrastructure.parametersRef: {message}");
            Problem::new(Reason::InvalidParameters, message)
        };
        let kind = Kind::SanmonGatewayConfig.as_str();
        if wanted.group != "sanmon.dev" || wanted.kind != kind {
            let (found, group) = (&wanted.kind, &wanted.group);
            let message =
                format!("{found} of group {group:?} is not served; {kind} of sanmon.dev is");
            return Err(invalid(message));
        }
        let name = &wanted.name;
        let found = self.inputs.sanmon_gateway_configs.get(name);
        let found = found.ok_or_else(|| invalid(format!("there is no {kind} {name}")))?;
        let settings = conv::proxy::of_gateway(found, of_class);
        let refused = settings.as_ref().err().cloned().unwrap_or_default();
        self.used.borrow_mut().insert(name.clone(), refused);
        settings.map(Arc::new).map_err(|refused| {
            let refused = refused.join("; ");
            invalid(format!("{kind} {name} is refused: {refused}"))
        })
    }

    /// What became of every SanmonGatewayConfig.
    pub(crate) fn statuses(self) -> Vec<ObjectStatus> {
        let used = self.used.into_inner();
        let configs = self.inputs.sanmon_gateway_configs.iter();
        let statuses = configs.map(|(name, config)| {
            let generation = config.metadata.generation.unwrap_or_default();
            ObjectStatus {
                conditions: vec![accepted(used.get(name).map(Vec::as_slice))],
                ..ObjectStatus::new(Kind::SanmonGatewayConfig, name, generation)
            }
        });
        statuses.collect()
    }
}

/// No refusals at all: no Gateway of ours names it.
fn accepted(refused: Option<&[String]>) -> Condition {
    let kind = ConditionType::Accepted;
    let (status, reason, message) = match refused {
        None => {
            let message = "no Gateway of an accepted class names it".to_owned();
            (ConditionStatus::True, Reason::Accepted, message)
        }
        Some([]) => (ConditionStatus::True, Reason::Accepted, String::new()),
        Some(refused) => {
            let message = format!("refused: {}", refused.join("; "));
            (ConditionStatus::False, Reason::Invalid, message)
        }
    };
    Condition::new(kind, status, reason, message)
}
