//! The checks of `smoke-test`: what an image must be and do, one by one, each with the requirement
//! that it proves and the reason why that matters.
//!
//! A check on the image alone looks at its [`picture::Picture`], which is read once. A check on
//! the image at work starts containers on the [`stage::Stage`]. Checks of one [`Lane`] run one
//! after another, as they share containers; the lanes run at the same time.

pub mod image;
pub mod picture;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds; the text is the figure or fact that shows it, for the report.
    Passed(String),
    /// It doesn't; the evidence, a line each.
    Failed(Vec<String>),
    /// The project asks for nothing that could be checked; the text says what is not configured.
    NotAsked(String),
}

impl Verdict {
    /// Passed where `evidence` is empty, and failed with it else.
    pub fn from_evidence(evidence: Vec<String>, fact: impl Into<String>) -> Verdict {
        if evidence.is_empty() { Verdict::Passed(fact.into()) } else { Verdict::Failed(evidence) }
    }
}
