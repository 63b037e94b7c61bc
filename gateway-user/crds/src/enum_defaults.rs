//! Defaults of generated enums, which the generated structs that hold them derive theirs from.
//!
//! No object is ever made of them: every field here is required by its CRD.

use crate::grpcroutes::{GrpcRouteRulesBackendRefsFiltersType, GrpcRouteRulesFiltersType};
use crate::httproutes::{
    HttpRouteRulesBackendRefsFiltersExternalAuthProtocol,
    HttpRouteRulesBackendRefsFiltersRequestRedirectPathType, HttpRouteRulesBackendRefsFiltersType,
    HttpRouteRulesBackendRefsFiltersUrlRewritePathType, HttpRouteRulesFiltersExternalAuthProtocol,
    HttpRouteRulesFiltersRequestRedirectPathType, HttpRouteRulesFiltersType,
    HttpRouteRulesFiltersUrlRewritePathType,
};

macro_rules! defaults {
    ($($name:ident::$variant:ident,)*) => {
        $(impl Default for $name {
            fn default() -> Self {
                Self::$variant
            }
        })*
    };
}

defaults! {
    HttpRouteRulesBackendRefsFiltersExternalAuthProtocol::Http,
    HttpRouteRulesBackendRefsFiltersRequestRedirectPathType::ReplaceFullPath,
    HttpRouteRulesBackendRefsFiltersType::RequestHeaderModifier,
    HttpRouteRulesBackendRefsFiltersUrlRewritePathType::ReplaceFullPath,
    HttpRouteRulesFiltersExternalAuthProtocol::Http,
    HttpRouteRulesFiltersRequestRedirectPathType::ReplaceFullPath,
    HttpRouteRulesFiltersType::RequestHeaderModifier,
    HttpRouteRulesFiltersUrlRewritePathType::ReplaceFullPath,
    GrpcRouteRulesBackendRefsFiltersType::RequestHeaderModifier,
    GrpcRouteRulesFiltersType::RequestHeaderModifier,
}
