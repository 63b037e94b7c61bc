//! The filters of a rule or of a backendRef, compiled: what they change in heads, and what they answer by themselves.
//!
//! No IO, and no knowledge of the engine: heads in, heads out.

mod cors;
mod location;

use gateway_ir::{Filter, HeaderEdits, Redirect, UrlRewrite};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::headers::frames_messages;

pub(crate) use cors::{CorsPolicy, Verdict};
pub(crate) use location::Place;

/// The filters of one list.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    /// What comes before an authorization.
    early: Vec<HeaderEdits>,
    request: Vec<HeaderEdits>,
    response: Vec<HeaderEdits>,
    rewrite: UrlRewrite,
    // Few rules have these, and every rule and backendRef has room for them.
    redirect: Option<Box<Redirect>>,
    cors: Option<Box<CorsPolicy>>,
    redirects: Turn,
}

/// When a redirect answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Before anybody is asked.
    First,
    /// To those alone who are authorized.
    #[default]
    Authorized,
}

impl Filters {
    pub(crate) fn new(filters: &[Filter]) -> Self {
        let mut compiled = Self::default();
        let mut turn = Turn::First;
        for filter in filters {
            match filter {
                Filter::RequestHeaderModifier(edits) => compiled.request.push(safe(edits)),
                Filter::ResponseHeaderModifier(edits) => compiled.response.push(safe(edits)),
                Filter::RequestRedirect(redirect) => {
                    compiled.redirect = Some(Box::new(redirect.clone()));
                    compiled.redirects = turn;
                }
                Filter::UrlRewrite(rewrite) => compiled.rewrite = rewrite.clone(),
                Filter::Cors(cors) => compiled.cors = Some(Box::new(CorsPolicy::new(cors))),
                // Belongs to the rule, which knows where copies go.
                Filter::RequestMirror(_) => {}
                // So does the server; here it is a place in the order.
                Filter::ExternalAuth(_) => {
                    turn = Turn::Authorized;
                    compiled.early = std::mem::take(&mut compiled.request);
                }
            }
        }
        compiled
    }

    /// The cross-origin policy.
    pub(crate) fn cors(&self) -> Option<&CorsPolicy> {
        self.cors.as_deref()
    }

    /// The answer of a redirect: its status and where it leads.
    pub(crate) fn redirect(&self, place: &Place<'_>) -> Option<(http::StatusCode, String)> {
        let redirect = self.redirect.as_ref()?;
        Some((redirect.status, location::location(redirect, place)))
    }

    /// When the redirect answers.
    pub(crate) fn redirects(&self) -> Turn {
        self.redirects
    }

    /// The path that the endpoint sees, if it is another than the client's.
    pub(crate) fn path(&self, place: &Place<'_>) -> Option<String> {
        let modifier = self.rewrite.path.as_ref()?;
        Some(location::modified_path(modifier, place))
    }

    /// Changes the head before an authorization.
    pub(crate) fn edit_early(&self, headers: &mut HeaderMap) {
        self.early.iter().for_each(|edits| apply(edits, headers));
    }

    /// Changes the head for the endpoint; the path apart.
    pub(crate) fn edit_request(&self, headers: &mut HeaderMap) {
        self.request.iter().for_each(|edits| apply(edits, headers));
        let host = self.rewrite.hostname.as_deref();
        if let Some(Ok(host)) = host.map(HeaderValue::from_str) {
            headers.insert(header::HOST, host);
        }
    }

    /// Changes the head for the client.
    pub(crate) fn edit_response(&self, headers: &mut HeaderMap) {
        self.response.iter().for_each(|edits| apply(edits, headers));
    }
}

fn apply(edits: &HeaderEdits, headers: &mut HeaderMap) {
    for name in &edits.remove {
        headers.remove(name);
    }
    for (name, value) in &edits.set {
        headers.insert(name, value.clone());
    }
    for (name, value) in &edits.add {
        headers.append(name, value.clone());
    }
}

/// Leaves out headers that a message is delimited by: editing them would change what the next request is.
fn safe(edits: &HeaderEdits) -> HeaderEdits {
    let mut edits = edits.clone();
    edits.set.retain(|(name, _)| !frames_messages(name));
    edits
        .add
        .retain(|(name, _)| !frames_messages(name) && *name != header::HOST);
    edits
        .remove
        .retain(|name: &HeaderName| !frames_messages(name) && *name != header::HOST);
    edits
}
