//! Which agent writes: the holder of a Lease. Everything that serves goes on without one.
//!
//! The decisions are in [`election`]; this file asks the API server and the clock.

pub mod arbiter;
pub mod election;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use self::election::{Attempt, Election, Record, Term};

/// How often the Lease is looked at, and renewed by its holder.
const PERIOD: Duration = Duration::from_secs(2);
/// How long a request may take: a holder that is not answered must not hold on.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The Lease that is competed for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace of the agent.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// Who competes: no two processes have the same.
    pub identity: String,
}

/// Whether a process competes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidacy {
    /// It does.
    Stands,
    /// It does not, and gives back what it holds: others know more.
    Aside,
}

/// Until when this process may write; none: it may not.
pub type Leadership = Option<Instant>;

/// Tells whether a leadership holds at this moment.
pub fn holds(leadership: Leadership) -> bool {
    leadership.is_some_and(|until| Instant::now() < until)
}

/// Competes until the task is aborted or nobody listens.
pub async fn compete(
    client: Client,
    settings: Settings,
    mut candidacy: watch::Receiver<Candidacy>,
    leadership: watch::Sender<Leadership>,
) {
    let leases: Api<Lease> = Api::namespaced(client, &settings.namespace);
    let mut election = Election::new(settings.identity.clone());
    let start = Instant::now();
    let mut failing = false;
    while !leadership.is_closed() {
        let sent = start.elapsed();
        let stands = *candidacy.borrow_and_update();
        let turn = async {
            match stands {
                Candidacy::Stands => round(&leases, &settings, &mut election, sent).await,
                Candidacy::Aside if election.held_until().is_some() => {
                    election.lost();
                    // Nobody here writes any more before the Lease is free.
                    leadership.send_replace(None);
                    give_back(&leases, &settings).await
                }
                Candidacy::Aside => Ok(()),
            }
        };
        let done = timeout(REQUEST_TIMEOUT, turn).await;
        match done {
            Ok(Ok(())) => failing = false,
            Ok(Err(error)) if !failing => {
                failing = true;
                warn!(%error, lease = settings.name, "the Lease cannot be read or written");
            }
            Ok(Err(error)) => debug!(%error, "the Lease cannot be read or written"),
            Err(_elapsed) => debug!("the API server does not answer in time"),
        }
        let until = election.held_until().map(|until| start + until);
        let until = until.filter(|until| Instant::now() < *until);
        leadership.send_if_modified(|last| {
            if last.is_some() != until.is_some() {
                info!(leader = until.is_some(), "leadership changed");
            }
            std::mem::replace(last, until) != until
        });
        // Who tells whether to stand may have nothing more to say.
        tokio::select! {
            () = sleep(PERIOD) => {}
            Ok(()) = candidacy.changed() => {}
        }
    }
}

/// Gives the Lease back, so that the next holder need not wait for its end.
pub async fn release(client: Client, settings: &Settings) -> kube::Result<()> {
    let leases: Api<Lease> = Api::namespaced(client, &settings.namespace);
    give_back(&leases, settings).await
}

async fn give_back(leases: &Api<Lease>, settings: &Settings) -> kube::Result<()> {
    let mut lease = leases.get(&settings.name).await?;
    let spec = lease.spec.get_or_insert_default();
    if spec.holder_identity.as_deref() != Some(&settings.identity) {
        return Ok(());
    }
    spec.holder_identity = None;
    let parameters = PostParams::default();
    leases.replace(&settings.name, &parameters, &lease).await?;
    Ok(())
}

async fn round(
    leases: &Api<Lease>,
    settings: &Settings,
    election: &mut Election,
    now: Duration,
) -> kube::Result<()> {
    let lease = leases.get_opt(&settings.name).await?;
    let record = lease.as_ref().map(record);
    let wanted = match election.observe(now, record) {
        Attempt::Wait => return Ok(()),
        Attempt::Create => None,
        Attempt::Take | Attempt::Renew => lease,
    };
    let parameters = PostParams::default();
    let new = renewed(wanted, settings, election.term());
    let written = if new.metadata.resource_version.is_some() {
        leases.replace(&settings.name, &parameters, &new).await
    } else {
        leases.create(&parameters, &new).await
    };
    match written {
        Ok(_) => election.won(now),
        // Somebody was faster.
        Err(kube::Error::Api(status)) if status.code == 409 => election.lost(),
        Err(error) => return Err(error),
    }
    Ok(())
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    Record {
        holder: spec.holder_identity.filter(|it| !it.is_empty()),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        duration: spec
            .lease_duration_seconds
            .and_then(|it| u64::try_from(it).ok())
            .map(Duration::from_secs),
    }
}

fn renewed(lease: Option<Lease>, settings: &Settings, term: Term) -> Lease {
    let now = MicroTime(Timestamp::now());
    let mut lease = lease.unwrap_or_else(|| Lease {
        metadata: ObjectMeta {
            name: Some(settings.name.clone()),
            namespace: Some(settings.namespace.clone()),
            ..ObjectMeta::default()
        },
        ..Lease::default()
    });
    let spec: &mut LeaseSpec = lease.spec.get_or_insert_default();
    if spec.holder_identity.as_deref() != Some(&settings.identity) {
        spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default() + 1);
        spec.acquire_time = Some(now.clone());
        spec.holder_identity = Some(settings.identity.clone());
    }
    spec.lease_duration_seconds = i32::try_from(term.duration.as_secs()).ok();
    spec.renew_time = Some(now);
    lease
}
