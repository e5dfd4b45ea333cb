//! How two commits stand to each other, as far as this clone knows.

use super::native;
use git2::Oid;
use std::path::Path;

/// How another commit stands to ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ancestry {
    /// Ours is one of its ancestors.
    Descendant,
    /// It is one of ours.
    Ancestor,
    /// Both are known, and neither is.
    Diverged,
    /// It isn't in this clone.
    Unknown,
}

/// How the commit `theirs` stands to `ours` in the repository of `folder`. What can't be read is
/// unknown, and so is what history that was cut off doesn't show.
pub fn ancestry(folder: &Path, ours: &str, theirs: &str) -> Ancestry {
    let Ok(Ok(repo)) = native::open(folder) else { return Ancestry::Unknown };
    let commit = |id: &str| {
        let id = Oid::from_str(id).ok().filter(|_| id.len() >= 40)?;
        repo.find_commit(id).ok().map(|commit| commit.id())
    };
    let (Some(ours), Some(theirs)) = (commit(ours), commit(theirs)) else {
        return Ancestry::Unknown;
    };
    let descends = |one, other| repo.graph_descendant_of(one, other);
    match (descends(theirs, ours), descends(ours, theirs)) {
        (Ok(true), _) => Ancestry::Descendant,
        (_, Ok(true)) => Ancestry::Ancestor,
        (Ok(false), Ok(false)) if !repo.is_shallow() => Ancestry::Diverged,
        _ => Ancestry::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn git(folder: &Path, words: &[&str]) -> String {
        let names = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let mut command = Command::new("git");
        let output = command.args(names).args(words).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn commits_of_one_line_of_two_lines_and_of_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        git(path, &["init", "--quiet", "--initial-branch=main", "."]);
        let commit = |name: &str| {
            git(path, &["commit", "--quiet", "--allow-empty", "--message", name]);
            git(path, &["rev-parse", "HEAD"])
        };
        let (first, second) = (commit("first"), commit("second"));
        git(path, &["checkout", "--quiet", "-b", "side", &first]);
        let side = commit("side");
        let check = |ours: &str, theirs: &str, expected| {
            assert_eq!(ancestry(path, ours, theirs), expected, "{ours} {theirs}");
        };
        check(&first, &second, Ancestry::Descendant);
        check(&second, &first, Ancestry::Ancestor);
        check(&second, &side, Ancestry::Diverged);
        check(&second, &"0".repeat(40), Ancestry::Unknown);
        check(&second, "", Ancestry::Unknown);
        check(&second, &first[..12], Ancestry::Unknown);
        // A clone that was cut off knows nothing about what is beyond.
        let shallow = tempfile::tempdir().unwrap();
        let from = format!("file://{}", path.display());
        let words = ["clone", "--quiet", "--depth=1", "--no-single-branch", &from, "."];
        git(shallow.path(), &words);
        assert_eq!(ancestry(shallow.path(), &second, &side), Ancestry::Unknown);
        assert_eq!(ancestry(Path::new("/"), &first, &second), Ancestry::Unknown);
    }
}
