//! `label`: what git and `docker/image.toml` say that an image of this checkout would be called.

use crate::cli::{self, Format};
use crate::world::World;
use engine::label;
use image::config;
use image::labels;
use image::tags::{self, Names, Rules};
use process::failure::{Exit, failure_help};
use process::invocation::quoted;
use process::notice::notice;
use source::ci::{self, Identity};
use source::git::{self, Change, Checkout};
use std::collections::BTreeMap;

/// The command.
///
/// # Errors
/// [`Exit::Git`] if git has no answer; [`Exit::Usage`] for a name that is no label.
pub fn run(world: &World, args: &cli::Label) -> anyhow::Result<()> {
    let (checkout, image, rules) = if config::find_top(&world.folder).is_some() {
        let workflow = world.workflow()?;
        let (checkout, _) = super::checkout(world, &workflow)?;
        (checkout, Some(workflow.config.image), workflow.config.tags)
    } else {
        let mut checkout = git::read(&world.folder)?;
        tags::name_version(&Rules::default(), world.ci.as_ref(), &mut checkout)?;
        (checkout, None, Rules::default())
    };
    let identity = ci::identity(world.ci.as_ref(), &checkout);
    let warnings: Vec<&String> = checkout.warnings.iter().chain(&identity.warnings).collect();
    warnings.iter().for_each(|warning| notice(&format!("warning: {warning}")));
    let created = labels::created(&checkout, world.environment.variable("SOURCE_DATE_EPOCH"))?;
    let mut all = labels::from_git(&checkout, &identity, created)?;
    all.extend(image.as_ref().map(labels::from_config).unwrap_or_default());
    let names = tags::names(&rules, &tags::TagFacts::of(&checkout, &identity, None))?;
    let facts = facts(&checkout, &identity, &names, &labels::rfc3339(created)?);
    if let Some(name) = &args.get {
        let full = format!("{}{name}", label::OCI);
        let known = facts.iter().find(|(fact, _)| fact == name).map(|(_, value)| value.clone());
        let value = known.or_else(|| all.get(name).or_else(|| all.get(&full)).cloned());
        let Some(value) = value else {
            let names: Vec<&str> = facts.iter().map(|(name, _)| *name).collect();
            let message = format!("printing `{name}`: nothing here has that name");
            let help = format!("one of {}, or a label's name", names.join(", "));
            return Err(failure_help(Exit::Usage, message, help));
        };
        return world.output.result(&format!("{value}\n"), &serde_json::json!({ name: value }));
    }
    let tags: Vec<&str> = names.tags.iter().map(|tag| tag.name.as_str()).collect();
    world.output.hand_over(
        &[
            ("version", checkout.version.clone()),
            ("revision", identity.revision.clone()),
            ("created", labels::rfc3339(created)?),
            ("image_tags", tags.join("\n")),
        ],
        "",
    )?;
    let json = serde_json::json!({
        "describe": checkout.describe,
        "version": checkout.version,
        "revision": identity.revision,
        "merge": identity.merge,
        "created": labels::rfc3339(created)?,
        "commit_time": labels::rfc3339(checkout.commit_time).ok(),
        "branch": checkout.branch,
        "tags": checkout.exact_tags,
        "image_tags": names.tags,
        "image_tags_left_out": names.left_out,
        "image_tags_notes": names.notes,
        "releases": names.releases,
        "ci": world.ci,
        "remote_url": checkout.remote_url,
        "shallow": checkout.shallow,
        "dirty": checkout.dirty,
        "context_changes": checkout.context_changes,
        "labels": all,
        "warnings": warnings,
    });
    let text = match world.common.format {
        Format::Env => env(&facts, &all),
        _ => text(&facts, &all) + &reasons(&names),
    };
    world.output.result(&text, &json)
}

/// What `--get` knows in addition to the labels.
fn facts(
    checkout: &Checkout,
    identity: &Identity,
    names: &Names,
    created: &str,
) -> Vec<(&'static str, String)> {
    let image_tags: Vec<&str> = names.tags.iter().map(|tag| tag.name.as_str()).collect();
    vec![
        ("describe", checkout.describe.clone()),
        ("version", checkout.version.clone()),
        ("revision", identity.revision.clone()),
        ("created", created.to_owned()),
        ("branch", checkout.branch.clone().unwrap_or_default()),
        ("tags", checkout.exact_tags.join(" ")),
        ("image_tags", image_tags.join(" ")),
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

/// What the image would be called and why, and what not.
fn reasons(names: &Names) -> String {
    let width = |name: &str| name.len().max(20);
    let row = |mark: &str, name: &str, why: &str| {
        format!("{mark}{name:<width$}  {why}\n", width = width(name))
    };
    let mut text = String::from("image tags\n");
    names.tags.iter().for_each(|tag| text += &row("  ", &tag.name, &tag.why));
    names.left_out.iter().for_each(|left| text += &row("  not ", &left.name, &left.why));
    names.notes.iter().for_each(|note| text += &format!("  {note}\n"));
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
