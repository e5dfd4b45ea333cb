//! The files of Compose in `docker/` are those that `export compose` writes.

use expect_test::expect_file;
use image::compose::{development, production};

#[test]
fn the_files_of_compose_are_in_step_with_the_configuration() {
    let config = image::config::parse(include_str!("../../../../docker/image.toml")).unwrap();
    expect_file!["../../../../docker/compose.yaml"].assert_eq(&production(&config));
    expect_file!["../../../../docker/compose.dev.yaml"].assert_eq(&development(&config));
}
