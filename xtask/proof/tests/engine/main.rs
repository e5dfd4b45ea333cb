//! What only a real engine can show: `cargo xtask test --all` starts these with an engine of their
//! own, named by `XTASK_TEST_ENGINE`. Each test works in a fresh copy of this repository.

mod adopt;
mod bench;
mod broken;
#[cfg(feature = "browser")]
mod browser;
mod build;
mod clean;
mod compose;
mod context;
mod crafted;
mod debian;
mod dependencies;
mod design;
mod dev;
#[path = "../it/ended.rs"]
mod ended;
mod killed;
mod network;
mod platform;
#[path = "../it/program.rs"]
mod program;
mod quadlet;
mod readme;
mod size;
mod smoke;
mod snapshot;
mod squash;
#[path = "../it/tell.rs"]
mod tell;
#[path = "../it/transcript.rs"]
mod transcript;
mod twenty;
