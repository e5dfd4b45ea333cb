//! `cargo xtask` alone: where this checkout stands, and the next command to type.

use super::build::{CheckoutState, Next, next};
use super::{release, smoke_test};
use crate::world::World;
use image::report::megabytes;
use image::tags;
use smoke_test::TestedImage;
use source::ci;
use source::git::Change;
use std::fmt::Write as _;

/// What the page is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Home {
    name: String,
    version: String,
    branch: Option<String>,
    /// Files that differ from the commit: those of the image, and others.
    changes: [Vec<String>; 2],
    /// The production image: its name, ID and bytes.
    image: Option<(String, String, u64)>,
    next: Next,
    tested: Option<TestedImage>,
    /// The version of the last release from here, when it was begun, and whether it was pushed.
    release: Option<(String, String, bool)>,
    /// A version of this commit that wasn't released from here.
    to_release: Option<String>,
}

/// The page.
///
/// # Errors
/// [`process::failure::Exit::Usage`] outside a project with the workflow, and those of git.
pub fn run(world: &World) -> anyhow::Result<()> {
    let home = gather(world)?;
    let json = serde_json::json!({
        "name": home.name,
        "version": home.version,
        "branch": home.branch,
        "changes": home.changes.concat(),
        "image": home.image.as_ref().map(|(name, id, bytes)| serde_json::json!({
            "reference": name, "image_id": id, "size_bytes": bytes,
        })),
        "state": home.state(),
        "tested": home.tested,
        "release": home.release.as_ref().map(|(version, begun, pushed)| serde_json::json!({
            "version": version, "begun": begun, "pushed": pushed,
        })),
        "next": home.command(),
    });
    world.output.result(&home.text(), &json)
}

fn gather(world: &World) -> anyhow::Result<Home> {
    let workflow = world.workflow()?;
    let CheckoutState { checkout, last, next } = next(world, &workflow)?;
    let image = last.map(|(name, record)| (name, record.image_id, record.size.bytes));
    let tested = smoke_test::last(&workflow.state);
    let release = release::last(&workflow.state);
    let identity = ci::identity(world.ci.as_ref(), &checkout);
    let names = tags::names(&workflow.config.tags, &tags::TagFacts::of(&checkout, &identity, None));
    let version = names.ok().and_then(|names| Some(names.releases.first()?.version.to_string()));
    let done = |version: &String| release.as_ref().is_some_and(|r| r.0 == *version && r.2);
    let path = |change: &Change| change.path.clone();
    let inside: Vec<String> = checkout.context_changes.iter().map(path).collect();
    let outside = checkout.dirty.iter().map(path).filter(|path| !inside.contains(path)).collect();
    Ok(Home {
        name: workflow.config.image.name.clone(),
        version: checkout.version,
        branch: checkout.branch,
        changes: [inside, outside],
        image,
        next,
        tested,
        to_release: version.filter(|version| !done(version)),
        release,
    })
}

/// `a.py`, or `a.py and 2 more`.
fn few(paths: &[String]) -> String {
    match paths {
        [] => String::new(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

impl Home {
    /// Whether the image's last smoke test was of this image, and whole.
    fn tested_now(&self) -> Option<&TestedImage> {
        let (_, id, _) = self.image.as_ref()?;
        self.tested.as_ref().filter(|tested| tested.image_id == *id)
    }

    /// The next command to type.
    fn command(&self) -> String {
        let command = match (&self.next, self.tested_now()) {
            (Next::Refused(_), _) => "doctor",
            (Next::Never | Next::Changed(_), _) => "build",
            (Next::UpToDate, None) => "smoke-test",
            (Next::UpToDate, Some(tested)) if !tested.failed.is_empty() => {
                let only = tested.failed.iter().map(|name| format!(" --only {name}"));
                return format!("cargo xtask smoke-test{}", only.collect::<String>());
            }
            (Next::UpToDate, Some(tested)) if !tested.whole => "smoke-test",
            _ if self.to_release.is_some() && self.changes.iter().all(Vec::is_empty) => "release",
            _ => "dev",
        };
        format!("cargo xtask {command}")
    }

    /// What the image is.
    fn state(&self) -> String {
        match &self.next {
            Next::Never => "not built yet".to_owned(),
            Next::UpToDate => "nothing changed since it was built".to_owned(),
            Next::Changed(files) if files.is_empty() => {
                "out of date: the commit, a setting or the base changed".to_owned()
            }
            Next::Changed(files) => format!("out of date: {} changed", few(files)),
            Next::Refused(why) => format!("can't be built: {why}"),
        }
    }

    fn text(&self) -> String {
        let branch = self.branch.as_ref().map(|name| format!(", branch {name}"));
        let mut text = format!("{} {}{}\n", self.name, self.version, branch.unwrap_or_default());
        let mut row = |name: &str, value: &str| {
            let _ = writeln!(text, "  {name:<10}{value}");
        };
        row(
            "changes",
            &match &self.changes {
                [inside, outside] if inside.is_empty() && outside.is_empty() => "none".to_owned(),
                [inside, outside] if inside.is_empty() => {
                    format!("{}; none is in the image", few(outside))
                }
                [inside, _] => format!("{}; in the image", few(inside)),
            },
        );
        match &self.image {
            Some((name, _, bytes)) => {
                row("image", &format!("{name}, {}: {}", megabytes(*bytes), self.state()));
            }
            None => row("image", &self.state()),
        }
        row(
            "tested",
            &match (&self.tested, self.tested_now()) {
                (None, _) => "not yet".to_owned(),
                (Some(tested), now) => {
                    let whose = if now.is_some() { "" } else { ", an older image" };
                    format!("{}{whose}, {}", tested.said(), tested.time)
                }
            },
        );
        row(
            "release",
            &match &self.release {
                None => "none from this checkout".to_owned(),
                Some((version, begun, true)) => format!("{version}, {begun}"),
                Some((version, begun, false)) => {
                    format!("{version}, begun {begun} and not finished: run the release again")
                }
            },
        );
        row("next", &self.command());
        text + "\ncargo xtask --help lists the commands.\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn home() -> Home {
        Home {
            name: "shop".into(),
            version: "v1.2.3".into(),
            branch: Some("main".into()),
            changes: [Vec::new(), Vec::new()],
            image: Some(("localhost/shop:prod".into(), "sha256:1".into(), 358_300_000)),
            next: Next::UpToDate,
            tested: Some(TestedImage {
                image_id: "sha256:1".into(),
                time: "2026-11-30T04:12:00Z".into(),
                passed: 54,
                failed: Vec::new(),
                whole: true,
            }),
            release: Some(("1.2.2".into(), "2026-11-20T10:00:00Z".into(), true)),
            to_release: Some("1.2.3".into()),
        }
    }

    #[test]
    fn the_next_command_is_what_is_left_to_do() {
        let check = |change: fn(&mut Home), command: &str| {
            let mut home = home();
            change(&mut home);
            assert_eq!(home.command(), format!("cargo xtask {command}"), "{home:?}");
        };
        check(|_| (), "release");
        check(|h| h.to_release = None, "dev");
        check(|h| h.changes[1].push("README.md".into()), "dev");
        check(|h| h.next = Next::Never, "build");
        check(|h| h.next = Next::Changed(Vec::new()), "build");
        check(|h| h.next = Next::Refused("x".into()), "doctor");
        check(|h| h.tested = None, "smoke-test");
        check(|h| h.tested.as_mut().unwrap().image_id = "sha256:2".into(), "smoke-test");
        check(|h| h.tested.as_mut().unwrap().whole = false, "smoke-test");
        let failed =
            |h: &mut Home| h.tested.as_mut().unwrap().failed = vec!["web".into(), "beat".into()];
        check(failed, "smoke-test --only web --only beat");
    }

    #[test]
    fn the_page_fits_a_terminal() {
        expect![[r#"
            shop v1.2.3, branch main
              changes   none
              image     localhost/shop:prod, 358.3 MB: nothing changed since it was built
              tested    54 checks passed, 2026-11-30T04:12:00Z
              release   1.2.2, 2026-11-20T10:00:00Z
              next      cargo xtask release

            cargo xtask --help lists the commands.
        "#]]
        .assert_eq(&home().text());
        let mut changed = home();
        changed.changes[0] = vec!["app/a.py".into(), "app/b.py".into(), "app/c.py".into()];
        changed.next = Next::Changed(changed.changes[0].clone());
        changed.tested.as_mut().unwrap().failed = vec!["web".into()];
        changed.image.as_mut().unwrap().1 = "sha256:2".into();
        changed.release = None;
        expect![[r#"
            shop v1.2.3, branch main
              changes   app/a.py and 2 more; in the image
              image     localhost/shop:prod, 358.3 MB: out of date: app/a.py and 2 more changed
              tested    54 checks passed, 1 failed, an older image, 2026-11-30T04:12:00Z
              release   none from this checkout
              next      cargo xtask build

            cargo xtask --help lists the commands.
        "#]]
        .assert_eq(&changed.text());
    }
}
