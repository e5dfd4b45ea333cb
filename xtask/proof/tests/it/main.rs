//! The command line as a user sees it, with no engine or with a program that only plays one.

#[path = "../../../crates/registry/src/client/tests/certificate.rs"]
mod certificate;
mod checkout;
mod ci;
mod command_line;
mod commit;
mod compose;
mod ended;
mod fake_docker;
mod fake_engine;
mod fence;
mod home;
mod hostile;
mod images;
mod init;
mod lint;
mod no_engine;
mod program;
mod project;
mod push;
mod quadlet;
mod readme;
mod recognition;
mod reference;
mod refused;
mod rules;
mod setup;
mod tell;
mod terminal;
mod transcript;
