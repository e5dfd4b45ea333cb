//! The container workflow: `cargo xtask build`, `label`, `context`, `doctor`, `setup`, `test`.
#![allow(dead_code)]
mod failure;
mod invocation;

fn main() {}
