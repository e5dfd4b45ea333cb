//! run → ready: a web container until it answers, with PostgreSQL and Redis beside it.

use super::containers;
use super::sides::{Side, Sides};
use crate::measure::Sample;
use std::time::Instant;

/// Runs a side's web role once, on a new database.
///
/// # Errors
/// When a container can't be started or the site doesn't answer.
pub fn once(sides: &Sides<'_>, side: Side) -> anyhow::Result<Sample> {
    containers::with(sides, side, |stage| {
        // The question comes from a container that waits already, so that its start isn't counted.
        let asking = stage.asking()?;
        let begin = Instant::now();
        stage.role("web")?;
        stage.answered(&asking)?;
        Ok(Sample { wall: begin.elapsed().as_secs_f64(), cpu: 0.0 })
    })
}
