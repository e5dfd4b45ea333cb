//! The container workflow.
#![allow(dead_code, unreachable_pub)]
mod context;
mod failure;
mod ignore;
mod secrets;

fn main() {}
