//! Proofs on a real engine of what our own code says about engines. `XTASK_TEST_ENGINE=podman` or
//! `docker` turns them on; `cargo xtask test --all` does.

mod capability;
mod context;
