//! What this workflow is measured against: how much of the other side's time or bytes it may take.

use crate::cli::Row;
use engine::Kind;

/// The most that a ratio may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// As the report writes it.
    pub text: &'static str,
    /// As a number.
    pub most: f64,
}

const fn most(text: &'static str, most: f64) -> Goal {
    Goal { text, most }
}

/// On Podman, by row.
const PODMAN: [(Row, Goal); 6] = [
    (Row::Cold, most("2/5", 2.0 / 5.0)),
    (Row::Nothing, most("1/6", 1.0 / 6.0)),
    (Row::Line, most("1/4", 1.0 / 4.0)),
    (Row::Size, most("3/4", 3.0 / 4.0)),
    (Row::Push, most("1/2", 1.0 / 2.0)),
    (Row::Ready, most("1/3", 1.0 / 3.0)),
];

/// On Docker, in every row: not slower and not larger.
const DOCKER: Goal = most("1", 1.0);

/// Of git's own processor time for the labels of a large repository.
pub const GIT: Goal = most("1.5", 1.5);

/// The seconds that `xtask build` may take over the command that it runs, with nothing changed.
pub const OVERHEAD: f64 = 0.3;

/// The goal of a row on an engine, where it has one.
pub fn goal(row: Row, kind: Kind) -> Option<Goal> {
    match kind {
        Kind::Podman => PODMAN.iter().find(|(of, _)| *of == row).map(|(_, goal)| *goal),
        // What a role takes while it runs is told, not held against a goal.
        Kind::Docker => (row != Row::Roles).then_some(DOCKER),
    }
}

impl Goal {
    /// The cell of a table beside `ratio`: what was asked for, and whether it was missed.
    pub fn cell(self, ratio: f64) -> String {
        let missed = if ratio > self.most { ", missed" } else { "" };
        format!("≤ {}{missed}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_says_when_it_is_missed() {
        let line = goal(Row::Line, Kind::Podman).unwrap();
        assert_eq!(line.cell(0.25), "≤ 1/4");
        assert_eq!(line.cell(0.26), "≤ 1/4, missed");
        assert_eq!(goal(Row::Dependency, Kind::Podman), None);
        assert_eq!(goal(Row::Roles, Kind::Docker), None);
        assert_eq!(goal(Row::Dependency, Kind::Docker).unwrap().cell(0.9), "≤ 1");
        for (_, Goal { text, most }) in PODMAN {
            let (above, below) = text.split_once('/').unwrap();
            let number = |text: &str| text.parse::<f64>().unwrap();
            assert!((number(above) / number(below) - most).abs() < 1e-9, "{text}");
        }
    }
}
