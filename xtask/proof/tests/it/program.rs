//! The program under test.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Its path: `XTASK_TEST_PROGRAM`, which `cargo xtask test` sets to itself; else it is compiled as it
/// is now, so that no test looks at an older one.
pub fn program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM
        .get_or_init(|| {
            if let Some(given) = std::env::var_os("XTASK_TEST_PROGRAM") {
                return given.into();
            }
            let words = ["build", "--locked", "--quiet", "--package", "xtask"];
            let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
            let top = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
            assert!(Command::new(cargo).args(words).current_dir(top).status().unwrap().success());
            // Tests are compiled into the folder `deps` next to it.
            let test = std::env::current_exe().unwrap();
            test.parent().unwrap().with_file_name("xtask")
        })
        .clone()
}
