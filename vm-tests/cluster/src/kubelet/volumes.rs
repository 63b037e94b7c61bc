//! What a pod's volumes hold: files out of Secrets, ConfigMaps and tokens, empty folders, and folders of the node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, KeyToPath, Pod, ProjectedVolumeSource, Secret, ServiceAccount, Volume,
    VolumeProjection,
};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};

use super::environment::{Place, field_of};

/// The kernel's file systems: a `hostPath` below one of them is the node's own.
const KERNEL: [&str; 3] = ["/sys", "/proc", "/dev"];

/// What a volume is made of.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Files by their path in the volume.
    Files(BTreeMap<String, Vec<u8>>),
    /// A folder of the machine.
    Folder(PathBuf),
}

/// Collects the contents of all volumes. An object that is missing is an error, and worth another try.
pub(super) async fn collect(
    client: &Client,
    pod: &Pod,
    place: Place<'_>,
    host_files: &Path,
) -> anyhow::Result<BTreeMap<String, Content>> {
    let mut contents = BTreeMap::new();
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    for volume in volumes {
        let source = Source { client, pod, place };
        let content = source.content(volume, host_files).await;
        let content = content.with_context(|| format!("volume {}", volume.name))?;
        contents.insert(volume.name.clone(), content);
    }
    Ok(contents)
}

type Files = BTreeMap<String, Vec<u8>>;

struct Source<'a> {
    client: &'a Client,
    pod: &'a Pod,
    place: Place<'a>,
}

impl Source<'_> {
    async fn content(&self, volume: &Volume, host_files: &Path) -> anyhow::Result<Content> {
        if let Some(secret) = &volume.secret {
            let name = secret.secret_name.as_deref().unwrap_or_default();
            return Ok(Content::Files(pick(
                self.secret(name).await?,
                &secret.items,
            )?));
        }
        if let Some(map) = &volume.config_map {
            return Ok(Content::Files(pick(
                self.config_map(&map.name).await?,
                &map.items,
            )?));
        }
        if volume.empty_dir.is_some() {
            return Ok(Content::Files(Files::new()));
        }
        if let Some(folder) = &volume.host_path {
            let path = Path::new(&folder.path);
            if KERNEL.iter().any(|kernel| path.starts_with(kernel)) {
                return Ok(Content::Folder(path.to_owned()));
            }
            let own = host_files.join(path.strip_prefix("/").unwrap_or(path));
            std::fs::create_dir_all(&own)?;
            return Ok(Content::Folder(own));
        }
        if let Some(projected) = &volume.projected {
            return Ok(Content::Files(self.projected(projected).await?));
        }
        bail!("this kind of volume is not known here")
    }

    async fn projected(&self, projected: &ProjectedVolumeSource) -> anyhow::Result<Files> {
        let mut files = Files::new();
        for source in projected.sources.iter().flatten() {
            files.extend(self.projection(source).await?);
        }
        Ok(files)
    }

    async fn projection(&self, source: &VolumeProjection) -> anyhow::Result<Files> {
        if let Some(secret) = &source.secret {
            return pick(self.secret(&secret.name).await?, &secret.items);
        }
        if let Some(map) = &source.config_map {
            return pick(self.config_map(&map.name).await?, &map.items);
        }
        if let Some(token) = &source.service_account_token {
            let audiences = token.audience.iter().cloned().collect();
            let value = self.token(audiences, token.expiration_seconds).await?;
            return Ok(Files::from([(token.path.clone(), value.into_bytes())]));
        }
        let fields = source.downward_api.as_ref();
        let fields = fields.context("this kind of projection is not known here")?;
        let mut files = Files::new();
        for item in fields.items.iter().flatten() {
            let field = item.field_ref.as_ref();
            let field = field.context("only fieldRef is known here")?;
            let value = field_of(self.pod, &field.field_path, self.place)?;
            files.insert(item.path.clone(), value.into_bytes());
        }
        Ok(files)
    }

    async fn secret(&self, name: &str) -> anyhow::Result<Files> {
        let secrets: Api<Secret> = self.api();
        let secret = secrets.get(name).await;
        let data = secret.with_context(|| format!("Secret {name}"))?.data;
        Ok(data
            .into_iter()
            .flatten()
            .map(|(key, value)| (key, value.0))
            .collect())
    }

    async fn config_map(&self, name: &str) -> anyhow::Result<Files> {
        let maps: Api<ConfigMap> = self.api();
        let map = maps
            .get(name)
            .await
            .with_context(|| format!("ConfigMap {name}"))?;
        let texts = map.data.into_iter().flatten();
        let texts = texts.map(|(key, text)| (key, text.into_bytes()));
        let bytes = map.binary_data.into_iter().flatten();
        Ok(texts
            .chain(bytes.map(|(key, value)| (key, value.0)))
            .collect())
    }

    /// A token of the pod's ServiceAccount that is void when the pod is gone.
    async fn token(&self, audiences: Vec<String>, seconds: Option<i64>) -> anyhow::Result<String> {
        let spec = self.pod.spec.as_ref();
        let account = spec.and_then(|spec| spec.service_account_name.as_deref());
        let accounts: Api<ServiceAccount> = self.api();
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences,
                expiration_seconds: seconds,
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(self.pod.name_any()),
                    uid: self.pod.uid(),
                }),
            },
            ..TokenRequest::default()
        };
        let account = account.unwrap_or("default");
        let issued = accounts
            .create_token_request(account, &PostParams::default(), &request)
            .await
            .with_context(|| format!("token of ServiceAccount {account}"))?;
        Ok(issued.status.context("the API server sent no token")?.token)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(
            self.client.clone(),
            &self.pod.namespace().unwrap_or_default(),
        )
    }
}

/// The files that a volume asks for, under the names that it wants; all of them if it names none.
fn pick(mut files: Files, items: &Option<Vec<KeyToPath>>) -> anyhow::Result<Files> {
    let Some(items) = items else {
        return Ok(files);
    };
    items
        .iter()
        .map(|item| {
            let content = files.remove(&item.key);
            let content = content.with_context(|| format!("there is no key {}", item.key))?;
            Ok((item.path.clone(), content))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_choose_and_rename_and_a_missing_key_is_named() {
        let files = Files::from([("a".to_owned(), vec![1]), ("b".to_owned(), vec![2])]);
        let item = |key: &str, path: &str| KeyToPath {
            key: key.to_owned(),
            path: path.to_owned(),
            mode: None,
        };

        let picked = pick(files.clone(), &Some(vec![item("b", "folder/c")])).unwrap();
        let missing = pick(files, &Some(vec![item("x", "x")])).unwrap_err();

        assert_eq!(picked, Files::from([("folder/c".to_owned(), vec![2])]));
        assert!(missing.to_string().contains("key x"), "{missing}");
    }
}
