//! `init` in a folder: what it writes, and what it leaves.

use super::ended::Ended;
use super::program::program;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A Django project of four files, committed.
struct Project(TempDir);

impl Project {
    fn new() -> Project {
        let project = Project(tempfile::tempdir().unwrap());
        let settings = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n";
        project.write("manage.py", settings);
        project.write("shop/wsgi.py", settings);
        project.write(
            "shop/settings.py",
            "SECRET_KEY = os.environ['SECRET_KEY']\nSTATIC_ROOT = BASE_DIR / 'staticfiles'\n",
        );
        project.write("shop/urls.py", "path('health/', health)\n");
        project.write(
            "requirements.txt",
            "django==5.2 --hash=sha256:00\ngunicorn==23 --hash=sha256:00\n",
        );
        project.git(&["init", "--quiet", "--initial-branch=main", "."]);
        project.commit();
        project
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        fs::create_dir_all(self.path(file).parent().unwrap()).unwrap();
        fs::write(self.path(file), text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    fn git(&self, words: &[&str]) -> String {
        let names = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let mut command = Command::new("git");
        command.args(names).args(words).current_dir(self.0.path());
        Ended::from(command.output().unwrap()).good()
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "x"]);
    }

    /// What `git status` calls new or changed.
    fn changed(&self) -> Vec<String> {
        let status = self.git(&["status", "--porcelain", "--untracked-files=all"]);
        status
            .lines()
            .map(|line| line.trim().split_once(' ').unwrap().1.trim().to_owned())
            .collect()
    }

    fn init(&self, words: &[&str]) -> Ended {
        self.xtask(&[&["init"], words].concat())
    }

    fn xtask(&self, words: &[&str]) -> Ended {
        let mut command = Command::new(program());
        command.args(words).current_dir(self.0.path()).stdin(Stdio::null());
        // It completes Cargo.lock, which wants the network.
        command.env("CARGO", "true").env("XTASK_CI", "none");
        Ended::from(command.output().unwrap())
    }
}

#[test]
fn a_project_gets_our_files_beside_its_own() {
    let project = Project::new();
    project.write("docker/Dockerfile", "FROM theirs\n");
    project.write("docker/entrypoint.sh", "theirs\n");
    project.write(".dockerignore", "theirs\n");
    project.write(".cargo/config.toml", "[alias]\n");
    project.commit();
    let shown = project.init(&[".", "--dry-run"]).good();
    assert_eq!(project.changed(), [""; 0], "a dry run writes nothing");
    assert_eq!(project.init(&["."]).good().lines().next(), shown.lines().next());
    let changed = project.changed();
    let theirs =
        ["docker/Dockerfile", "docker/entrypoint.sh", ".dockerignore", ".cargo/config.toml"];
    assert!(theirs.iter().all(|path| !changed.iter().any(|one| one == path)), "{changed:#?}");
    let image = project.read("docker/image.toml");
    for line in [
        "folder = \".\"",
        "module = \"shop\"",
        "lock = \"requirements.txt\"",
        "required_environment = [\"SECRET_KEY\"]",
        "roles = [\"gunicorn\"]",
        "dockerfile = \"docker/prod.Dockerfile\"",
        "ignore_file = \"docker/context.ignore\"",
    ] {
        assert!(image.lines().any(|one| one == line), "{line}\n{image}");
    }
    let dockerfile = project.read("docker/prod.Dockerfile");
    for line in
        ["COPY docker/runtime/install.sh /", "COPY docker/runtime/installer.txt requirements.txt /"]
    {
        assert!(dockerfile.contains(&format!("\n{line}")), "{line}\n{dockerfile}");
    }
    assert!(project.path("docker/runtime/entrypoint.sh").is_file());
    assert_eq!(project.read(".gitignore"), "/target/\n/docker/secrets/\n/media/\n/logs/\n");
    assert!(shown.contains(".cargo/config.toml is kept: add below [alias]"), "{shown}");
}

#[test]
fn once_more_is_refused_and_an_update_keeps_what_was_edited() {
    let project = Project::new();
    project.init(&["."]).good();
    project.commit();
    let again = project.init(&["."]);
    assert_eq!(again.code, Some(2));
    assert!(again.err.contains("cargo xtask init --update"), "{}", again.err);
    assert_eq!(project.init(&["--update"]).good(), "everything is up to date");
    // One that isn't recorded may be the project's.
    let record = project.read("xtask/files.sha256");
    let others: String = record
        .lines()
        .filter(|line| !line.ends_with("docker/runtime/healthcheck"))
        .map(|line| format!("{line}\n"))
        .collect();
    let (ours, file) = (project.read("docker/runtime/healthcheck"), "docker/runtime/healthcheck");
    project.write("xtask/files.sha256", &others);
    project.write(file, "whose?\n");
    let said = project.init(&["--update"]).good();
    assert!(said.contains("kept: it isn't known to be ours"), "{said}");
    assert_eq!(project.read(file), "whose?\n");
    project.write(file, &ours);
    project.write("xtask/files.sha256", &record);
    // As if our file had been another when it was written, and the project's own edit.
    let old = |file: &str, text: &str| {
        let record = project.read("xtask/files.sha256");
        let hash = source_hash(text);
        let line =
            record.lines().find(|line| line.ends_with(&format!("  {file}"))).unwrap().to_owned();
        project.write("xtask/files.sha256", &record.replace(&line, &format!("{hash}  {file}")));
    };
    old("docker/runtime/healthcheck", "old\n");
    project.write("docker/runtime/healthcheck", "old\n");
    old("docker/Dockerfile", "old\n");
    let edited = project.read("docker/Dockerfile") + "# an edit\n";
    project.write("docker/Dockerfile", &edited);
    let said = project.init(&["--update"]).good();
    assert!(said.contains("docker/Dockerfile.new") || said.contains("NAME.new"), "{said}");
    assert_eq!(project.read("docker/Dockerfile"), edited);
    assert_eq!(project.read("docker/Dockerfile.new") + "# an edit\n", edited);
    assert!(project.read("docker/runtime/healthcheck").contains("check_web"));
}

/// As `sha256sum` prints it.
fn source_hash(text: &str) -> String {
    let mut child =
        Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    out.split(' ').next().unwrap().to_owned()
}

#[test]
fn what_is_no_django_project_is_refused_and_stays_as_it_is() {
    let project = Project::new();
    project.git(&["rm", "--quiet", "manage.py"]);
    project.commit();
    let ended = project.init(&["."]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("there is no manage.py"), "{}", ended.err);
    assert_eq!(project.changed(), [""; 0]);
    let ended = project.init(&["nowhere"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
}

#[test]
fn a_value_that_does_not_fit_is_refused_before_anything_is_written() {
    let project = Project::new();
    let ended = project.init(&[".", "--set", "app.module=my-shop"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("`my-shop` is no Python package"), "{}", ended.err);
    assert_eq!(project.changed(), [""; 0]);
}

#[test]
fn a_dockerfile_that_is_out_of_date_is_named_and_brought_up_to_date() {
    let project = Project::new();
    project.init(&["."]).good();
    let image = project.read("docker/image.toml").replace("path = \"/health/\"", "path = \"/up/\"");
    let image =
        image.replace("# [health]", "[health]").replace("# path = \"/up/\"", "path = \"/up/\"");
    project.write("docker/image.toml", &image);
    let doctor =
        Command::new(program()).arg("doctor").current_dir(project.0.path()).output().unwrap();
    let text = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(text.contains("docker/Dockerfile:"), "{text}");
    assert!(text.contains("-> cargo xtask init"), "{text}");
    let said = project.init(&[]).good();
    assert!(said.contains("docker/Dockerfile: brought up to date"), "{said}");
    assert!(project.read("docker/Dockerfile").contains("HEALTHCHECK_PATH=/up/"));
}

#[test]
fn the_files_of_compose_are_written_and_one_of_another_hand_stays() {
    let project = Project::new();
    project.init(&["."]).good();
    let files = ["docker/compose.yaml", "docker/compose.dev.yaml", "docker/Caddyfile"];
    let wrote = files.map(|file| format!("wrote {file}")).join("\n");
    assert_eq!(project.xtask(&["export", "compose"]).good(), wrote);
    assert!(project.read(files[0]).contains("    command: [gunicorn]\n"));
    assert_eq!(project.xtask(&["export", "compose"]).good(), "everything is up to date");
    project.write(files[0], "services: {}\n");
    let ended = project.xtask(&["export", "compose"]);
    assert_eq!((ended.code, project.read(files[0]).as_str()), (Some(2), "services: {}\n"));
    assert!(ended.err.contains("writing docker/compose.yaml: there is one that"), "{}", ended.err);
}
