//! stub
use std::path::{Path, PathBuf};
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkout { pub top: PathBuf, pub describe: String, pub version: String, pub revision: String, pub commit_time: i64, pub branch: Option<String>, pub exact_tags: Vec<String>, pub remote_url: Option<String>, pub shallow: bool, pub dirty: Vec<Change>, pub context_changes: Vec<Change>, pub created: i64, pub warnings: Vec<String> }
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Change { pub path: String, pub kind: ChangeKind, pub in_context: bool }
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum ChangeKind { Modified }
impl std::fmt::Display for ChangeKind { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("modified") } }
pub struct Context<'a> { pub root: &'a Path, pub files: &'a [String], pub includes: &'a dyn Fn(&str) -> bool }
pub fn read(_f: &Path, _c: Option<&Context<'_>>) -> anyhow::Result<Checkout> { Ok(Checkout{version:"v0-dirty".into(),describe:"v0".into(),revision:"1".repeat(40),..Checkout::default()}) }
