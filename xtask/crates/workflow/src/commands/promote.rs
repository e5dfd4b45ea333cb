//! `promote` and `rollback`: move an environment's tag in a registry to an image that is there, and keep
//! who moved it when. No layer moves, and nothing is pulled.

use super::attested;
use super::push::surroundings;
use super::signatures::Cosign;
use crate::cli::promote::{Promote, Rollback};
use crate::world::World;
use engine::machine;
use image::config::Workflow;
use image::plan::push::{label, targets};
use image::promotion::{self, Action, Move};
use process::failure::{Exit, failure_help};
use registry::{Client, Manifest};
use serde_json::json;

/// One repository, as it is read before anything is written.
struct PromotionTarget {
    client: Client,
    /// What the environment's tag names.
    current: Option<String>,
    /// The environment's moves, the oldest first; for a promotion the last alone.
    moves: Vec<Move>,
}

/// What becomes of the tag in one repository.
struct TagMove {
    site: PromotionTarget,
    /// The image that it will name.
    image: Manifest,
    /// What is kept of it; `None` if the tag names that image already.
    kept: Option<Move>,
}

/// The command `promote`.
///
/// # Errors
/// [`Exit::Usage`] for an environment that isn't one; [`Exit::RegistryRefused`] for an image that isn't
/// there; [`Exit::Check`] without a passed smoke test; [`Exit::Mismatch`] when another client moves the tag
/// at the same time; those of [`Client::open`].
pub fn promote(world: &World, args: &Promote) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    known(&workflow, &args.to)?;
    let open = open(world, &workflow, &args.registry, &args.to, false)?;
    let cosign = Cosign { workflow: &workflow, runner: &world.runner(&workflow.top) };
    let mut steps = Vec::new();
    for site in open {
        let image = attested::manifest(&site.client, &args.image)?;
        attested::passed(&cosign, &site.client, &image)?;
        steps.push(site.step(world, image, &args.to, Action::Promote)?);
    }
    run(world, &workflow, steps, &args.to)
}

/// The command `rollback`.
///
/// # Errors
/// [`Exit::Mismatch`] when the history has no image before this one; those of [`promote`].
pub fn rollback(world: &World, args: &Rollback) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    known(&workflow, &args.environment)?;
    let open = open(world, &workflow, &args.registry, &args.environment, true)?;
    let mut steps = Vec::new();
    for site in open {
        let to = promotion::before(&site.moves, site.current.as_deref(), &args.environment)?;
        let image = attested::manifest(&site.client, &to.digest)?;
        steps.push(site.step(world, image, &args.environment, Action::Rollback)?);
    }
    run(world, &workflow, steps, &args.environment)
}

/// Refuses a tag that isn't an environment of this project.
fn known(workflow: &Workflow, name: &str) -> anyhow::Result<()> {
    let all = &workflow.config.tags.environments;
    if all.iter().any(|known| known == name) {
        return Ok(());
    }
    let message =
        format!("looking for the environment {name}: docker/image.toml has none of this name");
    let help =
        format!("the environments are {}; add it to environments below [tags]", all.join(", "));
    Err(failure_help(Exit::Usage, message, help))
}

/// Reads every repository. With `whole` its whole history.
fn open(
    world: &World,
    workflow: &Workflow,
    asked: &[String],
    environment: &str,
    whole: bool,
) -> anyhow::Result<Vec<PromotionTarget>> {
    let config = &workflow.config;
    let targets = targets(asked, &config.push.registries, &config.image.name)?;
    let runner = world.runner(&workflow.top);
    let machine = machine::read(&world.environment);
    let engine = world.search(workflow, &machine, &runner).said()?;
    let surroundings = surroundings(world, workflow, &machine, &engine, &runner);
    let mut sites = Vec::new();
    for target in &targets {
        let client = Client::open(target, &surroundings, !world.common.dry_run)?;
        let moves = attested::moves(&client, environment, whole)?;
        let current = client.digest(environment)?;
        sites.push(PromotionTarget { client, current, moves });
    }
    Ok(sites)
}

impl PromotionTarget {
    fn step(
        self,
        world: &World,
        image: Manifest,
        environment: &str,
        action: Action,
    ) -> anyhow::Result<TagMove> {
        let labels = self.client.labels(&image)?;
        let wanted = Move {
            number: 0,
            environment: environment.to_owned(),
            action,
            digest: image.digest.clone(),
            before: self.current.clone(),
            version: label(&labels, "version"),
            revision: label(&labels, "revision"),
            by: world.environment.mover(world.ci.is_some()),
            at: chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        };
        let kept = promotion::decide(&self.moves, wanted);
        Ok(TagMove { site: self, image, kept })
    }
}

impl TagMove {
    /// From which image the tag moves to which.
    fn shown(&self, environment: &str) -> String {
        let target = &self.site.client.target;
        let from = self
            .site
            .moves
            .iter()
            .rev()
            .find(|one| Some(&one.digest) == self.site.current.as_ref());
        let from = match (from, &self.site.current) {
            (Some(known), _) => known.shown(),
            (None, Some(digest)) => Move { digest: digest.clone(), ..Move::default() }.shown(),
            (None, None) => "nothing".to_owned(),
        };
        match &self.kept {
            Some(kept) => format!("{target}:{environment}  {from} → {}", kept.shown()),
            None => format!("{target}:{environment}  {from}: there already"),
        }
    }

    /// Says in the registry what is done, does it, and looks.
    fn act(&self, environment: &str) -> anyhow::Result<()> {
        let Some(kept) = &self.kept else { return Ok(()) };
        let client = &self.site.client;
        let artifact = kept.artifact()?;
        client.keep(&kept.tag(&artifact), &artifact)?;
        client.point(environment, &self.image)?;
        let found = client.digest(environment)?;
        if found.as_ref() == Some(&self.image.digest) {
            return Ok(());
        }
        let found = found.unwrap_or_else(|| "nothing".to_owned());
        Err(failure_help(
            Exit::Mismatch,
            format!(
                "moving {}:{environment}: it names {found} now, and not {}",
                client.target, self.image.digest
            ),
            format!("another client moved it: cargo xtask verify {environment} --history"),
        ))
    }
}

/// Does the steps, or with `--dry-run` shows them.
fn run(
    world: &World,
    workflow: &Workflow,
    steps: Vec<TagMove>,
    environment: &str,
) -> anyhow::Result<()> {
    let mut text = String::new();
    let mut rows = Vec::new();
    for step in &steps {
        let line = step.shown(environment);
        if world.common.dry_run {
            text += &format!("# {line}\n");
            if let Some(kept) = &step.kept {
                let (target, artifact) = (&step.site.client.target, kept.artifact()?);
                text += &format!("# PUT manifest: {target}:{}\n", kept.tag(&artifact));
                text += &format!("# PUT manifest: {target}:{environment}\n");
            }
        } else {
            step.act(environment)?;
            text += &(line + "\n");
        }
        let migrations = migrations(workflow, step);
        text += &said(step, migrations.as_deref());
        rows.push(json!({
            "repository": step.site.client.target.to_string(),
            "environment": environment,
            "from": step.site.current,
            "digest": step.image.digest,
            "moved": step.kept.is_some() && !world.common.dry_run,
            "migrations": migrations,
        }));
    }
    world.output.result(&text, &json!({ "registries": rows }))
}

/// The migrations that the commit `new` has in addition to `old`; `None` if the clone hasn't both.
pub(super) fn migrations_between(workflow: &Workflow, old: &str, new: &str) -> Option<Vec<String>> {
    let added = source::git::commits::added(&workflow.top, old, new)?;
    let migration = |path: &String| path.contains("/migrations/") && path.ends_with(".py");
    Some(added.into_iter().filter(migration).collect())
}

/// The migrations that the image which a rollback leaves has and the one before hasn't; `None` if
/// this isn't a rollback, or the clone hasn't both commits.
fn migrations(workflow: &Workflow, step: &TagMove) -> Option<Vec<String>> {
    let kept = step.kept.as_ref().filter(|kept| kept.action == Action::Rollback)?;
    let left = step.site.current.as_ref()?;
    let left = step.site.moves.iter().rev().find(|one| one.digest == *left)?;
    migrations_between(workflow, &kept.revision, &left.revision)
}

/// What a rollback leaves as it is.
fn said(step: &TagMove, migrations: Option<&[String]>) -> String {
    let rollback = step.kept.as_ref().is_some_and(|kept| kept.action == Action::Rollback);
    match migrations {
        _ if !rollback => String::new(),
        None => {
            "  the database stays as it is: this clone can't tell which migrations lie between\n"
                .to_owned()
        }
        Some([]) => "  the database stays as it is: no migration lies between\n".to_owned(),
        Some(all) => {
            let lines: String = all.iter().map(|path| format!("    {path}\n")).collect();
            format!(
                "  the database stays as it is, with these migrations of the later image:\n{lines}"
            )
        }
    }
}
