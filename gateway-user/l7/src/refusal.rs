//! Answers that the proxy gives by itself: the one place that maps a cause to a status and a text.

use http::StatusCode;

/// A value of `grpc-status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GrpcStatus(&'static str);

impl GrpcStatus {
    const DEADLINE_EXCEEDED: Self = Self("4");
    const PERMISSION_DENIED: Self = Self("7");
    const RESOURCE_EXHAUSTED: Self = Self("8");
    const UNIMPLEMENTED: Self = Self("12");
    const UNAVAILABLE: Self = Self("14");
    const UNAUTHENTICATED: Self = Self("16");
    const UNKNOWN: Self = Self("2");

    /// What a gRPC client would make of a status (gRPC: "HTTP to gRPC Status Code Mapping").
    pub(crate) fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::UNAUTHENTICATED,
            StatusCode::FORBIDDEN => Self::PERMISSION_DENIED,
            StatusCode::NOT_FOUND => Self::UNIMPLEMENTED,
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Self::UNAVAILABLE,
            _other => Self::UNKNOWN,
        }
    }

    pub(crate) fn text(self) -> &'static str {
        self.0
    }
}

/// Why a request is not answered by an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A head that has more than one reading (RFC 9112 §11.2, RFC 9110 §17): the text names the part.
    Malformed(&'static str),
    /// The path's limit.
    PathTooLong,
    /// The head's limit.
    HeadTooLarge,
    /// CONNECT.
    MethodUnsupported,
    /// A transfer coding other than `chunked`.
    CodingUnsupported,
    /// The host belongs to a listener other than that of the TLS handshake (RFC 9110 §15.5.20).
    Misdirected,
    /// No listener or no rule.
    NoRoute,
    /// The rule, or this share of it, names no valid backend.
    NoBackend,
    /// The backend has no endpoint that may get requests.
    NoEndpoint,
    /// No endpoint could be connected to.
    ConnectFailed,
    /// The endpoint did not take the connection in time.
    ConnectTimedOut,
    /// The rule's time is over.
    TimedOut,
    /// TLS to the endpoint: its certificate, or the settings.
    BackendTls,
    /// The endpoint broke off or did not speak HTTP.
    UpstreamProtocol,
    /// The authorization server gave no answer that can be understood.
    AuthorizationFailed,
    /// The body is longer than an authorization server may be sent.
    BodyTooLarge,
}

impl Refusal {
    /// The status that the client gets.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::PathTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::MethodUnsupported | Self::CodingUnsupported => StatusCode::NOT_IMPLEMENTED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::NoBackend => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoEndpoint | Self::ConnectFailed | Self::AuthorizationFailed => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ConnectTimedOut | Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::UpstreamProtocol | Self::BackendTls => StatusCode::BAD_GATEWAY,
        }
    }

    /// The body, one line.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Malformed(what) => what,
            Self::PathTooLong => "the request target is too long\n",
            Self::HeadTooLarge => "the request head is too large\n",
            Self::MethodUnsupported => "CONNECT is not supported\n",
            Self::CodingUnsupported => "only the transfer coding chunked is supported\n",
            Self::Misdirected => "the host belongs to another listener than the TLS server name\n",
            Self::NoRoute => "no route matches\n",
            Self::NoBackend => "the route has no valid backend\n",
            Self::NoEndpoint => "the backend has no endpoint\n",
            Self::ConnectFailed => "no endpoint of the backend accepts connections\n",
            Self::ConnectTimedOut => "the endpoint did not accept the connection in time\n",
            Self::TimedOut => "the backend did not answer in time\n",
            Self::BackendTls => "there is no trusted TLS connection to the backend\n",
            Self::UpstreamProtocol => "the endpoint did not answer with HTTP\n",
            Self::AuthorizationFailed => "the authorization server does not answer\n",
            Self::BodyTooLarge => "the body is too large to be authorized\n",
        }
    }

    /// The status for a client that speaks gRPC (gRPC: "HTTP to gRPC Status Code Mapping"; Gateway API: `GRPCRouteRule`
    /// asks for UNAVAILABLE where there is no valid backend); none: gRPC clients make their own of the HTTP status.
    pub(crate) fn grpc_status(self) -> Option<GrpcStatus> {
        match self {
            Self::PathTooLong | Self::HeadTooLarge | Self::BodyTooLarge => {
                Some(GrpcStatus::RESOURCE_EXHAUSTED)
            }
            Self::NoRoute => Some(GrpcStatus::UNIMPLEMENTED),
            Self::TimedOut => Some(GrpcStatus::DEADLINE_EXCEEDED),
            Self::NoBackend
            | Self::NoEndpoint
            | Self::ConnectFailed
            | Self::ConnectTimedOut
            | Self::BackendTls
            | Self::UpstreamProtocol
            | Self::AuthorizationFailed => Some(GrpcStatus::UNAVAILABLE),
            Self::Malformed(_)
            | Self::MethodUnsupported
            | Self::CodingUnsupported
            | Self::Misdirected => None,
        }
    }

    /// Whether the connection must end because the next bytes cannot be trusted to start a request.
    pub(crate) fn closes(self) -> bool {
        self.status() == StatusCode::BAD_REQUEST || self.status() == StatusCode::NOT_IMPLEMENTED
    }
}
