//! Header modifiers.

use std::collections::BTreeSet;

use gateway_crds::httproutes::HttpRouteRulesFiltersRequestHeaderModifier as Modifier;
use gateway_ir::HeaderEdits;
use http::{HeaderName, HeaderValue, header};

use crate::conv::syntax::header_name;

/// The most entries that a list may have (the CRD's limit).
const ENTRIES_MAX: usize = 16;

/// Headers that say where a message ends and whose it is: who changes them makes proxy and endpoint disagree about that.
const FRAMING: [HeaderName; 7] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Reads a modifier of requests or responses.
pub(super) fn edits(modifier: &Modifier) -> Result<HeaderEdits, String> {
    let pairs = modifier.set.iter().flatten();
    let set = pairs.map(|it| (it.name.as_str(), it.value.as_str()));
    let pairs = modifier.add.iter().flatten();
    let add = pairs.map(|it| (it.name.as_str(), it.value.as_str()));
    let names = modifier.remove.iter().flatten();
    let remove: Vec<HeaderName> = names.map(|name| editable(name)).collect::<Result<_, _>>()?;
    let edits = HeaderEdits {
        set: headers(set)?,
        add: headers(add)?,
        remove,
    };
    let longest = edits.set.len().max(edits.add.len()).max(edits.remove.len());
    if longest > ENTRIES_MAX {
        return Err(format!("more than {ENTRIES_MAX} headers are modified"));
    }
    Ok(edits)
}

/// Gateway API: of names that differ by case only the first counts; the same name twice is refused, as the CRD does.
fn headers<'a>(
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let mut written = BTreeSet::new();
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in pairs {
        if !written.insert(name) {
            return Err(format!("header {name} is modified twice"));
        }
        let parsed = editable(name)?;
        let value = HeaderValue::from_str(value);
        let value = value.map_err(|_invalid| format!("the value of header {name} is not one"))?;
        if !headers.iter().any(|(other, _)| *other == parsed) {
            headers.push((parsed, value));
        }
    }
    Ok(headers)
}

fn editable(name: &str) -> Result<HeaderName, String> {
    let parsed = header_name(name)?;
    if FRAMING.contains(&parsed) {
        return Err(format!("header {parsed} can not be modified"));
    }
    Ok(parsed)
}
