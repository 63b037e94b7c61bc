//! References to certificates of authorities.

use crate::conv;
use crate::inputs::Inputs;
use crate::model::ObjectRef;

/// What is wrong with a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is to something else than a ConfigMap.
    Kind,
    /// There is none, or it holds no certificate.
    Content,
}

/// The certificates that a caCertificateRef leads to, in DER and at least one.
pub(crate) fn roots(
    reference: &ObjectRef,
    inputs: &Inputs,
) -> Result<Vec<Vec<u8>>, (Fault, String)> {
    let name = &reference.name;
    if !reference.group.is_empty() || reference.kind != "ConfigMap" {
        let kind = &reference.kind;
        let message = format!("caCertificateRef {name} is a {kind}; it must be a ConfigMap");
        return Err((Fault::Kind, message));
    }
    let map = inputs.config_maps.get(name);
    let map = map.ok_or_else(|| (Fault::Content, format!("there is no ConfigMap {name}")))?;
    conv::certificates::roots(name, map).map_err(|message| (Fault::Content, message))
}
