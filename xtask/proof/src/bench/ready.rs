//! run → ready: a web container until it answers, with PostgreSQL and Redis running.

use super::containers;
use super::sides::{Side, Sides};
use crate::measure::Sample;
use std::time::Instant;

/// Runs a side's web role once, on a new database.
pub fn once(sides: &Sides<'_>, side: Side) -> anyhow::Result<Sample> {
    containers::with(sides, side, |containers| {
        // The question comes from a container that waits already, so that its start isn't counted.
        let asking = containers.asking()?;
        let begin = Instant::now();
        containers.role("web")?;
        containers.answered(&asking)?;
        Ok(Sample { wall: begin.elapsed().as_secs_f64(), cpu: 0.0 })
    })
}
