//! The Secret with the key of the heartbeats: the leader makes one where there is none, and touches no other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use crate::leader::{Leadership, holds};
use crate::pace::Pauses;
use crate::peer::{KEY_FIELD, MembershipKey, SECRET};

/// As long as the digest that heartbeats are signed with: a longer one adds nothing.
const KEY_BYTES: usize = 32;

/// The key that is known; none of the outer kind: nothing is known yet.
type Known = Option<Arc<Option<MembershipKey>>>;

/// Makes the Secret whenever this process leads and knows that there is no key, until nobody tells any more.
pub(crate) async fn keep(
    client: Client,
    namespace: String,
    mut known: watch::Receiver<Known>,
    mut leadership: watch::Receiver<Leadership>,
) {
    let secrets: Api<Secret> = Api::namespaced(client, &namespace);
    let (mut pauses, start) = (Pauses::default(), Instant::now());
    loop {
        let is_missing = known.borrow_and_update().as_deref() == Some(&None);
        let wanted = is_missing && holds(*leadership.borrow_and_update());
        if wanted && pauses.until() <= start.elapsed() {
            let made = make(&secrets).await;
            // The watch tells of it some moments later, and until then it is not made again.
            pauses.failed(start.elapsed());
            tell(made, &namespace);
        }
        tokio::select! {
            changed = known.changed() => if changed.is_err() { return },
            changed = leadership.changed() => if changed.is_err() { return },
            () = sleep_until(start + pauses.until()), if wanted => {}
        }
    }
}

/// Why there is no Secret.
#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error("cannot read random bytes")]
    Random(#[source] io::Error),
    #[error("the API server refuses it: {0}")]
    Refused(#[source] Box<kube::Error>),
}

async fn make(secrets: &Api<Secret>) -> Result<(), MakeError> {
    let key = random().map_err(MakeError::Random)?;
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(SECRET.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(KEY_FIELD.to_owned(), ByteString(key))])),
        ..Secret::default()
    };
    let made = secrets.create(&PostParams::default(), &secret).await;
    made.map_err(|error| MakeError::Refused(Box::new(error)))?;
    Ok(())
}

fn tell(made: Result<(), MakeError>, namespace: &str) {
    match made {
        Ok(()) => info!(namespace, "the Secret {SECRET} with a new key is made"),
        Err(MakeError::Refused(error)) if is_there(&error) => {
            debug!(
                namespace,
                "the Secret {SECRET} is there; if it stays so, it has no field {KEY_FIELD}"
            );
        }
        Err(error) => {
            warn!(namespace, %error, "the Secret {SECRET} is not made; trying again");
        }
    }
}

fn is_there(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

fn random() -> io::Result<Vec<u8>> {
    let mut key = vec![0; KEY_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(key)
}
