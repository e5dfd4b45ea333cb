//! Small changes of files, decided as data: done here, and shown as the command that does the same.
//! Starting that command would take longer than the change itself.

use crate::disk::{self, failed};
use crate::invocation::{Invocation, quoted};
use crate::regular;
use crate::state::{make_folder, write_whole};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// One change. [`fmt::Display`] is the command for a shell in the top folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// These folders are there, and those above them.
    Folders(Vec<PathBuf>),
    /// There is no such file.
    Gone(PathBuf),
    /// There is such a file, whatever is in it.
    Present(PathBuf),
    /// The place is a link to the target.
    Link {
        /// What it leads to.
        target: PathBuf,
        /// The path of the link.
        place: PathBuf,
    },
    /// A file holds the first lines of another file, then one more line.
    Ending {
        /// The other file, below the top folder.
        whole: String,
        count: usize,
        last: String,
        file: PathBuf,
    },
    /// A file holds these lines.
    Lines {
        lines: Vec<String>,
        /// The file that is written.
        file: PathBuf,
    },
}

impl fmt::Display for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = |path: &PathBuf| path.display().to_string();
        let invocation = match self {
            FileChange::Folders(folders) => {
                let words = ["-p".to_owned()].into_iter().chain(folders.iter().map(path));
                Invocation::new("mkdir", words)
            }
            FileChange::Gone(file) => Invocation::new("rm", ["-f".to_owned(), path(file)]),
            FileChange::Present(file) => Invocation::new("touch", [path(file)]),
            FileChange::Link { target, place } => {
                Invocation::new("ln", ["-sfn".to_owned(), path(target), path(place)])
            }
            FileChange::Ending { whole, count, last, file } => {
                // The empty line is there for a file whose last line isn't ended.
                let [whole, last, file] = [whole, last, &path(file)].map(|word| quoted(word));
                return write!(
                    f,
                    "{{ head -n {count} {whole}; printf '\\n%s\\n' {last}; }} >{file}"
                );
            }
            FileChange::Lines { lines, file } => {
                let words = ["%s\\n"].map(str::to_owned).into_iter().chain(lines.iter().cloned());
                return write!(f, "{} >{}", Invocation::new("printf", words), quoted(&path(file)));
            }
        };
        invocation.fmt(f)
    }
}

impl FileChange {
    /// Makes the change; `top` is the top folder of the workflow.
    pub fn run(&self, top: &Path) -> anyhow::Result<()> {
        match self {
            FileChange::Folders(folders) => {
                folders.iter().try_for_each(|folder| make_folder(folder))
            }
            FileChange::Gone(file) => gone(file),
            FileChange::Present(file) => {
                regular::append(file).map(drop).map_err(|error| failed("making", file, &error))
            }
            FileChange::Link { target, place } => {
                if fs::read_link(place).is_ok_and(|there| there == *target) {
                    return Ok(());
                }
                gone(place)?;
                std::os::unix::fs::symlink(target, place)
                    .map_err(|error| failed("making the link", place, &error))
            }
            FileChange::Ending { whole, count, last, file } => {
                let text = disk::text(&top.join(whole), whole)?;
                let first: String = text.split_inclusive('\n').take(*count).collect();
                write_whole(file, &format!("{first}\n{last}\n"))
            }
            FileChange::Lines { lines, file } => write_whole(file, &(lines.join("\n") + "\n")),
        }
    }
}

fn gone(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed("removing", file, &error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Every file below `folder` with its content, or the target of a link.
    fn tree(folder: &Path) -> Vec<String> {
        let mut all = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.display().to_string();
            match path.read_link() {
                Ok(target) => all.push(format!("{name} -> {}", target.display())),
                Err(_) if path.is_dir() => {
                    all.push(name);
                    all.extend(tree(&path));
                }
                Err(_) => all.push(format!("{name}: {}", fs::read_to_string(path).unwrap())),
            }
        }
        all.sort();
        all
    }

    /// What `--dry-run` prints does what a build does, twice in a row and over what was there.
    #[test]
    fn each_step_does_what_its_command_does() {
        let made = |by_command: bool| {
            let folder = tempfile::tempdir().unwrap();
            let top = folder.path();
            for (name, text) in [("old", "text\n"), ("kept", "1"), ("three", "a\nb\nc\n")] {
                fs::write(top.join(name), text).unwrap();
            }
            std::os::unix::fs::symlink("elsewhere", top.join("link")).unwrap();
            let link =
                |name: &str| FileChange::Link { target: top.join("one"), place: top.join(name) };
            let ending = |whole: &str, count, last: &str, file: &str| FileChange::Ending {
                whole: whole.to_owned(),
                count,
                last: last.to_owned(),
                file: top.join(file),
            };
            let steps = [
                FileChange::Folders(vec![top.join("one/two"), top.join("o'ne")]),
                FileChange::Gone(top.join("old")),
                FileChange::Gone(top.join("never")),
                FileChange::Present(top.join("kept")),
                FileChange::Present(top.join("new")),
                link("link"),
                link("other"),
                ending("three", 2, "d", "two lines"),
                ending("three", 9, r#"it's "$HOME" \n %s \\"#, "all"),
                ending("kept", 1, "", "not ended"),
                FileChange::Lines {
                    lines: ["it's", "", "$x \\n %s"].map(str::to_owned).to_vec(),
                    file: top.join("lines"),
                },
            ];
            for step in steps.iter().chain(&steps) {
                if by_command {
                    let script = step.to_string();
                    let status =
                        Command::new("sh").args(["-c", &script]).current_dir(top).status().unwrap();
                    assert!(status.success(), "{script}");
                } else {
                    step.run(top).unwrap();
                }
            }
            let root = top.display().to_string();
            tree(top).iter().map(|line| line.replace(&root, "")).collect::<Vec<_>>()
        };
        let ours = made(false);
        assert_eq!(ours, made(true));
        assert!(ours.contains(&"/two lines: a\nb\n\nd\n".to_owned()), "{ours:?}");
    }
}
