//! States at the edges: what git's commands can make of a repository.

use super::*;
use crate::failure::describe;

/// Reads a changed workflow and compares with the installed git.
fn same_as_git(change: &dyn Fn(&Lab)) -> Checkout {
    let lab = Lab::workflow();
    change(&lab);
    let checkout = lab.read().unwrap();
    assert_eq!(checkout.describe, lab.describe());
    assert_eq!(checkout.revision, lab.git(&["rev-parse", "HEAD"]));
    checkout
}

/// The exit code, the message and the help of a refusal, with the folder's name taken out.
fn refusal(lab: &Lab, outcome: anyhow::Result<Checkout>) -> String {
    let error = outcome.unwrap_err();
    let (exit, help) = describe(&error);
    let text = format!("{} {error:#}\n{}", exit as u8, help.join("\n"));
    text.replace(&lab.path().canonicalize().unwrap().display().to_string(), "TOP")
        .replace(&lab.path().display().to_string(), "TOP")
}

#[test]
fn tags_of_every_form() {
    let tag = |words: &[&str]| {
        same_as_git(&|lab| {
            lab.git(&[&["tag"], words].concat());
        })
    };
    assert_eq!(tag(&["v1"]).describe, "v1");
    assert_eq!(tag(&["v1", "--annotate", "--message=x"]).describe, "v1");
    assert_eq!(tag(&["api/v1.2.3"]).exact_tags, ["api/v1.2.3"]);
    let nested = same_as_git(&|lab| {
        lab.git(&["tag", "inner", "--annotate", "--message=x"]);
        lab.git(&["tag", "outer", "inner", "--annotate", "--message=x"]);
        lab.git(&["tag", "--delete", "inner"]);
    });
    assert_eq!(nested.describe, "outer");
    same_as_git(&|lab| {
        lab.git(&["tag", "tree", "HEAD^{tree}"]);
        lab.git(&["tag", "blob", "HEAD:README.md", "--annotate", "--message=x"]);
    });
    let both = same_as_git(&|lab| {
        lab.git(&["tag", "a-light"]);
        lab.git(&["tag", "b-heavy", "--annotate", "--message=x"]);
        lab.git(&["pack-refs", "--all"]);
        lab.commit("second");
    });
    assert!(both.describe.starts_with("b-heavy-1-g"), "{}", both.describe);
    let renamed = same_as_git(&|lab| {
        lab.git(&["tag", "old", "--annotate", "--message=x"]);
        lab.git(&["update-ref", "refs/tags/new", "refs/tags/old"]);
        lab.git(&["tag", "--delete", "old"]);
    });
    assert!(renamed.describe.starts_with("old-0-g"), "{}", renamed.describe);
}

#[test]
fn a_tag_that_is_no_utf_8_is_no_reason_to_fail() {
    use std::os::unix::ffi::OsStrExt as _;
    let lab = Lab::workflow();
    let name = std::ffi::OsStr::from_bytes(b"v\xff1");
    assert!(lab.command(&["tag"]).arg(name).status().unwrap().success());
    assert_eq!(lab.read().unwrap().describe, "v\u{fffd}1");
}

#[test]
fn heads_and_clones_of_every_form() {
    let branch = same_as_git(&|_| {}).branch;
    assert_eq!(branch.as_deref(), Some("main"));
    let detached = same_as_git(&|lab| {
        lab.git(&["checkout", "--quiet", "--detach"]);
    });
    assert_eq!(detached.branch, None);
    let lab = Lab::workflow();
    lab.git(&["tag", "v1"]);
    lab.commit("second");
    lab.commit("third");
    let url = format!("file://{}", lab.path().display());
    let shallow = Lab::bare();
    shallow.git(&["clone", "--quiet", "--depth=2", "--no-tags", &url, "."]);
    let checkout = shallow.read().unwrap();
    assert_eq!(checkout.describe, shallow.describe());
    assert!(checkout.shallow && checkout.warnings.len() == 1, "{:?}", checkout.warnings);
    let whole = Lab::bare();
    whole.git(&["clone", "--quiet", &url, "."]);
    let checkout = whole.read().unwrap();
    assert_eq!(checkout.describe, whole.describe());
    assert!(checkout.describe.starts_with("v1-2-g") && checkout.warnings.is_empty());
    assert_eq!(checkout.remote_url, Some(url));
    let tree = Lab::bare();
    let path = tree.path().display().to_string();
    lab.git(&["worktree", "add", "--quiet", &path, "-b", "side"]);
    let checkout = tree.read().unwrap();
    assert_eq!(
        (checkout.describe.clone(), checkout.branch.as_deref()),
        (tree.describe(), Some("side"))
    );
    lab.git(&["worktree", "remove", "--force", &path]);
}

#[test]
fn what_has_no_identity_says_why() {
    let check =
        |lab: &Lab, expected: expect_test::Expect| expected.assert_eq(&refusal(lab, lab.read()));
    check(
        &Lab::bare(),
        expect![[r#"
        3 reading git: TOP is in no git repository
        the version comes from git: run this in a checkout, or `git init` and commit"#]],
    );
    check(
        &Lab::new(),
        expect![[r#"
        3 reading git: there is no commit yet
        commit something first: the labels name the commit that an image was built from"#]],
    );
    let bare = Lab::bare();
    bare.git(&["init", "--quiet", "--bare", "."]);
    check(
        &bare,
        expect![[r#"
        3 reading git: TOP is a bare repository, without files to build
        clone it, and run this in the clone"#]],
    );
}

#[test]
fn an_outer_repository_names_only_what_it_tracks() {
    let outer = Lab::workflow();
    let path = std::env::var("PATH").unwrap();
    outer.write("copy/docker/image.toml", "");
    outer.write("copy/app/view.py", "x\n");
    expect![[r#"
        3 reading git: TOP/copy has no repository of its own, and the one around it at TOP doesn't track it
        its version would be another project's: run `git init` and commit in TOP/copy, or commit it in the outer repository"#]].assert_eq(&refusal(&outer, outer.read_below("copy", &path)));
    outer.commit("monorepo");
    let checkout = outer.read_below("copy", &path).unwrap();
    assert_eq!(checkout.describe, outer.describe());
    outer.write("copy/app/view.py", "y\n");
    outer.write("README.md", "y\n");
    let checkout = outer.read_below("copy", &path).unwrap();
    expect![[r#"
        dirty: modified ../README.md (outside), modified app/view.py
        context: modified app/view.py"#]]
    .assert_eq(&changes(&checkout));
}

/// Ways in which libgit2 can't read a repository, or reads it wrongly.
fn needing_git() -> Vec<(&'static str, Lab)> {
    let mut all = Vec::new();
    let made = |words: &[&str]| {
        let lab = Lab::bare();
        lab.git(&[&["init", "--quiet", "--initial-branch=main"], words, &["."]].concat());
        lab.write(crate::config::PATH, "");
        lab.write("README.md", "read me\n");
        lab.write("app/view.py", "one = 1\n");
        lab.write("app/other.py", "two = 2\n");
        lab.commit("first");
        lab
    };
    all.push(("sha256", made(&["--object-format=sha256"])));
    // Since git 2.45; Debian 12 has 2.39.
    let probe = Lab::bare();
    let words = ["init", "--quiet", "--ref-format=reftable", "."];
    if probe.command(&words).stderr(Stdio::null()).status().unwrap().success() {
        all.push(("reftable", made(&["--ref-format=reftable"])));
    } else {
        eprintln!("the installed git has no reftable: that form was not tried");
    }
    let split = Lab::workflow();
    split.git(&["update-index", "--split-index"]);
    all.push(("split index", split));
    let sparse = Lab::workflow();
    sparse.write("far/away.txt", "x\n");
    sparse.commit("second");
    sparse.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "app", "docker"]);
    all.push(("sparse index", sparse));
    let filter = Lab::workflow();
    filter.git(&["config", "filter.upper.clean", "tr a-z A-Z"]);
    filter.write(".gitattributes", "README.md filter=upper\n");
    filter.commit("second");
    all.push(("filter", filter));
    let encoding = Lab::workflow();
    encoding.write(".gitattributes", "*.txt working-tree-encoding=UTF-16LE\n");
    encoding.commit("second");
    all.push(("encoding", encoding));
    let inner = Lab::workflow();
    let outer = Lab::workflow();
    let url = inner.path().display().to_string();
    outer.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        &url,
        "app/lib",
    ]);
    outer.commit("second");
    all.push(("submodule", outer));
    all
}

#[test]
fn git_is_asked_where_libgit2_would_be_wrong() {
    for (name, lab) in needing_git() {
        let path = std::env::var("PATH").unwrap();
        let error = lab.read_below("", "/nowhere").unwrap_err();
        assert_eq!(describe(&error).0, Exit::Git, "{name}");
        assert!(error.to_string().contains("only the git program reads this rightly"), "{error}");
        let clean = lab.read_below("", &path).unwrap();
        assert_eq!(clean.describe, lab.describe(), "{name}");
        assert_eq!(changes(&clean), "dirty: \ncontext: ", "{name}");
        lab.write("README.md", "other\n");
        lab.write("app/view.py", "other\n");
        lab.write("app/new.py", "x\n");
        fs::remove_file(lab.path().join("app/other.py")).unwrap();
        let changed = lab.read_below("", &path).unwrap();
        assert_eq!(changed.describe, lab.describe(), "{name}");
        let expected = "dirty: modified README.md (outside), deleted app/other.py, modified app/view.py\n\
                        context: untracked app/new.py, deleted app/other.py, modified app/view.py";
        assert_eq!(changes(&changed), expected, "{name}");
        assert!(changed.version.ends_with("-dirty"));
    }
}

#[test]
fn a_submodule_counts_as_git_counts_it() {
    let (_, lab) = needing_git().pop().unwrap();
    lab.write("app/lib/untracked.txt", "x\n");
    let checkout = lab.read().unwrap();
    assert_eq!(checkout.describe, lab.describe());
    expect![[r#"
        dirty: 
        context: untracked app/lib/untracked.txt"#]]
    .assert_eq(&changes(&checkout));
    lab.write("app/lib/README.md", "other\n");
    let checkout = lab.read().unwrap();
    assert_eq!(checkout.describe, lab.describe());
    expect![[r#"
        dirty: modified app/lib
        context: modified app/lib/README.md, untracked app/lib/untracked.txt"#]]
    .assert_eq(&changes(&checkout));
    // The submodule as the checkout itself.
    let context = None;
    let inner = read(&lab.path().join("app/lib"), context).unwrap();
    let own =
        lab.git(&["-C", "app/lib", "describe", "--tags", "--always", "--dirty", "--abbrev=12"]);
    assert_eq!(inner.describe, own);
}

#[test]
fn another_owner_is_refused_with_the_command_that_allows_it() {
    use std::os::unix::fs::MetadataExt as _;
    let lab = Lab::workflow();
    if lab.path().metadata().unwrap().uid() != 0 {
        eprintln!("not root: a repository of another owner can't be made here");
        return;
    }
    std::os::unix::fs::chown(lab.path(), Some(12345), None).unwrap();
    std::os::unix::fs::chown(lab.path().join(".git"), Some(12345), None).unwrap();
    expect![[r#"
        3 reading git: TOP belongs to another user
        if you trust it: git config --global --add safe.directory TOP"#]]
    .assert_eq(&refusal(&lab, lab.read()));
}
