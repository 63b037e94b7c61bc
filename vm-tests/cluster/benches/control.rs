//! What a change costs in a cluster, against a real API server with what that server needs by itself reported apart; and
//! what an agent weighs with many routes, and how soon it is ready with them.
//!
//! The environment says how much is measured: `SANMON_BENCH_ROUTES` are made one after another (3,000),
//! `SANMON_BENCH_WORKLOADS` have a Service and an EndpointSlice each (5,000), `SANMON_BENCH_CHANGES` are made to a route
//! under load (1,000).
//!
//! Another controller is measured in a cluster where it is installed: `SANMON_BENCH_CLASS` names its GatewayClass,
//! `KUBECONFIG` is the way there, and `SANMON_BENCH_ADDRESS` is needed where the Gateway is not reached at port 80 of the
//! address in its status. Everything that is seen from outside is measured then, in a namespace `first` that is removed
//! again.

#[path = "control/agent.rs"]
mod agent;
#[path = "../tests/cluster/bed.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod bed;
#[path = "control/burst.rs"]
mod burst;
#[path = "control/change.rs"]
mod change;
#[path = "control/churn.rs"]
mod churn;
#[path = "control/figures.rs"]
mod figures;
#[path = "control/latency.rs"]
mod latency;
#[path = "control/objects.rs"]
mod objects;
#[path = "control/question.rs"]
mod question;
#[path = "control/settings.rs"]
mod settings;
#[path = "control/target.rs"]
mod target;

use std::io::Write;
use std::time::Duration;

use agent::Agent;
use bed::PATIENCE;
use churn::Churn;
use objects::Objects;
use settings::Settings;
use target::Target;

/// How many routes are made at once.
const BURST: usize = 1_000;
/// How many are made one after another while others change.
const BESIDE_CHURN: usize = 1_000;
/// How often the agent is replaced.
const STARTS: usize = 3;
/// How long the agent is left alone before it is weighed.
const REST: Duration = Duration::from_secs(10);
/// How long its work at rest is watched: a hundredth of a second is the least that is seen of it.
const AT_REST: Duration = Duration::from_secs(60);

fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let Some(target) = Target::find(&settings)? else {
        return Ok(());
    };
    weigh(&target, "without routes")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(measure(&target, &settings))?;
    drop(runtime);
    let Settings { workloads, .. } = settings;
    if let Some(cluster) = &target.cluster {
        let mut agent = Agent::of(cluster)?;
        for _ in 0..STARTS {
            let (next, time) = agent.replace(cluster)?;
            agent = next;
            say(&format!("start to ready with {workloads} routes: {time:?}"));
        }
        weigh(&target, &format!("with {workloads} routes, newly started"))?;
        let cores = agent.cores(AT_REST)?;
        say(&format!("agent at rest: {cores:.4} cores"));
    }
    target.leave()
}

/// What can be seen from outside.
async fn measure(target: &Target, settings: &Settings) -> anyhow::Result<()> {
    let Settings {
        routes,
        workloads,
        changes,
        ..
    } = *settings;
    let objects = Objects::connect(&target.kubeconfig).await?;
    say("one route after another, milliseconds:");
    latency::measure(&objects, target.address, "one", routes).await?;
    burst::measure(&objects, routes, BURST).await?;
    weigh(
        target,
        &format!("with {} routes to one Service", routes + BURST),
    )?;
    let lag = objects.remove_routes().await?;
    say(&format!(
        "attachedRoutes is 0 {lag:?} after all are deleted"
    ));
    objects.add_workloads(workloads).await?;
    objects.wait_for_attached(workloads).await?;
    weigh(
        target,
        &format!("with {workloads} routes to a Service each"),
    )?;
    change::measure(&objects, target.address, changes).await?;
    let churn = Churn::start(target.kubeconfig.clone(), workloads);
    let start = tokio::time::Instant::now();
    say(&format!(
        "one route after another while {workloads} others change, milliseconds:"
    ));
    latency::measure(&objects, target.address, "beside", BESIDE_CHURN).await?;
    let (made, time) = (churn.end()?, start.elapsed().as_secs_f64());
    let rate = made as f64 / time;
    say(&format!("  {rate:.1} changes of others a second"));
    Ok(())
}

/// Says what the agent weighs at rest, if it is ours.
fn weigh(target: &Target, when: &str) -> anyhow::Result<()> {
    if let Some(cluster) = &target.cluster {
        std::thread::sleep(REST);
        let memory = Agent::of(cluster)?.memory()?;
        say(&format!("agent {when}: {memory}"));
    }
    Ok(())
}

fn say(line: &str) {
    // A closed standard output leaves nobody to tell.
    let _unheard = writeln!(std::io::stdout(), "{line}");
}
