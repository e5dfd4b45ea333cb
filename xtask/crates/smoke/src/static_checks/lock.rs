//! The check that what is installed is what `uv.lock` locks for production, neither less nor more.

use super::{markers, verdict};
use crate::verdict::Verdict;
use anyhow::Context as _;
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// Prints, in the image's Python, what [`listing`] reads: the variables of markers (the Python
/// packaging guide, "Dependency specifiers") and the packages with their versions.
pub const LISTING: [&str; 4] = [
    "python",
    "-I",
    "-c",
    "import importlib.metadata, json, os, platform, sys
full = sys.implementation.version
kind = full.releaselevel[0] + str(full.serial) if full.releaselevel != 'final' else ''
print(json.dumps({
    'markers': {
        'os_name': os.name,
        'sys_platform': sys.platform,
        'platform_machine': platform.machine(),
        'platform_python_implementation': platform.python_implementation(),
        'platform_release': platform.release(),
        'platform_system': platform.system(),
        'platform_version': platform.version(),
        'python_version': '.'.join(platform.python_version_tuple()[:2]),
        'python_full_version': platform.python_version(),
        'implementation_name': sys.implementation.name,
        'implementation_version': '%d.%d.%d%s' % (full.major, full.minor, full.micro, kind),
        'extra': '',
    },
    'installed': [
        [package.metadata['Name'], package.version]
        for package in importlib.metadata.distributions()
    ],
}))",
];

/// Packages by normalized name, with their versions.
pub type Packages = BTreeMap<String, String>;

/// Reads what [`LISTING`] printed: the variables of markers, and the packages. Two versions of one
/// package are joined by "and".
///
/// # Errors
/// When it is something else.
pub fn listing(text: &str) -> anyhow::Result<(BTreeMap<String, String>, Packages)> {
    #[derive(serde::Deserialize)]
    struct Listing {
        markers: BTreeMap<String, String>,
        installed: Vec<(String, String)>,
    }
    let listing: Listing =
        serde_json::from_str(text).context("reading what Python says about its packages")?;
    let mut packages = Packages::new();
    for (name, version) in listing.installed {
        let versions = packages.entry(normalized(&name)).or_default();
        if !versions.is_empty() {
            versions.push_str(" and ");
        }
        versions.push_str(&version);
    }
    Ok((listing.markers, packages))
}

/// As the package index spells a name: small letters, and `-` for every run of `-`, `_` and `.`.
fn normalized(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_lowercase()
}

/// Compares what is `installed` (names are normalized) with what the text of a `uv.lock` locks for
/// production when the variables of markers are these.
pub fn lock(lock: &str, markers: &BTreeMap<String, String>, installed: &Packages) -> Verdict {
    let needed = match Lock::parse(lock).and_then(|lock| Ok((lock.needed(markers)?, lock))) {
        Ok(needed) => needed,
        Err(reason) => return Verdict::Failed(vec![format!("reading uv.lock: {reason}")]),
    };
    let (needed, lock) = needed;
    let mut evidence = Vec::new();
    for (name, version) in &needed {
        match installed.get(name) {
            None => evidence.push(format!("{name} {version}: locked and not installed")),
            Some(found) if found != version => {
                evidence.push(format!("{name} {found}: installed, but {version} is locked"));
            }
            Some(_) => {}
        }
    }
    for (name, version) in installed.iter().filter(|(name, _)| !needed.contains_key(*name)) {
        let why = if lock.packages.iter().any(|package| package.name == *name) {
            "locked for development, or for another platform"
        } else {
            "not in uv.lock"
        };
        evidence.push(format!("{name} {version}: installed, but {why}"));
    }
    verdict(evidence, format!("{} packages, as locked", needed.len()))
}

/// A `uv.lock`, as far as it is needed here.
struct Lock {
    packages: Vec<Package>,
}

struct Package {
    name: String,
    version: String,
    /// It is the project itself, whose packages these are.
    root: bool,
    dependencies: Vec<Dependency>,
    extras: BTreeMap<String, Vec<Dependency>>,
}

struct Dependency {
    name: String,
    /// Given if the lock has several versions of the package.
    version: Option<String>,
    extras: Vec<String>,
    marker: Option<String>,
}

impl Lock {
    fn parse(text: &str) -> Result<Lock, String> {
        let top: Table =
            text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
        let all = top.get("package").and_then(Value::as_array).ok_or("it has no packages")?;
        let packages = all.iter().map(|package| {
            let text = |key: &str| package.get(key).and_then(Value::as_str).map(str::to_owned);
            let source = |kind: &str| package.get("source").and_then(|s| s.get(kind)?.as_str());
            let of_project = ["virtual", "editable", "directory"].map(source);
            let extras = package.get("optional-dependencies").and_then(Value::as_table);
            let extras = extras.into_iter().flatten();
            Some(Package {
                name: text("name")?,
                // The project itself may have none: git tells it.
                version: text("version").unwrap_or_default(),
                root: of_project.contains(&Some(".")),
                dependencies: package.get("dependencies").map(dependencies).unwrap_or_default(),
                extras: extras.map(|(name, list)| (name.clone(), dependencies(list))).collect(),
            })
        });
        let packages: Option<Vec<Package>> = packages.collect();
        Ok(Lock { packages: packages.ok_or("a package has no name")? })
    }

    /// The packages that production needs: those of the project, and theirs.
    fn needed(&self, markers: &BTreeMap<String, String>) -> Result<Packages, String> {
        let roots = self.packages.iter().filter(|package| package.root);
        let mut queue: Vec<&Dependency> = roots.flat_map(|root| &root.dependencies).collect();
        if !self.packages.iter().any(|package| package.root) {
            return Err("it has no project, a package with the source `.`".to_owned());
        }
        let mut needed = Packages::new();
        let mut followed = BTreeSet::new();
        while let Some(dependency) = queue.pop() {
            let name = &dependency.name;
            if let Some(marker) = &dependency.marker {
                let holds = markers::holds(marker, markers);
                if !holds.map_err(|reason| format!("the marker of {name}, `{marker}`: {reason}"))? {
                    continue;
                }
            }
            let version = dependency.version.as_ref();
            let fits = |package: &&Package| {
                package.name == *name && version.is_none_or(|version| package.version == *version)
            };
            let package = self.packages.iter().find(fits);
            let package = package.ok_or_else(|| format!("{name} is needed and not there"))?;
            needed.insert(name.clone(), package.version.clone());
            if followed.insert((name, &package.version, None)) {
                queue.extend(&package.dependencies);
            }
            for extra in &dependency.extras {
                if followed.insert((name, &package.version, Some(extra))) {
                    queue.extend(package.extras.get(extra).into_iter().flatten());
                }
            }
        }
        Ok(needed)
    }
}

fn dependencies(list: &Value) -> Vec<Dependency> {
    let read = |value: &Value| {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let extras = value.get("extra").and_then(Value::as_array).into_iter().flatten();
        Some(Dependency {
            name: text("name")?,
            version: text("version"),
            extras: extras.filter_map(|extra| extra.as_str().map(str::to_owned)).collect(),
            marker: text("marker"),
        })
    };
    list.as_array().into_iter().flatten().filter_map(read).collect()
}

#[cfg(test)]
mod tests;
