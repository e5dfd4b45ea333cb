//! An image for another architecture, whose programs QEMU runs.

use super::bench::Repository;
use super::tell::tell;
use serde_json::json;

/// `cargo xtask test --all --engines` tells the kernel about QEMU and sets the platform.
#[test]
fn the_production_image_builds_for_another_platform() {
    let Ok(platform) = std::env::var("XTASK_TEST_PLATFORM") else {
        return tell("not run: in the group arm64 alone: it takes minutes, and needs QEMU");
    };
    let repository = Repository::new();
    let report = repository.build(&["--platform", &platform]);
    let image = Repository::local("prod");
    assert_eq!(report["reference"], json!(image));
    let inspected = repository.inspect(&image);
    let found = format!("{}/{}", inspected["Os"], inspected["Architecture"]).replace('"', "");
    assert_eq!(found, platform);
    assert_eq!(&inspected["Config"]["Labels"], &report["labels"]);
    let machine = repository.run(&image, &["uname", "-m"]).good();
    assert_eq!(machine, "aarch64");
    let keys = ["-e", "SECRET_KEY=a", "-e", "FIELD_ENCRYPTION_KEY=b"];
    let check = ["python", "manage.py", "check"];
    let words = [&["run", "--rm", "--network=none"], &keys[..], &[&image], &check[..]].concat();
    let out = repository.engine(&words).good();
    assert!(out.contains("no issues"), "{out}");
    // Without the option it is this machine's own again.
    let own = repository.build(&["--target", "base"]);
    let inspected = repository.inspect(own["image_id"].as_str().unwrap());
    assert_ne!(inspected["Architecture"], "arm64");
}
