//! What an image is: its configuration, labels and tags, the plan of a build, a squash, a push and a
//! release, and what carries one out and verifies it.

pub mod adopt;
pub mod attest;
pub mod base;
pub mod cache;
pub mod compose;
pub mod config;
pub mod cosign;
pub mod fingerprint;
pub mod labels;
pub mod network;
pub mod notes;
pub mod plan;
pub mod platform;
pub mod project;
pub mod promotion;
pub mod push;
pub mod quadlet;
pub mod reason;
pub mod rendering;
pub mod report;
pub mod squash;
pub mod standin;
pub mod startable;
pub mod steps;
pub mod stored;
pub mod surroundings;
pub mod tags;
mod toml_error;
pub mod topology;
pub mod verify;
