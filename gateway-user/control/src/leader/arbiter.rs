//! Which of two agents may answer for addresses while they do not hear each other: the holder of another Lease, which is
//! competed for only meanwhile. An API server that does not answer decides nothing.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info};

use super::election::{Election, Term};
use super::{Settings, give_back, round};

/// How often the Lease is looked at while it is needed.
const PERIOD: Duration = Duration::from_millis(300);
/// Fail-over waits for an answer; one that comes later decides when it comes.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(400);
/// A holder that dies meanwhile holds up the other one for so long.
const TERM: Term = Term {
    duration: Duration::from_secs(3),
    trust: Duration::from_secs(2),
};

/// What the API server has decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it was not asked, or does not answer.
    #[default]
    None,
    /// It is being asked.
    Pending,
    /// This agent may answer.
    Mine,
    /// The other one may.
    Other,
}

/// What two agents need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Need {
    /// Nothing: they hear each other, or there are more or fewer.
    #[default]
    Nothing,
    /// A decision between them.
    Decision,
}

/// Where a decision is asked for, and told.
#[derive(Clone, Debug)]
pub struct Arbitration {
    /// Whether one is needed.
    pub wanted: watch::Receiver<Need>,
    /// What it is.
    pub verdict: Arc<watch::Sender<Verdict>>,
}

impl Default for Arbitration {
    /// Nobody ever asks.
    fn default() -> Self {
        Self {
            wanted: watch::channel(Need::default()).1,
            verdict: Arc::default(),
        }
    }
}

/// Asks for a decision whenever one is needed, until the task is aborted.
pub async fn arbitrate(client: Client, leader: &Settings, mut arbitration: Arbitration) {
    let settings = Settings {
        name: format!("{}-arbiter", leader.name),
        ..leader.clone()
    };
    let leases: Api<Lease> = Api::namespaced(client, &settings.namespace);
    let start = Instant::now();
    while arbitration
        .wanted
        .wait_for(|it| *it == Need::Decision)
        .await
        .is_ok()
    {
        let mut election = Election::with_term(settings.identity.clone(), TERM);
        tell(&arbitration.verdict, Verdict::Pending);
        while *arbitration.wanted.borrow() == Need::Decision {
            let sent = start.elapsed();
            let turn = round(&leases, &settings, &mut election, sent);
            let verdict = match timeout(REQUEST_TIMEOUT, turn).await {
                Ok(Ok(())) if election.held_until().is_some() => Verdict::Mine,
                Ok(Ok(())) => Verdict::Other,
                Ok(Err(_)) | Err(_) if is_held(&election, start.elapsed()) => Verdict::Mine,
                Ok(Err(error)) => {
                    debug!(%error, "the Lease between two agents cannot be read or written");
                    Verdict::None
                }
                Err(_elapsed) => Verdict::None,
            };
            tell(&arbitration.verdict, verdict);
            tokio::select! {
                () = sleep(PERIOD) => {}
                Ok(()) = arbitration.wanted.changed() => {}
            }
        }
        tell(&arbitration.verdict, Verdict::None);
        let given = timeout(REQUEST_TIMEOUT, give_back(&leases, &settings)).await;
        debug!(?given, "the agents hear each other again");
    }
    // Nobody asks any more; the other parts go on.
    std::future::pending::<()>().await;
}

fn is_held(election: &Election, now: Duration) -> bool {
    election.held_until().is_some_and(|until| now < until)
}

fn tell(sender: &watch::Sender<Verdict>, verdict: Verdict) {
    sender.send_if_modified(|last| {
        let changed = std::mem::replace(last, verdict) != verdict;
        if changed {
            info!(?verdict, "one of two agents, which does not hear the other");
        }
        changed
    });
}
