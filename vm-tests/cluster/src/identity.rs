//! Who is who in the cluster: a certificate authority, the API server's certificate, and a token for each client.
//!
//! Everything is made anew for each cluster and lies in its folder; nothing outlives it.

use std::fs;
use std::io::Read;
use std::net::Ipv4Addr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// The first address of the services' range: what pods know the API server by.
const SERVICE_ADDRESS: &str = "10.96.0.1";
/// Where the API server listens.
pub(crate) const PORT: u16 = 6443;

/// Paths of keys, certificates and kubeconfigs.
#[derive(Debug)]
pub(crate) struct Identities {
    /// The certificate authority's certificate.
    pub(crate) authority: PathBuf,
    /// The API server's certificate.
    pub(crate) certificate: PathBuf,
    /// And its key.
    pub(crate) key: PathBuf,
    /// The key that signs tokens of ServiceAccounts.
    pub(crate) token_key: PathBuf,
    /// The key that tokens are checked with.
    pub(crate) token_public_key: PathBuf,
    /// What the API server knows clients by: token, user, id, groups.
    pub(crate) tokens: PathBuf,
    /// The kubeconfig of somebody who may do anything.
    pub(crate) administrator: PathBuf,
    /// The kubeconfig of kube-controller-manager.
    pub(crate) controller_manager: PathBuf,
    /// The kubeconfig of the scheduler.
    pub(crate) scheduler: PathBuf,
    folder: PathBuf,
}

impl Identities {
    /// Makes all of them for an API server at an address.
    pub(crate) fn create(folder: &Path, server: Ipv4Addr, nodes: &[&str]) -> anyhow::Result<Self> {
        let folder = folder.join("identity");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        let place = |name: &str| folder.join(name);
        let identities = Self {
            authority: place("authority.crt"),
            certificate: place("server.crt"),
            key: place("server.key"),
            token_key: place("tokens.key"),
            token_public_key: place("tokens.pub"),
            tokens: place("tokens.csv"),
            administrator: place("administrator.kubeconfig"),
            controller_manager: place("controller-manager.kubeconfig"),
            scheduler: place("scheduler.kubeconfig"),
            folder: folder.clone(),
        };
        identities.write_certificates(server)?;
        let token_key = KeyPair::generate()?;
        write(&identities.token_key, &token_key.serialize_pem())?;
        write(&identities.token_public_key, &token_key.public_key_pem())?;
        identities.write_clients(server, nodes)?;
        Ok(identities)
    }

    fn write_certificates(&self, server: Ipv4Addr) -> anyhow::Result<()> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority
            .distinguished_name
            .push(DnType::CommonName, "test cluster");
        let authority_key = KeyPair::generate()?;
        write(
            &self.authority,
            &authority.self_signed(&authority_key)?.pem(),
        )?;
        let issuer = Issuer::new(authority, authority_key);

        let names = [
            server.to_string(),
            SERVICE_ADDRESS.to_owned(),
            "127.0.0.1".to_owned(),
            "kubernetes.default.svc".to_owned(),
        ];
        let mut certificate = CertificateParams::new(names)?;
        certificate
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        let key = KeyPair::generate()?;
        write(
            &self.certificate,
            &certificate.signed_by(&key, &issuer)?.pem(),
        )?;
        write(&self.key, &key.serialize_pem())
    }

    /// The kubeconfig of a node.
    pub(crate) fn node(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.kubeconfig"))
    }

    fn write_clients(&self, server: Ipv4Addr, nodes: &[&str]) -> anyhow::Result<()> {
        let client = |path: &PathBuf, user: &str, group: &str| {
            (path.clone(), user.to_owned(), group.to_owned())
        };
        let mut clients = vec![
            client(&self.administrator, "administrator", "system:masters"),
            client(
                &self.controller_manager,
                "system:kube-controller-manager",
                "",
            ),
            client(&self.scheduler, "system:kube-scheduler", ""),
        ];
        for node in nodes {
            let user = format!("system:node:{node}");
            clients.push(client(&self.node(node), &user, "system:nodes"));
        }
        let mut known = String::new();
        for (path, user, groups) in clients {
            let token = random_token()?;
            known.push_str(&format!("{token},{user},{user},\"{groups}\"\n"));
            write(&path, &kubeconfig(&self.authority, server, &token))?;
        }
        write(&self.tokens, &known)
    }
}

fn kubeconfig(authority: &Path, server: Ipv4Addr, token: &str) -> String {
    let authority = authority.display();
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: test\n  cluster:\n    server: https://{server}:{PORT}\n    \
         certificate-authority: {authority}\nusers:\n- name: user\n  user:\n    token: {token}\ncontexts:\n- name: test\n  \
         context:\n    cluster: test\n    user: user\ncurrent-context: test\n"
    )
}

fn random_token() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes a file that only its owner reads.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
