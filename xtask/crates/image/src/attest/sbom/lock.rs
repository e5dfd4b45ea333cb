//! Which file of a lock a Python distribution was installed from.

/// SHA-256 of the file, by a `uv.lock` or a list of requirements; `tags`: those of the installed wheel. `None`
/// if the lock has several that could be it.
pub(super) fn hash(lock: &str, name: &str, version: &str, tags: &[&str]) -> Option<String> {
    let head = format!("\nname = \"{name}\"\nversion = \"{version}\"\n");
    let mut blocks = lock.split("\n[[package]]").filter(|block| block.starts_with(&head));
    let found: Vec<&str> = match blocks.next() {
        Some(block) => {
            let wheels = block.split_once("\nwheels = [").map_or("", |(_, wheels)| wheels);
            let wheels: Vec<(&str, &str)> = wheels.lines().filter_map(file).collect();
            if wheels.is_empty() {
                block.lines().filter(|line| line.starts_with("sdist = ")).filter_map(file).collect()
            } else {
                wheels.into_iter().filter(|(url, _)| fits(url, tags)).collect::<Vec<_>>()
            }
            .into_iter()
            .map(|(_, hash)| hash)
            .collect()
        }
        None => required(lock, name, version),
    };
    match found.as_slice() {
        [hash] => Some((*hash).to_owned()),
        _ => None,
    }
}

/// The address and the hash of a file: `{ url = "…", hash = "sha256:…", size = 1 }`.
fn file(line: &str) -> Option<(&str, &str)> {
    let text = |start: &str| line.split_once(start)?.1.split('"').next();
    Some((text("url = \"")?, text("hash = \"sha256:")?))
}

/// Whether a wheel, by its file's name (binary distribution format, "File name convention"), has one of the
/// tags.
fn fits(url: &str, tags: &[&str]) -> bool {
    let name = url.rsplit('/').next().unwrap_or_default().trim_end_matches(".whl");
    let parts: Vec<&str> = name.rsplitn(4, '-').collect();
    let [platform, abi, python, _] = parts.as_slice() else { return false };
    tags.iter().any(|tag| {
        let wanted: Vec<&str> = tag.splitn(3, '-').collect();
        let all = [python, abi, platform];
        wanted.len() == 3
            && wanted.iter().zip(all).all(|(one, several)| several.split('.').any(|s| s == *one))
    })
}

/// The hashes of `name==version` in a list of requirements.
fn required<'a>(lock: &'a str, name: &str, version: &str) -> Vec<&'a str> {
    let start = format!("{name}=={version}");
    let lines = lock.lines().skip_while(|line| {
        let line = line.to_lowercase().replace(['_', '.'], "-");
        !line.starts_with(&start.replace('.', "-"))
    });
    let mut hashes = Vec::new();
    for line in lines {
        hashes.extend(line.split("--hash=sha256:").skip(1).filter_map(|h| h.split(' ').next()));
        if !line.trim_end().ends_with('\\') {
            break;
        }
    }
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_that_of_the_installed_wheel() {
        let wheel = |tag: &str, hash: &str| {
            format!(
                "    {{ url = \"https://f/a/six-1.0-{tag}.whl\", hash = \"sha256:{hash}\", size = 1 }},\n"
            )
        };
        let (linux, mac) = (
            "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
            "cp311-cp311-macosx_11_0_arm64",
        );
        let block = |rest: &str| {
            format!("version = 1\n\n[[package]]\nname = \"six\"\nversion = \"1.0\"\n{rest}")
        };
        let sdist =
            "sdist = { url = \"https://f/six-1.0.tar.gz\", hash = \"sha256:5d\", size = 1 }\n";
        let wheels =
            block(&format!("{sdist}wheels = [\n{}{}]\n", wheel(linux, "11"), wheel(mac, "22")));
        let check = |lock: &str, tags: &[&str], expected: Option<&str>| {
            assert_eq!(hash(lock, "six", "1.0", tags).as_deref(), expected, "{lock}");
        };
        check(&wheels, &["cp311-cp311-manylinux2014_x86_64"], Some("11"));
        check(&wheels, &["cp311-cp311-macosx_11_0_arm64"], Some("22"));
        check(&wheels, &["cp312-cp312-manylinux2014_x86_64"], None);
        let pure = block(&format!("wheels = [\n{}]\n", wheel("py2.py3-none-any", "33")));
        check(&pure, &["py2-none-any", "py3-none-any"], Some("33"));
        check(&block(sdist), &["cp311-cp311-linux_x86_64"], Some("5d"));
        check(&wheels.replace("1.0\"\n", "2.0\"\n"), &["cp311-cp311-manylinux2014_x86_64"], None);
        check("six==1.0 \\\n    --hash=sha256:44\n", &[], Some("44"));
        check("six==1.0 \\\n    --hash=sha256:44 \\\n    --hash=sha256:55\n", &[], None);
        check("six==1.0\n", &[], None);
    }
}
