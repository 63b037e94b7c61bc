//! The beginning of a process: starts its parts and connects them.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use gateway_control::cluster::Outlook;
use gateway_control::leader::Candidacy;
use gateway_control::leader::arbiter::{Arbitration, Verdict};
use gateway_control::publish::Content;
use gateway_control::{Cluster, FolderSource, Publisher};
use tokio::sync::watch;
use tokio::time::Instant;

use super::cordon::Standing;
use super::entrance::{Entrance, Outset};
use super::proxy::Proxies;
use super::start::{self, Pools, Started};
use super::succession::Succession;
use super::{RETRY, Wire};
use crate::admin::{self, Admin, Pages};
use crate::agent;
use crate::board::{Board, GatesOff};
use crate::config::{Config, Source};
use crate::{interfaces, memory};

/// Starts everything, in its time.
pub(super) async fn begin(config: Config) -> anyhow::Result<Wire> {
    let publisher = Publisher::start()?;
    tokio::spawn(memory::give_back(publisher.published(), memory::REST));
    let gates_off = match config.source {
        Source::Folder(_) => GatesOff::Noted,
        Source::Cluster(_) => GatesOff::Unready,
    };
    let board = Board::new(config.node.clone(), publisher.published(), gates_off);
    let board = Arc::new(board);
    let entrance = Entrance::find(config.run_dir.as_deref()).await?;
    let addresses = [
        (Some(config.admin), Pages::All),
        (config.metrics, Pages::Monitoring),
    ];
    let mut admin = Vec::new();
    if entrance.is_free() {
        admin = start_admin(addresses, &[], &board)?;
    } else {
        // The other process is the one that speaks for this node.
        board.stand(Candidacy::Aside);
    }
    let interfaces = interfaces::watch().await;
    let settings = start::Settings::of(&config);
    let (sender, mut pools) = watch::channel(None);
    let sink = publisher.clone();
    let sink = move |content: Content| {
        let pools = Some(Pools::of(&content));
        sender.send_if_modified(|last| std::mem::replace(last, pools) != pools);
        sink.content(content);
    };
    let verdicts = Arc::new(watch::Sender::new(Verdict::None));
    let source = start_source(config.source, &board, Arc::clone(&verdicts), sink)?;
    drop(pools.wait_for(Option::is_some).await?);
    let outset = Outset {
        settings: &settings,
        board: &board,
        publisher: &publisher,
        interfaces: interfaces.clone(),
        pools: pools.clone(),
    };
    let entered = entrance.enter(outset).await?;
    if admin.is_empty() {
        admin = start_admin(addresses, &entered.opened, &board)?;
    }
    let Started { gates, proxy, off } = entered.started;
    let mut wire = Wire {
        published: publisher.published(),
        publisher,
        proxies: Proxies::new(proxy, Arc::clone(&board)),
        aside: board.aside(),
        standing: Standing::Open,
        board,
        routes: None,
        interfaces,
        gates,
        settings,
        off,
        gates_off,
        told: None,
        running: None,
        pools,
        verdicts: verdicts.subscribe(),
        routed: None,
        succession: Succession::start(entered.post, admin, entered.line)?,
        retry: Some(Instant::now() + RETRY),
        source,
    };
    wire.move_interfaces().await;
    Ok(wire)
}

fn start_admin(
    addresses: [(Option<SocketAddr>, Pages); 2],
    opened: &[TcpListener],
    board: &Arc<Board>,
) -> anyhow::Result<Vec<Admin>> {
    let wanted = addresses.into_iter();
    let wanted = wanted.filter_map(|(address, pages)| Some((address?, pages)));
    wanted
        .map(|(address, pages)| admin::start(address, opened, pages, Arc::clone(board)))
        .collect()
}

/// What reads the objects.
#[derive(Debug)]
pub(super) enum Running {
    Folder(#[expect(dead_code, reason = "held for its Drop")] FolderSource),
    Cluster(#[expect(dead_code, reason = "held for its Drop")] Cluster),
}

fn start_source(
    source: Source,
    board: &Arc<Board>,
    verdict: Arc<watch::Sender<Verdict>>,
    sink: impl Fn(Content) + Send + 'static,
) -> anyhow::Result<Running> {
    Ok(match source {
        Source::Folder(folder) => Running::Folder(FolderSource::start(folder, sink)?),
        Source::Cluster(settings) => {
            let outlook = Outlook {
                statuses: agent::wanted(Arc::clone(board))?,
                published: board.publications(),
                candidacy: board.candidacy(),
                events: agent::events(board),
                arbitration: Arbitration {
                    wanted: board.arbiter_wanted(),
                    verdict,
                },
            };
            Running::Cluster(Cluster::start(*settings, outlook, sink)?)
        }
    })
}
