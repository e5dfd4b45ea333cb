//! What every command stands on: the environment, programs that are started and how they end, files
//! that are kept, messages, and the exit codes.

pub mod disk;
pub mod environment;
pub mod failure;
pub mod files;
pub mod form;
pub mod invocation;
pub mod notice;
pub mod progress;
pub mod regular;
pub mod run;
pub mod state;
