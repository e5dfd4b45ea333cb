//! Pushing to a registry that fails: `cargo xtask test --all` starts these with an engine of their
//! own, named by `XTASK_TEST_ENGINE`. The registry is Debian's docker-registry on the loopback
//! address, with a login, behind a proxy with TLS that breaks one thing at a time.

mod bases;
#[path = "../engine/bench.rs"]
#[allow(dead_code, reason = "the tests on an engine use the rest")]
mod bench;
mod cases;
#[path = "../it/ended.rs"]
mod ended;
mod faults;
mod interleaved;
mod killed;
mod layers;
mod logins;
mod place;
#[path = "../it/program.rs"]
mod program;
mod promote;
mod proxy;
mod release;
mod workshop;
