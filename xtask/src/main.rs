//! The container workflow: `cargo xtask build`, `label`, `context`, `doctor`, `setup`, `test`.
#![allow(dead_code)]
mod context;
mod failure;
mod ignore;
mod invocation;
mod reference;
mod secrets;

fn main() {}
