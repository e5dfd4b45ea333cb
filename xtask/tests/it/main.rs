//! The command line as a user sees it, with no engine or with a program that only plays one.
