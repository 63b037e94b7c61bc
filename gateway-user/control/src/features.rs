//! What a GatewayClass says that it supports (`status.supportedFeatures`), in the words of the Gateway API's conformance
//! suite, which infers from it what to test.

use gateway_translate::Served;

/// The names, sorted. A name is here only if its behaviour is served; an optional field that is refused is not.
pub const SUPPORTED: &[&str] = &[
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "ClusterTrustBundle",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "GRPCRouteRequestHeaderModifier",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayBackendClientCertificate",
    "GatewayFrontendClientCertificateValidation",
    "GatewayFrontendClientCertificateValidationInsecureFallback",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayInfrastructure",
    "GatewayPort8080",
    "GatewayRouteHostnameIntersectionPrecedence",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteBackendURLRewrite",
    "HTTPRouteCORS",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteRetryCodes",
    "HTTPRouteRetryConnectionError",
    "HTTPRouteSchemeRedirect",
    "ListenerSet",
    "ReferenceGrant",
    "TCPRoute",
    "TLSRoute",
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
    "UDPRoute",
];

/// What can be served with the CRDs that are there: the name of each feature begins with the kind that has it.
pub(crate) fn supported(served: Option<&Served>) -> Vec<&'static str> {
    let missing = |name: &str| {
        let mut missing = served.iter().flat_map(|it| &it.missing);
        missing.any(|kind| name.starts_with(kind.as_str()))
    };
    let names = SUPPORTED.iter().copied();
    names.filter(|name| !missing(name)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gateway_translate::Kind;

    use super::*;

    #[test]
    fn what_has_no_crd_is_not_supported() {
        let served = Served {
            missing: BTreeSet::from([Kind::TlsRoute, Kind::ListenerSet]),
            ..Served::default()
        };
        let left = supported(Some(&served));
        let off: Vec<_> = SUPPORTED.iter().filter(|it| !left.contains(it)).collect();
        let expected = [
            "ListenerSet",
            "TLSRoute",
            "TLSRouteModeMixed",
            "TLSRouteModeTerminate",
        ];
        assert_eq!(off, expected.iter().collect::<Vec<_>>());
        assert_eq!(supported(None), SUPPORTED);
    }

    #[test]
    fn the_published_report_is_about_what_is_claimed_and_all_of_it_succeeded() {
        const REPORT: &str = include_str!("../../../docs/conformance/v1.7.0.yaml");
        let report: serde_json::Value = serde_saphyr::from_str(REPORT).expect("YAML");
        let profiles = report["profiles"].as_array().expect("profiles");
        assert_eq!(profiles.len(), 5);
        let mut tested = BTreeSet::new();
        for profile in profiles {
            for part in ["core", "extended"] {
                assert_eq!(profile[part]["result"], "success", "{}", profile["name"]);
                for outcome in ["Failed", "Skipped"] {
                    assert_eq!(profile[part]["statistics"][outcome], 0);
                }
            }
            let names = |list: &str| {
                let names = profile["extended"][list].as_array().into_iter().flatten();
                names
                    .filter_map(serde_json::Value::as_str)
                    .collect::<Vec<_>>()
            };
            assert!(
                names("unsupportedFeatures")
                    .iter()
                    .all(|it| !SUPPORTED.contains(it))
            );
            tested.extend(names("supportedFeatures"));
        }
        // The kinds themselves are core, and these two are of no profile.
        let rest: Vec<_> = SUPPORTED
            .iter()
            .filter(|it| !tested.contains(**it))
            .collect();
        let expected = [
            "GRPCRoute",
            "GRPCRouteNamedRouteRule",
            "GRPCRouteRequestHeaderModifier",
            "Gateway",
            "HTTPRoute",
            "ReferenceGrant",
            "TLSRoute",
        ];
        assert_eq!(rest, expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn the_names_are_sorted_and_as_many_as_the_api_takes() {
        assert!(SUPPORTED.is_sorted());
        assert!(SUPPORTED.len() <= 64);
    }
}
