//! The help that fits a terminal, examples, and completion for bash.

use clap::Command;
use process::failure::{Exit, failure_help};
use std::fmt::Write as _;

/// The commands of the short help; `help --all` has the rest.
const DAILY: [&str; 12] = [
    "build",
    "smoke-test",
    "dev",
    "label",
    "context",
    "images",
    "clean",
    "push",
    "release",
    "doctor",
    "setup",
    "init",
];

/// Examples of each command, and what each does.
const EXAMPLES: [(&str, &[(&str, &str)]); 20] = [
    (
        "build",
        &[
            ("build", "the production image of the working tree"),
            ("build --commit v1.2.3", "that of a commit, whatever the working tree holds"),
            ("build --dry-run", "the same as a script for sh"),
        ],
    ),
    ("label", &[("label --get version", "one value, for scripts")]),
    ("context", &[("context app/.env", "whether that file is sent to the engine, and why")]),
    ("doctor", &[("doctor", "every finding with its remedy")]),
    ("init", &[("init ../my-project", "the workflow in another Django project")]),
    (
        "export",
        &[
            ("export compose", "docker/compose.yaml and docker/compose.dev.yaml"),
            ("export quadlet units", "a server's systemd units, in the folder units"),
        ],
    ),
    ("setup", &[("setup --dry-run", "what would be installed")]),
    (
        "smoke-test",
        &[
            ("smoke-test --core", "the core checks, in a third of the time"),
            ("smoke-test --only web --keep", "one check, and its containers to look at"),
        ],
    ),
    (
        "dev",
        &[
            ("dev", "the whole site; Ctrl-C stops it"),
            ("dev -- python manage.py createsuperuser", "one command in it"),
        ],
    ),
    ("squash", &[("squash", "NAME:prod as one layer, NAME:prod-squashed")]),
    ("images", &[("images --format json", "for programs")]),
    ("clean", &[("clean --dry-run", "what would be removed")]),
    ("push", &[("push --dry-run", "which tag would move from which digest to which")]),
    ("release", &[("release --dry-run", "every step, before any")]),
    (
        "promote",
        &[
            ("promote 1.4.2 --to production", "the tag production names 1.4.2 from now on"),
            ("promote staging --to production", "what staging names"),
        ],
    ),
    ("rollback", &[("rollback production", "the image before")]),
    (
        "verify",
        &[
            ("verify 1.4.2", "each line that is proven, and each that isn't"),
            ("verify production --history", "who moved the tag when"),
        ],
    ),
    ("reproduce", &[("reproduce 1.4.2", "that commit, built again and compared")]),
    ("test", &[("test --only unit", "one group")]),
    ("bench", &[("bench --quick", "a short run of all")]),
];

/// The command line with examples.
pub fn with_examples(command: Command) -> Command {
    EXAMPLES.iter().fold(command, |command, (name, examples)| {
        let width = examples.iter().map(|(words, _)| words.len()).max().unwrap_or_default();
        let mut text = "Examples:".to_owned();
        for (words, what) in *examples {
            let _ = write!(text, "\n  cargo xtask {words:<width$}  # {what}");
        }
        command.mut_subcommand(name, |command| command.after_long_help(text))
    })
}

/// The help of `cargo xtask` that fits 80 columns and 24 lines.
pub fn short(command: &Command) -> String {
    let mut text = command.get_about().map(|about| format!("{about}\n\n")).unwrap_or_default();
    text += "Usage: cargo xtask [COMMAND] [OPTIONS]\n\n";
    let mut row = |name: &str, what: &str| {
        let _ = writeln!(text, "  {name:<12}{what}");
    };
    row("(none)", "Show where this checkout stands, and the next command");
    for name in DAILY {
        let about = command.find_subcommand(name).and_then(Command::get_about);
        row(name, &about.map(ToString::to_string).unwrap_or_default());
    }
    text + "\nOptions of every command:\n  \
            -C DIR  --engine podman|docker  --dry-run  --format text|json  -q  -v\n\n\
            cargo xtask COMMAND --help  is the manual of a command\n\
            cargo xtask help --all      has all commands, options and exit codes\n"
}

/// The long help of one command, or of all.
///
/// # Errors
/// [`Exit::Usage`] for a word that is no command.
pub fn long(mut command: Command, of: Option<&str>) -> anyhow::Result<String> {
    command.build();
    let Some(name) = of else { return Ok(command.render_long_help().to_string()) };
    match command.find_subcommand_mut(name) {
        Some(one) => Ok(one.render_long_help().to_string()),
        None => {
            let message = format!("help: there is no command `{name}`");
            Err(failure_help(Exit::Usage, message, "`cargo xtask help --all` lists them"))
        }
    }
}

/// A script for bash: it completes `cargo xtask …`, and leaves the rest to cargo's own completion.
pub fn completion(mut command: Command) -> String {
    command.build();
    let visible = |command: &&Command| !command.is_hide_set();
    let options = |command: &Command| -> Vec<String> {
        let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set());
        arguments.filter_map(|argument| Some(format!("--{}", argument.get_long()?))).collect()
    };
    let common = options(&command);
    let (mut cases, mut values) = (String::new(), String::new());
    for one in command.get_subcommands().filter(visible) {
        let own: Vec<String> =
            options(one).into_iter().filter(|option| !common.contains(option)).collect();
        // What may stand without dashes: commands of the command, and the values of its first word.
        let mut plain: Vec<&str> = one.get_subcommands().map(Command::get_name).collect();
        let first = one.get_positionals().next().map(clap::Arg::get_possible_values);
        let first = first.unwrap_or_default();
        plain.extend(first.iter().map(clap::builder::PossibleValue::get_name));
        let (name, own, plain) = (one.get_name(), own.join(" "), plain.join(" "));
        let _ = writeln!(cases, "        {name}) words=\"{own} $common\" plain='{plain}' ;;");
    }
    for argument in command.get_arguments().filter(|argument| argument.get_action().takes_values())
    {
        let possible = argument.get_possible_values();
        let possible: Vec<&str> = possible.iter().map(|value| value.get_name()).collect();
        if let Some(long) = argument.get_long().filter(|_| !possible.is_empty()) {
            let _ = writeln!(
                values,
                "        --{long}) words='{0}' plain='{0}' ;;",
                possible.join(" ")
            );
        }
    }
    let names: Vec<&str> =
        command.get_subcommands().filter(visible).map(Command::get_name).collect();
    SCRIPT
        .replace("NAMES", &names.join(" "))
        .replace("COMMON", &common.join(" "))
        .replace("        CASES\n", &cases)
        .replace("        VALUES\n", &values)
}

const SCRIPT: &str = r#"# Completion of `cargo xtask` for bash: cargo xtask help --completion >>~/.bashrc
_cargo_xtask() {
    local word=${COMP_WORDS[COMP_CWORD]} common='COMMON' words='' plain='NAMES'
    if [ "$COMP_CWORD" -gt 2 ]; then
        case ${COMP_WORDS[2]} in
        CASES
        *) plain='' ;;
        esac
        case ${COMP_WORDS[COMP_CWORD-1]} in
        VALUES
        esac
    fi
    [ "${word:0:1}" = - ] || words=$plain
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
_cargo_with_xtask() {
    if [ "${COMP_WORDS[1]}" = xtask ] && [ "$COMP_CWORD" -gt 1 ]; then
        _cargo_xtask
        return
    fi
    if ! declare -F _cargo >/dev/null; then
        # shellcheck disable=SC1091
        . "$(rustc --print sysroot)/etc/bash_completion.d/cargo" 2>/dev/null
        complete -o default -F _cargo_with_xtask cargo
    fi
    ! declare -F _cargo >/dev/null || _cargo "$@"
}
complete -o default -F _cargo_with_xtask cargo
"#;
