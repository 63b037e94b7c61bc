//! What a GatewayClass says that it supports (`status.supportedFeatures`), in the words of the Gateway API's conformance
//! suite, which infers from it what to test.

/// The names, sorted. A name is here only if its behaviour is served; an optional field that is refused is not.
pub const SUPPORTED: &[&str] = &[
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayInfrastructure",
    "GatewayPort8080",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "ReferenceGrant",
    "TCPRoute",
    "UDPRoute",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted_and_as_many_as_the_api_takes() {
        assert!(SUPPORTED.is_sorted());
        assert!(SUPPORTED.len() <= 64);
    }
}
