//! Folders of YAML for the tests, and ports that are free.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// A folder of a test's own, removed with it.
pub(crate) struct Conf(TempDir);

impl Conf {
    pub(crate) fn new() -> Self {
        let conf = Self(TempDir::new().expect("a directory"));
        // The agent of some tests runs as another user.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(conf.0.path(), open).expect("permissions");
        fs::create_dir(conf.path()).expect("a directory");
        conf
    }

    /// A folder with one Gateway, whose listener `web` sends everything to one backend.
    pub(crate) fn serving(port: u16, backend: u16) -> Self {
        let conf = Self::new();
        conf.write("gateway.yaml", &gateway(port));
        conf.write("route.yaml", &route("web"));
        conf.write("backend.yaml", &service("web", backend));
        conf
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("conf")
    }

    /// A directory beside the folder.
    pub(crate) fn beside(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("written");
    }
}

/// A TCP port of loopback that nobody listens on. It is below those that the kernel chooses itself, so that no socket of a
/// pod or a client gets it before it is used, and no other test gets it at all.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let offset = std::process::id() * 100 + TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + offset % COUNT).expect("below 65536");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

/// A class and a Gateway with the HTTP listener `web`.
pub(crate) fn gateway(port: u16) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: sanmon}}
spec: {{controllerName: sanmon.dev/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: main}}
spec:
  gatewayClassName: sanmon
  addresses: [{{type: IPAddress, value: 127.0.0.1}}]
  listeners: [{{name: web, port: {port}, protocol: HTTP}}]
"
    )
}

/// An HTTPRoute to the port 80 of a Service.
pub(crate) fn route(service: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web}}
spec:
  parentRefs: [{{name: main}}]
  rules: [{{backendRefs: [{{name: {service}, port: 80}}]}}]
"
    )
}

/// A Service with one endpoint on loopback.
pub(crate) fn service(name: &str, port: u16) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"
    )
}

/// A pool, which the class that [`gateway`] makes takes by its name.
pub(crate) const POOL: &str = "apiVersion: sanmon.dev/v1alpha1
kind: SanmonConfig
metadata: {name: default}
spec: {addressPools: [{name: lan, addresses: [192.0.2.200-192.0.2.210]}]}
";
