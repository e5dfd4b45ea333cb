//! Whose certificates a registry may show: the machine's bundle, and what stands in the engines'
//! folders for this registry (containers-certs.d(5); Docker has the same layout).

use super::message::{SecretValue, Trust};
use anyhow::Context as _;
use engine::machine::Machine;
use process::environment::Environment;
use process::regular;
use std::path::{Path, PathBuf};

/// The folders `certs.d/HOST[:PORT]` of both engines.
fn folders(registry: &str, home: Option<&str>) -> Vec<PathBuf> {
    let own = [".config/containers/certs.d", ".config/docker/certs.d"];
    let own = own.iter().filter_map(|below| Some(Path::new(home?).join(below)));
    let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    own.chain(system).map(|folder| folder.join(registry)).filter(|path| path.is_dir()).collect()
}

/// Whom to trust for `registry`. `insecure`: the engine was told not to look.
pub(super) fn trust(
    registry: &str,
    environment: &Environment,
    machine: &Machine,
    insecure: bool,
) -> anyhow::Result<Trust> {
    let mut trust = Trust { insecure, ..Trust::default() };
    if let Some(bundle) = &machine.ca_bundle {
        trust.roots.push(text(bundle)?);
    }
    for folder in folders(registry, environment.variable("HOME")) {
        let entries = std::fs::read_dir(&folder);
        let entries = entries.with_context(|| format!("reading {}", folder.display()))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
            match end {
                "crt" => trust.roots.push(text(&path)?),
                // The key of `NAME.cert` is in `NAME.key`.
                "cert" => {
                    let key = text(&path.with_extension("key"))?;
                    trust.client = Some((text(&path)?, SecretValue(key)));
                }
                _ => {}
            }
        }
    }
    Ok(trust)
}

fn text(file: &Path) -> anyhow::Result<String> {
    let bytes = regular::read(file).with_context(|| format!("reading {}", file.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
