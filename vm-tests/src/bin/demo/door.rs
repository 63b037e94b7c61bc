//! A client's way to gate 3.

use std::net::{IpAddr, SocketAddr};

use gateway_vm_tests::Namespace;
use gateway_vm_tests::client::{self, Get, Transport};
use gateway_vm_tests::folder::Folder;
use gateway_vm_tests::pod::Seen;

use crate::example::{self, SHORTENER};

/// Where clients knock.
pub(crate) struct Door<'a> {
    pub(crate) client: &'a Namespace,
    pub(crate) folder: &'a Folder,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) tls: Transport,
    pub(crate) address: IpAddr,
}

impl<'a> Door<'a> {
    /// A client's way to the addresses for HTTP and HTTPS; the client is seen as `address`.
    pub(crate) fn new(
        client: &'a Namespace,
        folder: &'a Folder,
        [http, https]: [SocketAddr; 2],
        address: IpAddr,
    ) -> anyhow::Result<Self> {
        let tls = Transport::tls(SHORTENER, &example::certificate(folder)?)?;
        Ok(Self {
            client,
            folder,
            http,
            https,
            tls,
            address,
        })
    }

    /// One request over HTTP, answered by a pod.
    pub(crate) fn get(&self, get: Get) -> anyhow::Result<Seen> {
        let http = self.http;
        self.client
            .run(move || async move { client::get(http, &Transport::Plain, &get).await?.seen() })
    }
}
