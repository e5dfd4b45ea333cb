//! What an image is made from: the commit that git and the CI system tell, the files of the build
//! context, and the secrets that must not be among them.

pub mod ci;
pub mod content;
pub mod context;
pub mod git;
pub mod ignore;
pub mod secrets;
pub mod snapshot;
