//! The endpoints as one worker sees them: their idle connections, and how many requests each has in flight.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use gateway_ir::BackendProtocol;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::body::RequestBody;
use super::link::{Link, Shared, Single, Stream};
use crate::clock::Clock;
use crate::program::Reachable;
use crate::proxy_header::Introduction;
use crate::random::Random;
use crate::transport::{Destination, EndpointKey, Transport};

/// Idle connections that a worker keeps to one endpoint.
const IDLE_CONNECTIONS_MAX: usize = 256;

/// The endpoints that a worker has sent requests to.
#[derive(Debug)]
pub(crate) struct Endpoints {
    known: RefCell<HashMap<EndpointKey, Rc<Endpoint>>>,
    clock: Arc<Clock>,
}

/// An endpoint, shared by all backends that have it and speak to it in the same way.
#[derive(Debug)]
pub(crate) struct Endpoint {
    address: SocketAddr,
    in_flight: Cell<usize>,
    /// False: gone from the snapshot; its connections are not kept.
    listed: Cell<bool>,
    /// The last one that became idle is used first, so that the others can age.
    idle: RefCell<Vec<Idle>>,
    /// HTTP/2 connections.
    shared: RefCell<Vec<Multiplexed>>,
    /// Held while a connection is opened that the requests behind it may share.
    opening: Semaphore,
    /// Whether the last connection was one that can be shared, which TLS decides.
    shares: Cell<bool>,
    clock: Arc<Clock>,
}

#[derive(Debug)]
struct Idle {
    link: Box<Single>,
    since_ms: u64,
    introduction: Option<Introduction>,
}

#[derive(Debug)]
struct Multiplexed {
    link: Rc<Shared>,
    used_ms: u64,
    introduction: Option<Introduction>,
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
        destination: &Destination,
        tried: &[SocketAddr],
        random: &Random,
    ) -> Option<Rc<Endpoint>> {
        let id = destination.transport.id();
        let all = &destination.backend.endpoints.endpoints;
        let mut untried = all
            .iter()
            .map(|endpoint| endpoint.address)
            .filter(|address| !tried.contains(address));
        if !tried.is_empty() {
            // The rare way: an attempt failed before.
            let count = all.len().saturating_sub(tried.len());
            return Some(self.endpoint((untried.nth(draw(random, count))?, id)));
        }
        let first = all.get(draw(random, all.len()))?;
        let second = all.get(draw(random, all.len()))?;
        let first = self.endpoint((first.address, id));
        if second.address == first.address {
            return Some(first);
        }
        let second = self.endpoint((second.address, id));
        Some(if second.in_flight.get() < first.in_flight.get() {
            second
        } else {
            first
        })
    }

    /// Forgets the endpoints that are not listed; requests in flight finish, idle connections close.
    pub(crate) fn retain(&self, listed: &Reachable) {
        self.known.borrow_mut().retain(|key, endpoint| {
            let stays = listed.get(key).is_some();
            if !stays {
                endpoint.listed.set(false);
                endpoint.idle.borrow_mut().clear();
                endpoint.shared.borrow_mut().clear();
            }
            stays
        });
    }

    /// Closes connections that have been idle for too long or that the endpoint has closed.
    pub(crate) fn sweep(&self, idle_max: Duration) {
        let is_past = |since_ms| self.clock.is_past(since_ms, idle_max);
        self.known.borrow().values().for_each(|endpoint| {
            let mut idle = endpoint.idle.borrow_mut();
            idle.retain_mut(|idle| !is_past(idle.since_ms) && idle.link.is_usable());
            let mut shared = endpoint.shared.borrow_mut();
            shared.retain(|shared| {
                let link = &shared.link;
                link.is_open() && !(link.is_idle() && is_past(shared.used_ms))
            });
        });
    }

    /// The endpoint of a key.
    pub(super) fn endpoint(&self, key: EndpointKey) -> Rc<Endpoint> {
        let mut known = self.known.borrow_mut();
        let endpoint = known.entry(key).or_insert_with(|| {
            Rc::new(Endpoint {
                address: key.0,
                in_flight: Cell::new(0),
                listed: Cell::new(true),
                idle: RefCell::default(),
                shared: RefCell::default(),
                opening: Semaphore::new(1),
                shares: Cell::new(false),
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

    /// A connection that is there and still good, and began with this introduction: one for another client would say
    /// the wrong thing of this one.
    pub(super) fn take_ready(self: &Rc<Self>, introduction: Option<Introduction>) -> Option<Lease> {
        let now_ms = self.clock.now_ms();
        let mut shared = self.shared.borrow_mut();
        shared.retain(|shared| shared.link.is_open());
        let mut fitting = shared.iter_mut();
        if let Some(found) =
            fitting.find(|it| it.introduction == introduction && it.link.has_room())
        {
            found.used_ms = now_ms;
            let link = Link::Stream(Stream::new(&found.link));
            return Some(Lease::new(link, self, introduction));
        }
        drop(shared);
        loop {
            let mut idle = self.take_idle(introduction)?;
            if idle.link.is_usable() {
                return Some(Lease::new(Link::Single(idle.link), self, introduction));
            }
        }
    }

    fn take_idle(&self, introduction: Option<Introduction>) -> Option<Idle> {
        let mut idle = self.idle.borrow_mut();
        if introduction.is_none() && idle.last()?.introduction.is_none() {
            return idle.pop();
        }
        let fits = |idle: &Idle| idle.introduction == introduction;
        let index = idle.iter().rposition(fits)?;
        Some(idle.remove(index))
    }

    /// Whether the next connection will probably be one that can be shared.
    pub(super) fn shares_connections(&self, transport: &Transport) -> bool {
        transport.protocol == BackendProtocol::Http2 || self.shares.get()
    }

    /// Waits until nobody else opens a connection that can be shared.
    pub(super) async fn opening(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.opening.acquire().await.ok()
    }

    /// Takes a new connection into use; one that can be shared is found by others from now on.
    pub(super) fn lease(self: &Rc<Self>, link: Link, introduction: Option<Introduction>) -> Lease {
        self.shares.set(matches!(link, Link::Stream(_)));
        if let Link::Stream(stream) = &link
            && self.listed.get()
        {
            self.shared.borrow_mut().push(Multiplexed {
                link: Rc::clone(stream.shared()),
                used_ms: self.clock.now_ms(),
                introduction,
            });
        }
        Lease::new(link, self, introduction)
    }
}

/// A connection in use by one request.
#[derive(Debug)]
pub(crate) struct Lease {
    link: Option<Link>,
    busy: Busy,
    introduction: Option<Introduction>,
}

/// Counts as load of an endpoint.
#[derive(Debug)]
pub(crate) struct Busy(Rc<Endpoint>);

impl Busy {
    pub(super) fn new(endpoint: &Rc<Endpoint>) -> Self {
        endpoint.in_flight.set(endpoint.in_flight.get() + 1);
        Self(Rc::clone(endpoint))
    }
}

impl Lease {
    fn new(link: Link, endpoint: &Rc<Endpoint>, introduction: Option<Introduction>) -> Self {
        Self {
            link: Some(link),
            busy: Busy::new(endpoint),
            introduction,
        }
    }

    pub(super) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> {
        let link = self.link.as_mut();
        link.expect("only give_back takes the link, and it consumes the lease")
            .send(request)
    }

    /// The endpoint's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.busy.0.address
    }

    /// Moves bytes of the response.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(link) = &mut self.link {
            link.drive(cx);
        }
    }

    /// The response is complete: keeps the connection for the next request, if it can carry one.
    pub(crate) fn give_back(mut self) {
        let Some(Link::Single(mut link)) = self.link.take() else {
            return;
        };
        let endpoint = &self.busy.0;
        let mut idle = endpoint.idle.borrow_mut();
        if endpoint.listed.get() && idle.len() < IDLE_CONNECTIONS_MAX && link.is_usable() {
            idle.push(Idle {
                link,
                since_ms: endpoint.clock.now_ms(),
                introduction: self.introduction,
            });
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let in_flight = self.0.in_flight.get();
        self.0.in_flight.set(in_flight.saturating_sub(1));
    }
}
