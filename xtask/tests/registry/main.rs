//! Pushing to a registry that fails: `cargo xtask test --all` starts these with an engine of their
//! own, named by `XTASK_TEST_ENGINE`. The registry is Debian's docker-registry on the loopback
//! address, with a login, behind a proxy with TLS that breaks one thing at a time.

mod cases;
#[path = "../it/ended.rs"]
mod ended;
mod faults;
mod interleaved;
mod layers;
mod logins;
mod place;
mod proxy;
mod workshop;
