//! The only place that knows how Podman and Docker differ: which of them is here (`find`,
//! `locate`), what each can do (`capability`), and how each spells what it is asked for (`words`,
//! `containers`, `one_layer`).

pub mod archive;
pub mod build;
pub mod capability;
pub mod containers;
pub mod dockerfile;
mod engine;
pub mod find;
mod here_documents;
pub mod inspect;
pub mod label;
pub mod layers;
pub mod leftovers;
pub mod lint;
pub mod locate;
pub mod machine;
pub mod one_layer;
pub mod reference;
pub mod rootless;
pub mod settings;
pub mod steps;
pub mod words;

pub use engine::{Engine, EngineKind, EngineVersion};
