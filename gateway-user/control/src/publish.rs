//! From objects to the one publication that the data planes and the admin server read.
//!
//! Translation runs on a thread of its own: it may take long, and nothing on the way of a request or a lease waits for
//! it. A change is translated at once; what arrives meanwhile is taken together next.

mod infrastructure;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use gateway_ir::{Generation, NodeName, Snapshot};
use gateway_translate::{Announce, Inputs, Outcome, Settings, Statuses, Translator, Warning};
use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;
use tracing::{debug, info, warn};

pub use infrastructure::Infrastructure;

use crate::peer::{self, MembershipKey, Peer};
use crate::{Problem, Severity, features};

/// How long certificates are not looked at, at most.
const QUIET_MAX: Duration = Duration::from_secs(60 * 60);

/// Everything that a source holds.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// The objects in force.
    pub inputs: Inputs,
    /// What heartbeats are signed with, if the source has it.
    pub membership_key: Option<MembershipKey>,
    /// What is wrong with the source itself, sorted.
    pub problems: Vec<Problem>,
}

impl Content {
    /// Tells whether an address pool is configured, so that gates 1 and 2 have something to do.
    pub fn has_pools(&self) -> bool {
        let mut configs = self.inputs.sanmon_configs.values();
        configs.any(|config| !config.spec.address_pools.is_empty())
    }

    /// The nodes that Node objects name: this one and its peers, sorted.
    fn nodes(&self) -> Vec<NodeName> {
        let names = self.inputs.nodes.keys();
        names.map(|name| NodeName(name.name.to_string())).collect()
    }
}

/// The newest configuration with what became of its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// What the data planes run.
    pub snapshot: Arc<Snapshot>,
    /// Its identity.
    pub generation: Generation,
    /// What translation promises of each object; [`status`](crate::status) compares it with what the gates report.
    pub statuses: Statuses,
    /// What every Gateway is to have in its namespace.
    pub infrastructure: Vec<Infrastructure>,
    /// What classes say that they support, of [`features::SUPPORTED`].
    pub features: Vec<&'static str>,
    /// What is served as configured, and hardly as meant.
    pub warnings: Vec<Warning>,
    /// Certificates that are used before their time or after it.
    pub certificates: Vec<Warning>,
    /// What is wrong with the source.
    pub problems: Vec<Problem>,
    /// The nodes that the configuration names, sorted.
    pub nodes: Vec<NodeName>,
    /// The same nodes with what heartbeats need.
    pub peers: Vec<Peer>,
    /// What heartbeats are signed with; none: there are none.
    pub membership_key: Option<MembershipKey>,
    /// Whether an address pool is configured.
    pub has_pools: bool,
    /// Whether Gateways have addresses of pools.
    pub announce: Announce,
}

impl Published {
    /// Translates a source's content, from nothing, as of now.
    pub fn new(content: &Content, settings: &Settings) -> Self {
        let now = Timestamp::now().as_second();
        Self::next(&mut Translator::default(), content, settings, now).0
    }

    /// Translates a source's content with what is remembered of the one before. Also tells how long, in seconds, nothing
    /// else is to be said while nothing changes.
    fn next(
        translator: &mut Translator,
        content: &Content,
        settings: &Settings,
        now: i64,
    ) -> (Self, Option<i64>) {
        let settings = Settings {
            now,
            ..settings.clone()
        };
        let Outcome {
            snapshot,
            statuses,
            warnings,
            certificates,
            until,
        } = translator.translate(&content.inputs, &settings);
        let published = Self {
            generation: snapshot.generation(),
            snapshot: Arc::new(snapshot),
            infrastructure: infrastructure::wanted(&content.inputs, &statuses),
            statuses,
            features: features::supported(content.inputs.served.as_deref()),
            warnings,
            certificates,
            problems: content.problems.clone(),
            nodes: content.nodes(),
            peers: peer::peers(&content.inputs),
            membership_key: content.membership_key.clone(),
            has_pools: content.has_pools(),
            announce: settings.announce,
        };
        (published, until.map(|until| until.saturating_sub(now)))
    }
}

/// Translates on a thread of its own, which ends when every handle is dropped.
#[derive(Clone, Debug)]
pub struct Publisher {
    changes: Sender<Change>,
    published: watch::Receiver<Option<Arc<Published>>>,
}

#[derive(Debug)]
enum Change {
    Content(Box<Content>),
    Settings(Settings),
}

impl Publisher {
    /// Starts with nothing: there is a first publication when content and settings are known.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start() -> io::Result<Self> {
        let (changes, inbox) = channel();
        let (sender, published) = watch::channel(None);
        std::thread::Builder::new()
            .name("translate".to_owned())
            .spawn(move || run(&inbox, &sender))?;
        Ok(Self { changes, published })
    }

    /// Takes over everything that a source holds.
    pub fn content(&self, content: Content) {
        self.send(Change::Content(Box::new(content)));
    }

    /// Takes over what translation knows beside the objects.
    pub fn settings(&self, settings: Settings) {
        self.send(Change::Settings(settings));
    }

    /// The newest publication; none before the first.
    pub fn published(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.published.clone()
    }

    fn send(&self, change: Change) {
        if self.changes.send(change).is_err() {
            warn!("the translation has ended; a change is lost");
        }
    }
}

fn run(inbox: &Receiver<Change>, published: &watch::Sender<Option<Arc<Published>>>) {
    let (mut content, mut settings) = (None, None);
    let mut translator = Translator::default();
    let mut quiet = None;
    while let Some(first) = wait(inbox, quiet) {
        for change in first.into_iter().chain(inbox.try_iter()) {
            match change {
                Change::Content(new) => content = Some(new),
                Change::Settings(new) => settings = Some(new),
            }
        }
        let (Some(content), Some(settings)) = (&content, &settings) else {
            continue;
        };
        let now = Timestamp::now().as_second();
        let (new, seconds) = Published::next(&mut translator, content, settings, now);
        quiet = seconds;
        let changed = published.send_if_modified(|last| {
            if last.as_deref() == Some(&new) {
                return false;
            }
            log(last.as_deref(), &new);
            *last = Some(Arc::new(new));
            true
        });
        debug!(changed, "configuration translated");
    }
}

/// Waits for a change, or until certificates are to be judged anew; nothing: every handle is dropped.
fn wait(inbox: &Receiver<Change>, quiet: Option<i64>) -> Option<Option<Change>> {
    let Some(quiet) = quiet else {
        return inbox.recv().ok().map(Some);
    };
    let quiet = u64::try_from(quiet).unwrap_or_default();
    // Also when somebody sets the clock.
    let quiet = Duration::from_secs(quiet.max(1)).min(QUIET_MAX);
    match inbox.recv_timeout(quiet) {
        Ok(change) => Some(Some(change)),
        Err(RecvTimeoutError::Timeout) => Some(None),
        Err(RecvTimeoutError::Disconnected) => None,
    }
}

/// Says what is new: a problem is said once, not at every load.
fn log(last: Option<&Published>, new: &Published) {
    let before: BTreeSet<_> = last.iter().flat_map(|last| &last.problems).collect();
    for problem in new.problems.iter().filter(|it| !before.contains(it)) {
        match problem.severity {
            Severity::Error => warn!(%problem, "configuration problem"),
            Severity::Ignored => info!(%problem, "configuration read past"),
        }
    }
    let before: BTreeSet<_> = last.iter().flat_map(|last| &last.certificates).collect();
    for Warning { object, message } in &new.certificates {
        let is_new = !before
            .iter()
            .any(|it| it.object == *object && it.message == *message);
        if is_new {
            warn!(%object, %message, "a certificate is used outside of its time");
        }
    }
    if last.map(|last| last.generation) != Some(new.generation) {
        info!(generation = %new.generation, "configuration translated");
    }
}

#[cfg(test)]
mod tests;
