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
            let words =
                ["build", "--locked", "--quiet", "--package", "xtask", "--package", "senex-https"];
            let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
            let mut command = Command::new(cargo);
            command.args(words).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
            // A build script that looks at the variables of this package would run again, and all that
            // depends on it be compiled again.
            for (name, _) in std::env::vars_os() {
                let text = name.to_string_lossy();
                if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                    command.env_remove(&name);
                }
            }
            assert!(command.status().unwrap().success());
            // Tests are compiled into the folder `deps` next to it.
            let test = std::env::current_exe().unwrap();
            test.parent().unwrap().with_file_name("xtask")
        })
        .clone()
}
