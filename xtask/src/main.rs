//! The container workflow.
#![allow(dead_code)]
mod context;
mod failure;
mod ignore;
mod secrets;

fn main() {}
