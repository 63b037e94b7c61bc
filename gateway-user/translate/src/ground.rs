//! What routes stand on: classes, Gateways with their listeners and addresses, grants, policies. It depends on no route.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_ir::{ObjectName, SharedMap};

use crate::attach::Parents;
use crate::backend_policy::Policies;
use crate::config::{self, Config};
use crate::conv::grant::Grants;
use crate::gateway_config::GatewayConfigs;
use crate::inputs::Inputs;
use crate::listener::{self, GatewayState, ListenerState};
use crate::routes::Seat;
use crate::status::{ObjectKey, ObjectStatus};
use crate::{Settings, conflict, overlap, vips};

/// What routes stand on.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) config: Config,
    /// What became of the SanmonGatewayConfigs.
    pub(crate) gateway_configs: Vec<ObjectStatus>,
    pub(crate) grants: Grants,
    pub(crate) policies: Policies,
    pub(crate) gateways: BTreeMap<ObjectName, GatewayState>,
    pub(crate) parents: Parents,
}

impl Ground {
    pub(crate) fn new(inputs: &Inputs, settings: &Settings) -> Self {
        let config = config::read(inputs, settings);
        let grants = Grants::new(inputs);
        let configs = GatewayConfigs::new(inputs);
        let mut gateways = listener::gateways(inputs, &config, &configs, &grants);
        vips::assign(inputs, &config, settings, &mut gateways);
        conflict::find(&mut gateways);
        overlap::find(&mut gateways);
        Self {
            config,
            policies: Policies::new(inputs),
            parents: Parents::new(&gateways),
            gateway_configs: configs.statuses(),
            grants,
            gateways,
        }
    }

    /// A route counts for listeners from now on.
    pub(crate) fn enter<'s>(
        &mut self,
        seats: impl IntoIterator<Item = &'s Seat>,
        route: &ObjectKey,
    ) {
        for seat in seats {
            if let Some(listener) = self.listener(seat) {
                listener.routes.insert((route.kind, route.name.clone()));
            }
        }
    }

    /// A route counts for listeners no longer.
    pub(crate) fn leave<'s>(
        &mut self,
        seats: impl IntoIterator<Item = &'s Seat>,
        route: &ObjectKey,
    ) {
        for seat in seats {
            if let Some(listener) = self.listener(seat) {
                listener.routes.remove(&(route.kind, route.name.clone()));
            }
        }
    }

    fn listener(&mut self, (gateway, index): &Seat) -> Option<&mut ListenerState> {
        self.gateways.get_mut(gateway)?.listeners.get_mut(*index)
    }

    /// Whether all that it is made of is the same in two states.
    pub(crate) fn is_same(old: &Inputs, new: &Inputs) -> bool {
        same(&old.gateway_classes, &new.gateway_classes)
            && same(&old.gateways, &new.gateways)
            && same(&old.listener_sets, &new.listener_sets)
            && same(&old.backend_tls_policies, &new.backend_tls_policies)
            && same(&old.reference_grants, &new.reference_grants)
            && same(&old.secrets, &new.secrets)
            && same(&old.config_maps, &new.config_maps)
            && same(&old.cluster_trust_bundles, &new.cluster_trust_bundles)
            && same(&old.namespaces, &new.namespaces)
            && same(&old.nodes, &new.nodes)
            && same(&old.sanmon_configs, &new.sanmon_configs)
            && same(&old.sanmon_gateway_configs, &new.sanmon_gateway_configs)
            && old.served == new.served
    }
}

/// Whether two states have the same objects.
pub(crate) fn same<T>(
    old: &SharedMap<ObjectName, Arc<T>>,
    new: &SharedMap<ObjectName, Arc<T>>,
) -> bool {
    old.differences(new, Arc::ptr_eq).next().is_none()
}
