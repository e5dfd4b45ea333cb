//! The check that what is installed is what the lock says for production, neither less nor more.

use super::{markers, normalized, requirements, verdict};
use crate::verdict::Verdict;
use anyhow::Context as _;
use image::config::app::{self, App};
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

/// Compares what is `installed` (names are normalized) with what the text of the lock of `app` says
/// for production when the variables of markers are these.
pub fn lock(
    app: &App,
    text: &str,
    markers: &BTreeMap<String, String>,
    installed: &Packages,
) -> Verdict {
    let file = app.lock_file();
    let read = match &app.lock {
        app::LockFile::Uv { .. } => UvLock::parse(text).and_then(|lock| {
            let needed = lock.needed(app, markers)?;
            let known: BTreeSet<String> =
                lock.packages.into_iter().map(|package| package.name).collect();
            let pinned = needed.into_iter().map(|(name, version)| (name, Some(version)));
            Ok((pinned.collect(), Some(known)))
        }),
        app::LockFile::Requirements { unhashed, .. } => {
            // A list without hashes may leave out what its packages need.
            let known = (!unhashed).then(BTreeSet::new);
            requirements::needed(text, markers).map(|needed| (needed, known))
        }
    };
    let (needed, known): (BTreeMap<String, Option<String>>, _) = match read {
        Ok(read) => read,
        Err(reason) => return Verdict::Failed(vec![format!("reading {file}: {reason}")]),
    };
    let mut evidence = Vec::new();
    for (name, version) in &needed {
        let wanted = version.as_deref().unwrap_or_default();
        match installed.get(name) {
            None => evidence.push(format!("{name} {wanted}: locked and not installed")),
            Some(found) if version.as_ref().is_some_and(|version| found != version) => {
                evidence.push(format!("{name} {found}: installed, but {wanted} is locked"));
            }
            Some(_) => {}
        }
    }
    let more = installed.iter().filter(|(name, _)| !needed.contains_key(*name));
    for (name, version) in more.filter(|_| known.is_some()) {
        let why = match known.as_ref().is_some_and(|known| known.contains(name)) {
            true => "locked for development, or for another platform".to_owned(),
            false => format!("not in {file}"),
        };
        evidence.push(format!("{name} {version}: installed, but {why}"));
    }
    let fact = match known {
        Some(_) => format!("{} packages, as locked", needed.len()),
        None => format!("{} packages of {file}, which has no hashes", needed.len()),
    };
    verdict(evidence, fact)
}

/// A `uv.lock`, as far as it is needed here.
struct UvLock {
    packages: Vec<Package>,
}

struct Package {
    name: String,
    version: String,
    /// It is the project itself, whose packages these are.
    root: bool,
    dependencies: Vec<Dependency>,
    extras: BTreeMap<String, Vec<Dependency>>,
    groups: BTreeMap<String, Vec<Dependency>>,
}

struct Dependency {
    name: String,
    /// Given if the lock has several versions of the package.
    version: Option<String>,
    extras: Vec<String>,
    marker: Option<String>,
}

impl UvLock {
    fn parse(text: &str) -> Result<UvLock, String> {
        let top: Table =
            text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
        let all = top.get("package").and_then(Value::as_array).ok_or("it has no packages")?;
        let packages = all.iter().map(|package| {
            let text = |key: &str| package.get(key).and_then(Value::as_str).map(str::to_owned);
            let source = |kind: &str| package.get("source").and_then(|s| s.get(kind)?.as_str());
            let of_project = ["virtual", "editable", "directory"].map(source);
            let lists = |key: &str| {
                let lists = package.get(key).and_then(Value::as_table).into_iter().flatten();
                lists.map(|(name, list)| (name.clone(), dependencies(list))).collect()
            };
            Some(Package {
                name: text("name")?,
                // The project itself may have none: git tells it.
                version: text("version").unwrap_or_default(),
                root: of_project.contains(&Some(".")),
                dependencies: package.get("dependencies").map(dependencies).unwrap_or_default(),
                extras: lists("optional-dependencies"),
                groups: lists("dev-dependencies"),
            })
        });
        let packages: Option<Vec<Package>> = packages.collect();
        Ok(UvLock { packages: packages.ok_or("a package has no name")? })
    }

    /// The packages that production needs: those of the project, and theirs.
    fn needed(&self, app: &App, markers: &BTreeMap<String, String>) -> Result<Packages, String> {
        let mut queue: Vec<&Dependency> = Vec::new();
        for root in self.packages.iter().filter(|package| package.root) {
            queue.extend(&root.dependencies);
            queue.extend(app.groups.iter().filter_map(|name| root.groups.get(name)).flatten());
            queue.extend(app.extras.iter().filter_map(|name| root.extras.get(name)).flatten());
        }
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
