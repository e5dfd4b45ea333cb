//! The plan of `dev` as a value.
