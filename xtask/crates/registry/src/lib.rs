//! What is asked of registries, and what engines don't show of them: whether one can be reached,
//! which digest a name has, and a second name for a manifest that is already there (OCI
//! distribution specification 1.1).
//!
//! Logins come from the engines' own files and helper programs, certificates from their folders
//! and the machine, proxies from the environment: a user sets up the engine and nothing else.

mod client;
mod helper;
mod http;
mod login;
mod manifest;
mod message;
mod places;
mod proxy;
mod reach;
mod retry;
mod said;
mod token;
mod trust;

pub use client::{Artifact, Client, ClientSettings, Referrer, Way};
pub use manifest::Manifest;
pub use reach::{known_unreachable, reachable, was_unreachable};
pub use retry::{ATTEMPTS, pause};
pub use said::is_final;
