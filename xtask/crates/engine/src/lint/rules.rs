//! The rules: what each looks for, and what an engine must be able to do for it to be right.

use super::step::{LintStep, variables};
use crate::capability::Capability;

pub(super) struct LintRule {
    /// Its name, as `# lint: allow` takes it.
    pub(super) name: &'static str,
    pub(super) needs: Capability,
    /// The word of the step that trips it.
    pub(super) trips: fn(&LintStep) -> Option<String>,
}

/// A parser directive: no instruction.
pub(super) const SYNTAX: LintRule =
    LintRule { name: "syntax", needs: Capability::SyntaxLine, trips: |_| None };
/// Found as the text is read.
pub(super) const HERE_DOCUMENT: LintRule =
    LintRule { name: "here-document", needs: Capability::HereDocuments, trips: |_| None };

/// The rules that look at one instruction. `HEALTHCHECK` has none: the workflow builds in the
/// format that keeps it and looks whether the image has it. A lost `SHELL` shows nowhere.
pub(super) const RULES: [LintRule; 16] = [
    LintRule {
        name: "shell",
        needs: Capability::ShellKept,
        trips: |step| (step.keyword == "SHELL").then(|| "SHELL".to_owned()),
    },
    LintRule {
        name: "mount-from",
        needs: Capability::MountFromStage,
        trips: |step| {
            step.mount(|mount| {
                let from = mount.option("from");
                from.is_some_and(|from| step.images.iter().all(|(written, _)| written != from))
            })
        },
    },
    LintRule {
        name: "bind",
        needs: Capability::BindMountFresh,
        trips: |step| step.mount(|mount| mount.of_context()),
    },
    LintRule {
        name: "bind-rw",
        needs: Capability::BindMountApart,
        trips: |step| {
            let on = |value: Option<&str>| value.is_some_and(|value| value != "false");
            step.mount(|mount| {
                mount.of_context() && (on(mount.option("rw")) || on(mount.option("readwrite")))
            })
        },
    },
    LintRule {
        name: "label-argument",
        needs: Capability::LabelFollowsArgument,
        trips: |step| {
            let used = variables(&step.text).into_iter();
            let mut used = used.filter(|(name, ..)| step.arguments.contains(name));
            let (_, start, end) = used.next().filter(|_| step.keyword == "LABEL")?;
            Some(step.text[start..end].to_owned())
        },
    },
    LintRule {
        name: "copy-link",
        needs: Capability::CopyLink,
        trips: |step| copies(step).then(|| step.flag("--link")).flatten(),
    },
    LintRule {
        name: "copy-exclude",
        needs: Capability::CopyExclude,
        trips: |step| copies(step).then(|| step.flag("--exclude")).flatten(),
    },
    LintRule {
        name: "copy-parents",
        needs: Capability::CopyParents,
        trips: |step| copies(step).then(|| step.flag("--parents")).flatten(),
    },
    LintRule {
        name: "add-checksum",
        needs: Capability::AddChecksum,
        trips: |step| (step.keyword == "ADD").then(|| step.flag("--checksum")).flatten(),
    },
    LintRule {
        name: "run-network",
        needs: Capability::RunNetwork,
        trips: |step| (step.keyword == "RUN").then(|| step.flag("--network")).flatten(),
    },
    LintRule {
        name: "start-interval",
        needs: Capability::StartInterval,
        trips: |step| {
            (step.keyword == "HEALTHCHECK").then(|| step.flag("--start-interval")).flatten()
        },
    },
    LintRule {
        name: "cache-private",
        needs: Capability::PrivateCache,
        trips: |step| {
            step.mount(|mount| {
                mount.kind() == "cache" && mount.option("sharing") == Some("private")
            })
        },
    },
    LintRule {
        name: "mount-owner",
        needs: Capability::MountForOthers,
        trips: |step| {
            step.mount(|mount| {
                matches!(mount.kind(), "secret" | "cache")
                    && step.other_user
                    && mount.option("uid").or(mount.option("mode")).is_none()
            })
        },
    },
    LintRule {
        name: "secret-variable",
        needs: Capability::SecretInVariable,
        trips: |step| step.mount(|mount| mount.kind() == "secret" && mount.option("env").is_some()),
    },
    LintRule {
        name: "tmpfs-size",
        needs: Capability::TmpfsSize,
        trips: |step| step.mount(|mount| mount.kind() == "tmpfs" && mount.option("size").is_some()),
    },
    LintRule {
        name: "short-name",
        needs: Capability::ShortNames,
        trips: |step| {
            let short = |(_, whole): &&(String, String)| crate::reference::is_short(whole);
            step.images.iter().find(short).map(|(written, _)| written.clone())
        },
    },
];

/// `ADD` has the options of `COPY`, and some more.
fn copies(step: &LintStep) -> bool {
    matches!(step.keyword.as_str(), "COPY" | "ADD")
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    [SYNTAX.name, HERE_DOCUMENT.name].into_iter().chain(RULES.iter().map(|rule| rule.name))
}
