//! Real clients through the real binary: every protocol that listeners speak, from the files to the bytes of the pod.

mod backends;
mod calls;
mod certificates;
mod client;
mod pods;
mod proxy_protocol;
mod server_names;
mod sessions;
mod site;
mod versions;
mod web_calls;
mod websocket;
