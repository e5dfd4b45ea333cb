//! The rules: what each looks for, and what an engine must be able to do for it to be right.

use super::step::{Step, variables};
use crate::capability::Capability;

pub(super) struct Rule {
    /// Its name, as `# lint: allow` takes it.
    pub(super) name: &'static str,
    pub(super) needs: Capability,
    /// The word of the step that trips it.
    pub(super) trips: fn(&Step) -> Option<String>,
}

/// A parser directive: no instruction.
pub(super) const SYNTAX: Rule =
    Rule { name: "syntax", needs: Capability::SyntaxLine, trips: |_| None };
/// Found as the text is read.
pub(super) const HERE_DOCUMENT: Rule =
    Rule { name: "here-document", needs: Capability::HereDocuments, trips: |_| None };

/// The rules that look at one instruction. `HEALTHCHECK` has none: the workflow builds in the
/// format that keeps it and looks whether the image has it. A lost `SHELL` shows nowhere.
pub(super) const RULES: [Rule; 16] = [
    Rule {
        name: "shell",
        needs: Capability::ShellKept,
        trips: |step| (step.keyword == "SHELL").then(|| "SHELL".to_owned()),
    },
    Rule {
        name: "mount-from",
        needs: Capability::MountFromStage,
        trips: |step| {
            step.mount(|mount| {
                let from = mount.option("from");
                from.is_some_and(|from| step.images.iter().all(|(written, _)| written != from))
            })
        },
    },
    Rule {
        name: "bind",
        needs: Capability::BindMountFresh,
        trips: |step| step.mount(|mount| mount.of_context()),
    },
    Rule {
        name: "bind-rw",
        needs: Capability::BindMountApart,
        trips: |step| {
            let on = |value: Option<&str>| value.is_some_and(|value| value != "false");
            step.mount(|mount| {
                mount.of_context() && (on(mount.option("rw")) || on(mount.option("readwrite")))
            })
        },
    },
    Rule {
        name: "label-argument",
        needs: Capability::LabelFollowsArgument,
        trips: |step| {
            let used = variables(&step.text).into_iter();
            let mut used = used.filter(|(name, ..)| step.arguments.contains(name));
            let (_, start, end) = used.next().filter(|_| step.keyword == "LABEL")?;
            Some(step.text[start..end].to_owned())
        },
    },
    Rule {
        name: "copy-link",
        needs: Capability::CopyLink,
        trips: |step| copies(step).then(|| step.flag("--link")).flatten(),
    },
    Rule {
        name: "copy-exclude",
        needs: Capability::CopyExclude,
        trips: |step| copies(step).then(|| step.flag("--exclude")).flatten(),
    },
    Rule {
        name: "copy-parents",
        needs: Capability::CopyParents,
        trips: |step| copies(step).then(|| step.flag("--parents")).flatten(),
    },
    Rule {
        name: "add-checksum",
        needs: Capability::AddChecksum,
        trips: |step| (step.keyword == "ADD").then(|| step.flag("--checksum")).flatten(),
    },
    Rule {
        name: "run-network",
        needs: Capability::RunNetwork,
        trips: |step| (step.keyword == "RUN").then(|| step.flag("--network")).flatten(),
    },
    Rule {
        name: "start-interval",
        needs: Capability::StartInterval,
        trips: |step| {
            (step.keyword == "HEALTHCHECK").then(|| step.flag("--start-interval")).flatten()
        },
    },
    Rule {
        name: "cache-private",
        needs: Capability::PrivateCache,
        trips: |step| {
            step.mount(|mount| {
                mount.kind() == "cache" && mount.option("sharing") == Some("private")
            })
        },
    },
    Rule {
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
    Rule {
        name: "secret-variable",
        needs: Capability::SecretInVariable,
        trips: |step| step.mount(|mount| mount.kind() == "secret" && mount.option("env").is_some()),
    },
    Rule {
        name: "tmpfs-size",
        needs: Capability::TmpfsSize,
        trips: |step| step.mount(|mount| mount.kind() == "tmpfs" && mount.option("size").is_some()),
    },
    Rule {
        name: "short-name",
        needs: Capability::ShortNames,
        trips: |step| {
            let short = |(_, whole): &&(String, String)| crate::reference::is_short(whole);
            step.images.iter().find(short).map(|(written, _)| written.clone())
        },
    },
];

/// `ADD` has the options of `COPY`, and some more.
fn copies(step: &Step) -> bool {
    matches!(step.keyword.as_str(), "COPY" | "ADD")
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    [SYNTAX.name, HERE_DOCUMENT.name].into_iter().chain(RULES.iter().map(|rule| rule.name))
}
