//! `label`: what git and `docker/image.toml` say that an image of this checkout would be called.

use crate::cli::{self, Format};
use crate::failure::{Exit, failure_help};
use crate::git::{self, Change, Checkout};
use crate::invocation::quoted;
use crate::run::say;
use crate::world::World;
use crate::{config, labels};
use std::collections::BTreeMap;

/// The command.
///
/// # Errors
/// [`Exit::Git`] where git has no answer; [`Exit::Usage`] for a name that is no label.
pub fn run(world: &World, args: &cli::Label) -> anyhow::Result<()> {
    let (checkout, image) = if config::find_top(&world.folder).is_some() {
        let workflow = world.workflow()?;
        let (checkout, _) = super::checkout(&workflow)?;
        (checkout, Some(workflow.config.image))
    } else {
        (git::read(&world.folder, None)?, None)
    };
    checkout.warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    let created = labels::created(&checkout, world.variable("SOURCE_DATE_EPOCH"))?;
    let mut all = labels::from_git(&checkout, created)?;
    all.extend(image.as_ref().map(labels::from_config).unwrap_or_default());
    let facts = facts(&checkout, &labels::rfc3339(created)?);
    if let Some(name) = &args.get {
        let full = format!("{}{name}", labels::OCI);
        let known = facts.iter().find(|(fact, _)| fact == name).map(|(_, value)| value.clone());
        let value = known.or_else(|| all.get(name).or_else(|| all.get(&full)).cloned());
        let Some(value) = value else {
            let names: Vec<&str> = facts.iter().map(|(name, _)| *name).collect();
            let message = format!("printing `{name}`: nothing here has that name");
            let help = format!("one of {}, or a label's name", names.join(", "));
            return Err(failure_help(Exit::Usage, message, help));
        };
        return world.result(&format!("{value}\n"), &serde_json::json!({ name: value }));
    }
    let json = serde_json::json!({
        "describe": checkout.describe,
        "version": checkout.version,
        "revision": checkout.revision,
        "created": labels::rfc3339(created)?,
        "commit_time": labels::rfc3339(checkout.commit_time)?,
        "branch": checkout.branch,
        "tags": checkout.exact_tags,
        "remote_url": checkout.remote_url,
        "shallow": checkout.shallow,
        "dirty": checkout.dirty,
        "context_changes": checkout.context_changes,
        "labels": all,
        "warnings": checkout.warnings,
    });
    let text =
        if world.common.format == Format::Env { env(&facts, &all) } else { text(&facts, &all) };
    world.result(&text, &json)
}

/// What `--get` knows beside the labels.
fn facts(checkout: &Checkout, created: &str) -> Vec<(&'static str, String)> {
    vec![
        ("describe", checkout.describe.clone()),
        ("version", checkout.version.clone()),
        ("revision", checkout.revision.clone()),
        ("created", created.to_owned()),
        ("branch", checkout.branch.clone().unwrap_or_default()),
        ("tags", checkout.exact_tags.join(" ")),
        ("remote_url", checkout.remote_url.clone().unwrap_or_default()),
        ("shallow", checkout.shallow.to_string()),
        ("dirty", paths(&checkout.dirty)),
        ("context_changes", paths(&checkout.context_changes)),
    ]
}

/// One path a line, so that nothing is printed for a clean checkout.
fn paths(changes: &[Change]) -> String {
    changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>().join("\n")
}

fn text(facts: &[(&str, String)], labels: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (name, value) in facts {
        let value = if value.is_empty() {
            "-".to_owned()
        } else {
            value.replace('\n', "\n                ")
        };
        text += &format!("{name:<16}{value}\n");
    }
    text += "labels\n";
    for (name, value) in labels {
        text += &format!("  {name}={value}\n");
    }
    text
}

/// `NAME='value'` lines that a shell can read.
fn env(facts: &[(&str, String)], labels: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (name, value) in facts {
        text += &format!("{}={}\n", name.to_uppercase(), quoted(value));
    }
    for (name, value) in labels {
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        text += &format!("LABEL_{name}={}\n", quoted(value));
    }
    text
}
