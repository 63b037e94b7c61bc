//! What can be wrong with an object of a site.

use serde_json::{Value, json};

use super::Part;

/// A fault: a value in the place of another.
pub(super) struct Fault {
    pub(super) part: Part,
    pub(super) what: &'static str,
    /// The place (RFC 6901).
    place: &'static str,
    value: fn() -> Value,
    /// What is to be said of it, in part.
    pub(super) said: &'static str,
}

impl Fault {
    pub(super) fn apply(&self, object: &mut Value) {
        let (parent, field) = self.place.rsplit_once('/').expect("a place in something");
        let parent = object.pointer_mut(parent).expect("a part of the object");
        parent[field] = (self.value)();
    }
}

macro_rules! faults {
    ($($part:ident $what:literal: $place:literal = $value:tt says $said:literal,)+) => {
        pub(super) const FAULTS: &[Fault] = &[$(Fault {
            part: Part::$part,
            what: $what,
            place: $place,
            value: || json!($value),
            said: $said,
        },)+];
    };
}

faults! {
    Route "no such Service": "/spec/rules/0/backendRefs" = [{"name": "gone", "port": 80}] says "gone",
    Route "no such port": "/spec/rules/0/backendRefs/0/port" = 81 says "81",
    Route "no port": "/spec/rules/0/backendRefs/0/port" = null says "port",
    Route "another kind": "/spec/rules/0/backendRefs/0/kind" = "Widget" says "Widget",
    Route "another namespace": "/spec/rules/0/backendRefs/0/namespace" = "vault" says "vault",
    Route "a weight below zero": "/spec/rules/0/backendRefs/0/weight" = (-1) says "weight",
    Route "a weight that is text": "/spec/rules/0/backendRefs/0/weight" = "heavy" says "HTTPRoute",
    Route "no such listener": "/spec/parentRefs/0/sectionName" = "nowhere" says "nowhere",
    Route "no regular expression": "/spec/rules/0/matches/0/path" = {"type": "RegularExpression", "value": "/("} says "regular expression",
    Route "a regular expression without end": "/spec/rules/0/matches/0/path" = {"type": "RegularExpression", "value": "(((a{1,999}){1,999}){1,999}){1,999}"} says "regular expression",
    Route "a path that is none": "/spec/rules/0/matches/0/path/value" = "elsewhere" says "path",
    Route "a path that can be read in two ways": "/spec/rules/0/matches/0/path/value" = "/a/../b" says "path",
    Route "an unknown way to match": "/spec/rules/0/matches/0/path/type" = "Guess" says "Guess",
    Route "a header that is none": "/spec/rules/0/matches/0/headers" = [{"name": "no header", "value": "x"}] says "header",
    Route "an unknown filter": "/spec/rules/0/filters" = [{"type": "Wish"}] says "Wish",
    Route "a filter of nobody": "/spec/rules/0/filters" = [{"type": "ExtensionRef", "extensionRef": {"group": "x.test", "kind": "Y", "name": "z"}}] says "x.test",
    Route "a time that is none": "/spec/rules/0/timeouts" = {"request": "soon"} says "soon",
    Route "a name that is none": "/spec/hostnames" = ["-.test"] says "-.test",
    Route "an address as a name": "/spec/hostnames" = ["192.0.2.1"] says "192.0.2.1",
    Route "no list of rules": "/spec/rules" = "many" says "HTTPRoute",
    Service "a name of elsewhere": "/spec" = {"type": "ExternalName", "externalName": "elsewhere.test"} says "ExternalName",
    Service "no ports": "/spec/ports" = [] says "port",
    Service "a port that is too large": "/spec/ports/0/port" = "many" says "Service",
    Service "another port": "/spec/ports" = [{"port": 81}] says "80",
    Slice "no list of endpoints": "/endpoints" = "none" says "EndpointSlice",
    Secret "no certificate": "/stringData" = {"tls.key": "x"} says "tls.crt",
    Secret "a certificate that is none": "/stringData" = {"tls.crt": "x", "tls.key": "x"} says "Secret",
    Policy "no name": "/spec/validation/hostname" = "" says "hostname",
    Policy "an authority that is gone": "/spec/validation" = {"hostname": "x.test", "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "gone"}]} says "gone",
    Policy "authorities of two kinds": "/spec/validation" = {"hostname": "x.test", "wellKnownCACertificates": "System", "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "gone"}]} says "both",
    Policy "unknown authorities": "/spec/validation/wellKnownCACertificates" = "Mine" says "Mine",
    Listener "a Secret that is gone": "/tls/certificateRefs" = [{"name": "gone"}] says "gone",
    Listener "a Secret of elsewhere": "/tls/certificateRefs" = [{"name": "x", "namespace": "vault"}] says "vault",
    Listener "a certificate of another kind": "/tls/certificateRefs" = [{"name": "x", "kind": "Widget"}] says "Widget",
    Listener "no certificate at all": "/tls/certificateRefs" = [] says "certificate",
    Listener "a name that is none": "/hostname" = "-.test" says "-.test",
    Listener "a kind of routes that it has not": "/allowedRoutes" = {"kinds": [{"kind": "TCPRoute"}]} says "TCPRoute",
}
