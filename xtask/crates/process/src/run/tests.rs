use super::*;

fn runner() -> Runner {
    Runner {
        folder: std::env::temp_dir(),
        progress: false,
        verbose: false,
        form: Form::Plain,
        signal: Arc::new(AtomicUsize::new(0)),
    }
}

#[test]
fn an_answer_has_both_streams_and_the_status() {
    let script = "echo out; echo err >&2; exit 3";
    let answer = runner().ask(&Invocation::new("sh", ["-c", script]), QUESTION).unwrap();
    assert_eq!(answer, Answer { code: Some(3), stdout: "out\n".into(), stderr: "err\n".into() });
    assert_eq!(answer.last_line(), "err");
}

#[test]
fn a_missing_program_and_a_hanging_one_are_engine_failures() {
    let check = |words: &[&str], limit, expected: &str| {
        let invocation = Invocation::new(words[0], words[1..].iter().copied());
        let error = runner().ask(&invocation, limit).unwrap_err();
        assert_eq!(crate::failure::describe(&error).0, Exit::Engine);
        assert!(error.to_string().starts_with(expected), "{error}");
    };
    check(&["no-such-engine"], QUESTION, "starting no-such-engine: no such program on PATH");
    check(&["sleep", "600"], Duration::from_millis(50), "asking sleep: no answer in 0 s");
}

#[test]
fn a_stream_is_logged_whole_and_a_grandchild_does_not_hold_it_up() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let invocation = Invocation::new("sh", ["-c", "sleep 600 & echo $!; echo two >&2; exit 7"]);
    let ended = runner().stream(&invocation, &log, Watch::default()).unwrap();
    assert_eq!(ended.code, Some(7));
    assert_eq!(ended.lines.len(), 2);
    kill(ended.lines[0].parse().unwrap());
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.starts_with("$ sh -c ") && logged.ends_with("\ntwo\n"), "{logged}");
}

#[test]
fn a_signal_ends_the_child_and_is_the_exit_code() {
    let runner = runner();
    runner.signal.store(usize::try_from(SIGTERM).unwrap(), Ordering::Relaxed);
    let error = runner.ask(&Invocation::new("sleep", ["600"]), QUESTION).unwrap_err();
    assert_eq!(crate::failure::describe(&error).0, Exit::Terminated);
}

#[test]
fn a_silent_command_is_ended_at_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let invocation = Invocation::new("sh", ["-c", "echo one; exec sleep 600"]);
    let within = |limit| Watch { limit: Some(limit), ..Watch::default() };
    let ended = runner().stream(&invocation, &log, within(Duration::from_millis(300))).unwrap();
    assert_eq!((ended.code, ended.lines, ended.late), (None, vec!["one".to_owned()], true));
    let quick = Invocation::new("true", [""; 0]);
    let ended = runner().stream(&quick, &log, within(QUESTION)).unwrap();
    assert_eq!((ended.code, ended.late), (Some(0), false));
}

/// This test starts itself, to be killed.
#[test]
fn a_push_ends_when_we_are_killed() {
    let script = "echo $$; exec sleep 600";
    if let Ok(log) = std::env::var("SENEX_TEST_LOG") {
        let invocation = Invocation::new("sh", ["-c", script]);
        let watch = Watch { limit: Some(QUESTION), ..Watch::default() };
        let _ = runner().stream(&invocation, Path::new(&log), watch);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut us = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "run::tests::a_push_ends_when_we_are_killed"])
        .env("SENEX_TEST_LOG", &log)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let wait = |what: &dyn Fn() -> bool| {
        let start = Instant::now();
        while !what() {
            assert!(start.elapsed() < QUESTION);
            std::thread::sleep(TICK);
        }
    };
    let id = || std::fs::read_to_string(&log).ok()?.lines().nth(1)?.parse::<u32>().ok();
    wait(&|| id().is_some());
    let child = PathBuf::from(format!("/proc/{}/cmdline", id().unwrap()));
    let runs = || std::fs::read_to_string(&child).is_ok_and(|line| line.starts_with("sleep"));
    wait(&runs);
    us.kill().unwrap();
    us.wait().unwrap();
    wait(&|| !runs());
}

/// This test starts itself, to be told to end twice: `timeout` does both at once, a person later.
#[test]
fn a_signal_to_a_process_and_its_group_is_one_request() {
    if let Ok(pause) = std::env::var("SENEX_TEST_PAUSE") {
        let signal = signals().unwrap();
        let id = std::process::id();
        terminate(id);
        std::thread::sleep(Duration::from_millis(pause.parse().unwrap()));
        terminate(id);
        // What a command does after the first.
        std::thread::sleep(TICK);
        std::process::exit(if check_signal(&signal).is_err() { 7 } else { 8 });
    }
    let check = |pause: &str, code: i32| {
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "run::tests::a_signal_to_a_process_and_its_group_is_one_request"])
            .env("SENEX_TEST_PAUSE", pause)
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(code), "{pause}");
    };
    check("10", 7);
    check("3000", 143);
}

#[test]
fn a_question_can_have_an_input() {
    let with = |program: &str| Invocation {
        input: Some("name".into()),
        ..Invocation::new(program, [""; 0])
    };
    let answer = runner().ask(&with("cat"), QUESTION).unwrap();
    assert_eq!(answer.stdout, "name\n");
    let deaf = runner().ask(&with("true"), QUESTION).unwrap();
    assert!(deaf.good());
}

#[test]
fn a_child_that_is_deaf_to_sigterm_is_killed() {
    use std::os::unix::process::ExitStatusExt as _;
    let script = "trap '' TERM; echo ready; while :; do sleep 1; done";
    let mut command = Command::new("sh");
    let mut child = command.args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    end(&mut child, Duration::from_millis(100));
    assert_eq!(child.wait().unwrap().signal(), Some(signal_hook::consts::SIGKILL));
}

#[test]
fn a_child_that_hears_sigterm_is_not_killed() {
    use std::os::unix::process::ExitStatusExt as _;
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    end(&mut child, GRACE);
    assert_eq!(child.wait().unwrap().signal(), Some(SIGTERM));
}
