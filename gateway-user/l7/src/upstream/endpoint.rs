//! The endpoints as one worker sees them: their idle connections, and how many requests each has in flight.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use gateway_ir::Backend;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use super::body::RequestBody;
use super::link::Link;
use crate::clock::Clock;
use crate::random::Random;

/// Idle connections that a worker keeps to one endpoint.
const IDLE_CONNECTIONS_MAX: usize = 256;

/// The endpoints that a worker has sent requests to.
#[derive(Debug)]
pub(crate) struct Endpoints {
    known: RefCell<HashMap<SocketAddr, Rc<Endpoint>>>,
    clock: Arc<Clock>,
}

/// An endpoint, shared by all backends that have it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    address: SocketAddr,
    in_flight: Cell<usize>,
    /// False: gone from the snapshot; its connections are not kept.
    listed: Cell<bool>,
    /// The last one that became idle is used first, so that the others can age.
    idle: RefCell<Vec<Idle>>,
    clock: Arc<Clock>,
}

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    since_ms: u64,
}

impl Endpoints {
    pub(crate) fn new(clock: Arc<Clock>) -> Self {
        Self {
            known: RefCell::default(),
            clock,
        }
    }

    /// The less loaded of two endpoints drawn at random, none of those already tried.
    pub(super) fn choose(
        &self,
        backend: &Backend,
        tried: &[SocketAddr],
        random: &Random,
    ) -> Option<Rc<Endpoint>> {
        let all = &backend.endpoints.endpoints;
        let mut untried = all
            .iter()
            .map(|endpoint| endpoint.address)
            .filter(|address| !tried.contains(address));
        if !tried.is_empty() {
            // The rare way: an attempt failed before.
            let count = all.len().saturating_sub(tried.len());
            return Some(self.endpoint(untried.nth(draw(random, count))?));
        }
        let first = all.get(draw(random, all.len()))?;
        let second = all.get(draw(random, all.len()))?;
        let first = self.endpoint(first.address);
        if second.address == first.address {
            return Some(first);
        }
        let second = self.endpoint(second.address);
        Some(if second.in_flight.get() < first.in_flight.get() {
            second
        } else {
            first
        })
    }

    /// Forgets the endpoints that are not listed; requests in flight finish, idle connections close.
    pub(crate) fn retain(&self, listed: &HashSet<SocketAddr>) {
        self.known.borrow_mut().retain(|address, endpoint| {
            let stays = listed.contains(address);
            if !stays {
                endpoint.listed.set(false);
                endpoint.idle.borrow_mut().clear();
            }
            stays
        });
    }

    /// Closes connections that have been idle for too long or that the endpoint has closed.
    pub(crate) fn sweep(&self, idle_max: Duration) {
        self.known.borrow().values().for_each(|endpoint| {
            endpoint.idle.borrow_mut().retain_mut(|idle| {
                !self.clock.is_past(idle.since_ms, idle_max) && idle.link.is_usable()
            });
        });
    }

    fn endpoint(&self, address: SocketAddr) -> Rc<Endpoint> {
        let mut known = self.known.borrow_mut();
        let endpoint = known.entry(address).or_insert_with(|| {
            Rc::new(Endpoint {
                address,
                in_flight: Cell::new(0),
                listed: Cell::new(true),
                idle: RefCell::default(),
                clock: Arc::clone(&self.clock),
            })
        });
        Rc::clone(endpoint)
    }
}

fn draw(random: &Random, bound: usize) -> usize {
    let drawn = random.below(u64::try_from(bound).unwrap_or(u64::MAX));
    usize::try_from(drawn).unwrap_or(0)
}

impl Endpoint {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// An idle connection that is still good.
    pub(super) fn take_idle(self: &Rc<Self>) -> Option<Lease> {
        loop {
            let mut idle = self.idle.borrow_mut().pop()?;
            if idle.link.is_usable() {
                return Some(Lease::new(idle.link, self));
            }
        }
    }
}

/// A connection in use by one request.
#[derive(Debug)]
pub(crate) struct Lease {
    link: Option<Box<Link>>,
    endpoint: Rc<Endpoint>,
}

impl Lease {
    pub(super) fn new(link: Box<Link>, endpoint: &Rc<Endpoint>) -> Self {
        endpoint.in_flight.set(endpoint.in_flight.get() + 1);
        Self {
            link: Some(link),
            endpoint: Rc::clone(endpoint),
        }
    }

    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        let link = self.link.as_mut();
        link.expect("only give_back takes the link, and it consumes the lease")
            .send(request)
            .await
    }

    /// Moves bytes of the response.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(link) = &mut self.link {
            link.drive(cx);
        }
    }

    /// The response is complete: keeps the connection for the next request, if it can carry one.
    pub(crate) fn give_back(mut self) {
        let Some(mut link) = self.link.take() else {
            return;
        };
        let mut idle = self.endpoint.idle.borrow_mut();
        if self.endpoint.listed.get() && idle.len() < IDLE_CONNECTIONS_MAX && link.is_usable() {
            let since_ms = self.endpoint.clock.now_ms();
            idle.push(Idle { link, since_ms });
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let in_flight = self.endpoint.in_flight.get();
        self.endpoint.in_flight.set(in_flight.saturating_sub(1));
    }
}
