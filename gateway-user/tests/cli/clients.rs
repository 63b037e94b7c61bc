//! Real clients through the real binary: every protocol that listeners speak, from the files to the bytes of the pod.

mod backends;
mod calls;
mod certificates;
mod client;
mod pods;
mod server_names;
mod site;
mod versions;
mod websocket;
