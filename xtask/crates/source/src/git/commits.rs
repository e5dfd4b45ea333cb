//! What this clone has of commits that aren't checked out.

use super::native;
use git2::{Delta, Oid, Repository};
use std::path::Path;

fn open(folder: &Path) -> Option<Repository> {
    native::open(folder).ok()?.ok()
}

/// The files that the commit `new` has in addition to `old`, in the repository of `folder`; `None`
/// if either isn't in this clone.
pub fn added(folder: &Path, old: &str, new: &str) -> Option<Vec<String>> {
    let repo = open(folder)?;
    let tree = |id: &str| repo.find_commit(Oid::from_str(id).ok()?).ok()?.tree().ok();
    let diff = repo.diff_tree_to_tree(Some(&tree(old)?), Some(&tree(new)?), None).ok()?;
    let added = diff.deltas().filter(|delta| delta.status() == Delta::Added);
    Some(added.filter_map(|delta| Some(delta.new_file().path()?.to_str()?.to_owned())).collect())
}

pub fn has(folder: &Path, commit: &str) -> bool {
    let id = Oid::from_str(commit).ok().filter(|_| commit.len() >= 40);
    id.zip(open(folder)).is_some_and(|(id, repo)| repo.find_commit(id).is_ok())
}

/// The bytes of a file in a commit; `None` if this clone has no such commit, or that no such file.
pub fn file(folder: &Path, commit: &str, path: &str) -> Option<Vec<u8>> {
    let repo = open(folder)?;
    let tree = repo.find_commit(Oid::from_str(commit).ok()?).ok()?.tree().ok()?;
    let object = tree.get_path(Path::new(path)).ok()?.to_object(&repo).ok()?;
    object.as_blob().map(|blob| blob.content().to_vec())
}

pub fn of_tag(folder: &Path, tag: &str) -> Option<String> {
    let repo = open(folder)?;
    let object = repo.revparse_single(&format!("refs/tags/{tag}")).ok()?;
    object.peel_to_commit().ok().map(|commit| commit.id().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn what_two_commits_hold_and_what_lies_between() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let git = |words: &[&str]| {
            let names = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
            let mut command = Command::new("git");
            let output = command.args(names).args(words).current_dir(path).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let commit = |file: &str, text: &str| {
            std::fs::write(path.join(file), text).unwrap();
            git(&["add", "--all"]);
            git(&["commit", "--quiet", "--message", file]);
            git(&["rev-parse", "HEAD"])
        };
        git(&["init", "--quiet", "--initial-branch=main", "."]);
        let (first, second) = (commit("a", "1"), commit("b", "2"));
        git(&["tag", "--annotate", "v1", "--message", "v1", &first]);
        assert_eq!(added(path, &first, &second), Some(vec!["b".to_owned()]));
        assert_eq!(added(path, &second, &first), Some(Vec::new()));
        assert_eq!(added(path, &first, &"0".repeat(40)), None);
        assert_eq!((has(path, &first), has(path, &"0".repeat(40))), (true, false));
        assert_eq!(file(path, &second, "b").as_deref(), Some(&b"2"[..]));
        assert_eq!(file(path, &first, "b"), None);
        assert_eq!((of_tag(path, "v1"), of_tag(path, "v2")), (Some(first), None));
    }
}
