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

/// The filters of one list. Most lists have none, and there are thousands of lists.
#[derive(Debug, Default)]
pub(crate) struct Filters(Option<Box<Compiled>>);

#[derive(Debug, Default)]
struct Compiled {
    /// What comes before an authorization.
    early: Vec<HeaderEdits>,
    request: Vec<HeaderEdits>,
    response: Vec<HeaderEdits>,
    rewrite: UrlRewrite,
    redirect: Option<Redirect>,
    cors: Option<CorsPolicy>,
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
        if filters.is_empty() {
            return Self(None);
        }
        let mut compiled = Compiled::default();
        let mut turn = Turn::First;
        for filter in filters {
            match filter {
                Filter::RequestHeaderModifier(edits) => compiled.request.push(safe(edits)),
                Filter::ResponseHeaderModifier(edits) => compiled.response.push(safe(edits)),
                Filter::RequestRedirect(redirect) => {
                    compiled.redirect = Some(redirect.clone());
                    compiled.redirects = turn;
                }
                Filter::UrlRewrite(rewrite) => compiled.rewrite = rewrite.clone(),
                Filter::Cors(cors) => compiled.cors = Some(CorsPolicy::new(cors)),
                // Belongs to the rule, which knows where copies go.
                Filter::RequestMirror(_) => {}
                // So does the server; here it is a place in the order.
                Filter::ExternalAuth(_) => {
                    turn = Turn::Authorized;
                    compiled.early = std::mem::take(&mut compiled.request);
                }
            }
        }
        Self(Some(Box::new(compiled)))
    }

    /// The cross-origin policy.
    pub(crate) fn cors(&self) -> Option<&CorsPolicy> {
        self.0.as_ref()?.cors.as_ref()
    }

    /// The answer of a redirect: its status and where it leads.
    pub(crate) fn redirect(&self, place: &Place<'_>) -> Option<(http::StatusCode, String)> {
        let redirect = self.0.as_ref()?.redirect.as_ref()?;
        Some((redirect.status, location::location(redirect, place)))
    }

    /// When the redirect answers.
    pub(crate) fn redirects(&self) -> Turn {
        let compiled = self.0.as_ref();
        compiled.map_or_else(Turn::default, |it| it.redirects)
    }

    /// The path that the endpoint sees, if it is another than the client's.
    pub(crate) fn path(&self, place: &Place<'_>) -> Option<String> {
        let modifier = self.0.as_ref()?.rewrite.path.as_ref()?;
        Some(location::modified_path(modifier, place))
    }

    /// Changes the head before an authorization.
    pub(crate) fn edit_early(&self, headers: &mut HeaderMap) {
        let edits = self.0.iter().flat_map(|it| &it.early);
        edits.for_each(|edits| apply(edits, headers));
    }

    /// Changes the head for the endpoint; the path apart.
    pub(crate) fn edit_request(&self, headers: &mut HeaderMap) {
        let Some(compiled) = &self.0 else {
            return;
        };
        let edits = compiled.request.iter();
        edits.for_each(|edits| apply(edits, headers));
        let host = compiled.rewrite.hostname.as_deref();
        if let Some(Ok(host)) = host.map(HeaderValue::from_str) {
            headers.insert(header::HOST, host);
        }
    }

    /// Changes the head for the client.
    pub(crate) fn edit_response(&self, headers: &mut HeaderMap) {
        let edits = self.0.iter().flat_map(|it| &it.response);
        edits.for_each(|edits| apply(edits, headers));
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
