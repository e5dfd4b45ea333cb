//! The steps of a build, read from what the engine prints while it builds.

use process::progress::Progress;
use std::time::{Duration, Instant};

/// A step that has begun.
#[derive(Clone, Debug)]
struct Step {
    /// By what the engine's later lines speak of it: Podman's stage, BuildKit's number.
    id: String,
    text: String,
    begun: Instant,
}

/// How far a build is.
///
/// Podman prints `[2/4] STEP 3/7: RUN …`, with a single stage `STEP 3/7: RUN …`, and after a step
/// `--> ID` or `--> Using cache ID`. BuildKit prints `#7 [runtime 3/7] RUN …`, and at its end
/// `#7 CACHED`, `#7 DONE 1.2s` or `#7 ERROR: …`.
#[derive(Debug)]
pub struct BuildProgress {
    /// All steps of the Dockerfile that the build may need.
    all: usize,
    done: usize,
    running: Vec<Step>,
}

impl BuildProgress {
    /// For a build of a Dockerfile with so many instructions.
    pub fn of(all: usize) -> BuildProgress {
        BuildProgress { all, done: 0, running: Vec::new() }
    }

    fn begin(&mut self, id: &str, text: &str) {
        if !self.running.iter().any(|step| step.id == id) {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            self.running.push(Step { id: id.to_owned(), text, begun: Instant::now() });
        }
    }

    /// The line of a step that has ended, if it is one of ours.
    fn end(&mut self, id: &str, how: Option<&str>) -> Option<String> {
        let at = self.running.iter().position(|step| step.id == id)?;
        let step = self.running.remove(at);
        self.done += 1;
        let time = seconds(step.begun.elapsed());
        Some(self.line(self.done, how.unwrap_or(&time), &step.text))
    }

    fn line(&self, number: usize, how: &str, text: &str) -> String {
        format!("{number:>4} of {:<4}{how:<9}{text}", self.all.max(number))
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

impl Progress for BuildProgress {
    fn take(&mut self, line: &str) -> Vec<String> {
        if let Some(rest) = line.strip_prefix('#') {
            let Some((id, rest)) = rest.split_once(' ') else { return Vec::new() };
            if let Some((place, text)) = rest.strip_prefix('[').and_then(|r| r.split_once("] ")) {
                // `[internal] load build context` is no step of the Dockerfile.
                if place.contains('/') {
                    self.begin(id, text);
                }
            }
            let how = match rest {
                "CACHED" => Some(Some("cached")),
                _ if rest.starts_with("DONE ") => Some(None),
                _ if rest.starts_with("ERROR") => Some(Some("failed")),
                _ => None,
            };
            return how.and_then(|how| self.end(id, how)).into_iter().collect();
        }
        let (stage, rest) = match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            Some((place, rest)) => (place.split('/').next().unwrap_or_default(), rest),
            None => ("", line),
        };
        if let Some((_, text)) = rest.strip_prefix("STEP ").and_then(|rest| rest.split_once(": ")) {
            // A step without a line at its end, such as FROM.
            let before = self.end(stage, None);
            self.begin(stage, text);
            return before.into_iter().collect();
        }
        let Some(image) = rest.strip_prefix("--> ") else { return Vec::new() };
        let how = image.starts_with("Using cache ").then_some("cached");
        // These lines don't name their stage.
        let id = self.running.last().map(|step| step.id.clone());
        id.and_then(|id| self.end(&id, how)).into_iter().collect()
    }

    fn now(&self) -> Option<String> {
        let step = self.running.last()?;
        Some(self.line(self.done + 1, &seconds(step.begun.elapsed()), &step.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn shown(output: &str) -> String {
        let mut steps = BuildProgress::of(9);
        let lines: Vec<String> = output.lines().flat_map(|line| steps.take(line)).collect();
        let now = steps.now().map(|now| format!("now {now}\n")).unwrap_or_default();
        format!("shown:\n{}\n{now}", lines.join("\n"))
    }

    #[test]
    fn the_steps_of_podman() {
        let output = "[1/2] STEP 1/3: FROM base AS base\n[1/2] STEP 2/3: ENV A=1     B=2\n--> Using cache 12ab\n\
            --> 12ab\n[1/2] STEP 3/3: RUN a\nsome output\n--> 34cd\n[2/2] STEP 1/1: COPY app/ /app/\n";
        expect![[r#"
            shown:
               1 of 9   0 s      FROM base AS base
               2 of 9   cached   ENV A=1 B=2
               3 of 9   0 s      RUN a
            now    4 of 9   0 s      COPY app/ /app/
        "#]]
        .assert_eq(&shown(output));
    }

    #[test]
    fn the_steps_of_buildkit() {
        let output = "#1 [internal] load build definition from Dockerfile\n#1 DONE 0.0s\n\
            #5 [base 1/3] FROM base\n#5 CACHED\n#6 [base 2/3] RUN a\n#7 [runtime 1/2] COPY x y\n#7 DONE 0.1s\n\
            #6 0.345 some output\n#6 ERROR: exit code: 1\n------\n > [base 2/3] RUN a:\n";
        expect![[r#"
            shown:
               1 of 9   cached   FROM base
               2 of 9   0 s      COPY x y
               3 of 9   failed   RUN a
        "#]]
        .assert_eq(&shown(output));
    }
}
