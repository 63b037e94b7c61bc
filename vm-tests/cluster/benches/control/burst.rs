//! Many routes at once: when the Gateway's status is right after it, and what that takes.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::objects::{AT_ONCE, Objects, SERVICE};
use crate::{PATIENCE, say};

/// How often the status is looked at while routes are made.
const LOOK: Duration = Duration::from_millis(5);

/// Makes many routes beside those that are there.
pub(crate) async fn measure(objects: &Objects, others: usize, burst: usize) -> anyhow::Result<()> {
    let (_, mut version) = objects.attached().await?;
    let names = (0..burst).map(|number| format!("many-{number}"));
    let made =
        stream::iter(names).map(|name| async move { objects.add_route(&name, SERVICE).await });
    let made = made.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>();
    let mut made = std::pin::pin!(made);
    let (mut writes, mut last) = (0, None);
    loop {
        // Both go on at the same time: the writes are counted while routes are made.
        if last.is_none() {
            tokio::select! {
                done = &mut made => {
                    done?;
                    last = Some(Instant::now());
                }
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        let (attached, newest) = objects.attached().await?;
        writes += usize::from(newest != version);
        version = newest;
        let Some(last) = last else { continue };
        if attached == (others + burst) as u64 {
            let lag = last.elapsed();
            say(&format!(
                "attachedRoutes is right {lag:?} after the last of {burst} creates; {writes} writes of the Gateway"
            ));
            return Ok(());
        }
        ensure!(last.elapsed() < PATIENCE, "{attached} routes are attached");
    }
}
