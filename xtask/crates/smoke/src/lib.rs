//! The checks of `smoke-test`: what an image must be and do, one by one, each with the requirement
//! that it proves and the reason why that matters.
//!
//! A check on the image alone looks at its [`engine::archive::Archive`], which is read once. A
//! check on the running image starts containers on the [`test_bed::TestBed`]. Checks of one
//! [`verdict::Lane`] run one after another, as they share containers; the lanes run in parallel.

pub mod checks;
mod endings;
mod entry;
pub mod http;
mod logs;
mod needs;
mod prober;
pub mod report;
mod roles;
pub mod run;
mod settings;
pub mod static_checks;
pub mod test_bed;
pub mod verdict;
