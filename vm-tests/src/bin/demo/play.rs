//! The whole play, for root: the LAN, the three gates, a change, and the end.

use crate::interrupt::Cleanup;
use crate::scene;
use crate::stage::Stage;
use crate::{Ending, act_announce, act_proxy, act_steer};

/// Plays all three gates in namespaces.
pub(crate) fn play(stage: &mut Stage, cleanup: &Cleanup, ending: Ending) -> anyhow::Result<()> {
    stage.say("Sanmon on a LAN of network namespaces. Nothing outside them is touched.");
    stage.chapter("Scene");
    let mut scene = scene::set(stage, cleanup)?;
    stage.chapter("Gate 1: announce");
    act_announce::play(stage, &scene);
    stage.chapter("Gate 2: steer");
    act_steer::play(stage, &scene);
    stage.chapter("Gate 3: terminate");
    act_proxy::play(stage, &scene.door()?);
    act_proxy::edit(stage, &scene.door()?);
    if ending == Ending::Keep {
        stage.summary();
        scene.invite(stage);
        cleanup.wait();
    }
    stage.chapter("End");
    scene.end(stage, cleanup);
    stage.summary();
    Ok(())
}
