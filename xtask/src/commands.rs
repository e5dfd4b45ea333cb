//! One short driver for each command: reads the world, asks for a plan, runs it, reports.

pub mod build;
pub mod context;
pub mod doctor;
pub mod label;
pub mod setup;
pub mod test;
