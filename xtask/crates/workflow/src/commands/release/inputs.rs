//! What a release reads before it begins, and looks at once more before it pushes.

use crate::cli::release::Release;
use crate::world::World;
use engine::reference::Reference;
use image::config::Workflow;
use image::tags::Names;
use process::failure::{Exit, failure_help};
use process::state;
use registry::Client;
use source::git::Checkout;
use std::fs::File;
use std::time::Duration;

/// One lock for each repository, in the user's folder, so that two checkouts exclude each other; it
/// is gone with the process that holds it.
pub(super) fn locks(
    world: &World,
    workflow: &Workflow,
    targets: &[Reference],
) -> anyhow::Result<Vec<File>> {
    let folder = world.environment.state()?.join("releases");
    let since = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ");
    let (id, top) = (std::process::id(), workflow.top.display());
    let holder = format!("process {id} in {top}, since {since},");
    let mut names: Vec<String> = targets.iter().map(ToString::to_string).collect();
    // In one order everywhere: no two releases wait for each other.
    names.sort();
    let lock = |name: &String| {
        let file = name.replace('%', "%25").replace('/', "%2F");
        state::lock(&folder, &file, &format!("of releases to {name}"), &holder, Duration::ZERO)
    };
    names.iter().map(lock).collect()
}

/// Every tag that any of the registries has.
pub(super) fn registry_tags(clients: &[Client]) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for client in clients {
        all.extend(client.tags()?);
    }
    all.sort();
    all.dedup();
    Ok(all)
}

pub(super) fn shown(names: &Names) -> String {
    names.tags.iter().map(|tag| tag.name.as_str()).collect::<Vec<_>>().join(" ")
}

pub(super) fn paths(checkout: &Checkout) -> Vec<String> {
    checkout.context_changes.iter().map(|change| change.path.clone()).collect()
}

/// The options that say what is made; of secrets only the ids.
pub(super) fn arguments(args: &Release) -> Vec<String> {
    let switches = [
        (args.squash, "--squash"),
        (args.snapshot, "--snapshot"),
        (args.allow_standin, "--allow-standin"),
        (args.core, "--core"),
        (args.force, "--force"),
    ];
    let switches = switches.into_iter().filter(|(on, _)| *on).map(|(_, word)| word.to_owned());
    let secrets = args.secret.iter().map(|secret| format!("--secret=id={}", secret.id));
    switches.chain(secrets).collect()
}

/// Whether what was built is what was decided on.
pub(super) fn unchanged(before: &Checkout, now: &Checkout) -> anyhow::Result<()> {
    let essence = |checkout: &Checkout| {
        let Checkout { revision, describe, dirty, context_changes, created, .. } = checkout.clone();
        (revision, describe, dirty, context_changes, created)
    };
    if essence(before) == essence(now) {
        return Ok(());
    }
    let what = if before.revision == now.revision {
        let paths: Vec<String> = paths(now);
        format!("files of the checkout changed: {}", paths.join(", "))
    } else {
        format!("HEAD was {} and is {}", before.revision, now.revision)
    };
    let message = format!("comparing the checkout with what was begun: {what}");
    let help = "nothing was pushed; leave the checkout alone and run it again, or release from a \
                separate clone";
    Err(failure_help(Exit::Mismatch, message, help))
}
