//! stub
pub fn gate(_: &std::path::Path, _: &[crate::context::ContextFile], _: &[String]) -> anyhow::Result<()> { Ok(()) }
