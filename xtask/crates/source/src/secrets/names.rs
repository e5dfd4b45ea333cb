//! Names that secrets have, for the gate: of files at any depth, and of folders whose whole
//! content is private.

/// What a name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Why the file looks like a secret.
    pub reason: &'static str,
    /// True when the file is none after all if it holds certificates and nothing else.
    pub unless_certificates: bool,
}

/// Folders, in small letters: everything below one of these names is private.
const FOLDERS: &[(&str, &str)] = &[
    (".git", "the history of the repository"),
    (".hg", "the history of the repository"),
    (".svn", "the history of the repository"),
    (".ssh", "keys and hosts of SSH"),
    (".gnupg", "keys of GnuPG"),
    (".aws", "credentials of a cloud"),
    (".azure", "credentials of a cloud"),
    (".kube", "credentials of a cluster"),
    (".terraform", "state of Terraform"),
    (".secrets", "a folder of secrets"),
    ("secrets", "a folder of secrets"),
];

/// Ends of paths, in small letters, a folder with its file.
const PATHS: &[(&str, &str)] = &[
    (".docker/config.json", "credentials of a registry"),
    ("containers/auth.json", "credentials of a registry"),
    ("gh/hosts.yml", "credentials of a registry"),
    (".composer/auth.json", "credentials of a registry"),
    (".cargo/credentials", "credentials of a registry"),
    (".gem/credentials", "credentials of a registry"),
    ("gcloud/credentials.db", "credentials of a cloud"),
    ("gcloud/access_tokens.db", "credentials of a cloud"),
];

const KEY: &str = "the name of a private key";
const SETTINGS: &str = "settings of a deployment";
const DATABASE: &str = "a database";
const LOGIN: &str = "passwords or tokens of a tool";
const CLOUD: &str = "credentials of a cloud or a cluster";
const STATE: &str = "state or variables of Terraform";
const HISTORY: &str = "commands typed in a shell";

/// Names of files, in small letters: a `*` stands for any characters.
const FILES: &[(&str, &str)] = &[
    (".git", "the history of the repository"),
    (".env*", SETTINGS),
    ("*.env", SETTINGS),
    (".secrets*", SETTINGS),
    ("secret.json", SETTINGS),
    ("secret.toml", SETTINGS),
    ("secret.yaml", SETTINGS),
    ("secret.yml", SETTINGS),
    (".secret", SETTINGS),
    ("secrets.json", SETTINGS),
    ("secrets.toml", SETTINGS),
    ("secrets.yaml", SETTINGS),
    ("secrets.yml", SETTINGS),
    ("id_rsa*", KEY),
    ("id_dsa*", KEY),
    ("id_ecdsa*", KEY),
    ("id_ed25519*", KEY),
    ("id_xmss*", KEY),
    ("*.p8", KEY),
    ("*.p12", KEY),
    ("*.pfx", KEY),
    ("*.pkcs12", KEY),
    ("*.jks", KEY),
    ("*.keystore", KEY),
    ("*.keytab", KEY),
    ("*.ppk", KEY),
    ("*.agekey", KEY),
    ("secring.gpg", KEY),
    ("*.kdb", "a store of passwords"),
    ("*.kdbx", "a store of passwords"),
    (".htdigest", "a store of passwords"),
    (".htpasswd", "a store of passwords"),
    ("*.pgdump", DATABASE),
    ("dump.rdb", DATABASE),
    ("*.sqlite", DATABASE),
    ("*.sqlite-*", DATABASE),
    ("*.sqlite3", DATABASE),
    ("*.sqlite3-*", DATABASE),
    // Compressed; what isn't is told by its content.
    ("*.sqlite3.*z*", DATABASE),
    (".npmrc", LOGIN),
    (".pypirc", LOGIN),
    ("pip.conf", LOGIN),
    ("pip.ini", LOGIN),
    (".condarc", LOGIN),
    (".curlrc", LOGIN),
    (".wgetrc", LOGIN),
    (".msmtprc", LOGIN),
    (".mylogin.cnf", LOGIN),
    ("pgpass.conf", LOGIN),
    (".vault_pass*", LOGIN),
    (".smbcredentials", LOGIN),
    (".dockerconfigjson", LOGIN),
    (".netrc", LOGIN),
    ("_netrc", LOGIN),
    (".pgpass", LOGIN),
    (".my.cnf", LOGIN),
    (".git-credentials", LOGIN),
    (".vault-token", LOGIN),
    ("token", LOGIN),
    ("*.token", LOGIN),
    ("token.json", LOGIN),
    ("token.txt", LOGIN),
    ("token.pickle", LOGIN),
    (".dockercfg", LOGIN),
    (".boto", CLOUD),
    (".s3cfg", CLOUD),
    ("rclone.conf", CLOUD),
    ("kubeconfig", CLOUD),
    ("kubeconfig.yaml", CLOUD),
    ("kubeconfig.yml", CLOUD),
    ("*.kubeconfig", CLOUD),
    ("credentials.json", CLOUD),
    ("credentials.toml", CLOUD),
    ("credentials.tfrc.json", CLOUD),
    ("client_secret*.json", CLOUD),
    ("service-account*.json", CLOUD),
    ("service_account*.json", CLOUD),
    ("serviceaccount*.json", CLOUD),
    ("application_default_credentials.json", CLOUD),
    ("*.tfstate", STATE),
    ("*.tfstate.*", STATE),
    ("*.tfvars", STATE),
    ("*.tfvars.json", STATE),
    (".terraformrc", STATE),
    (".*_history", HISTORY),
    (".history", HISTORY),
    (".histfile", HISTORY),
    (".lesshst", HISTORY),
    (".viminfo", HISTORY),
];

/// Ends of names that keys share with certificates.
const KEY_OR_CERTIFICATE: &[&str] = &[".pem", ".key"];

/// What the name of the file `path` tells; capital letters are as small ones.
pub fn judge(path: &str) -> Option<Named> {
    let path = path.to_lowercase();
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let secret = |reason| Some(Named { reason, unless_certificates: false });
    if let Some((_, reason)) =
        FOLDERS.iter().find(|(folder, _)| folders.split('/').any(|own| own == *folder))
    {
        return secret(reason);
    }
    let ends = |end: &str| {
        path.strip_suffix(end).is_some_and(|above| above.is_empty() || above.ends_with('/'))
    };
    if let Some((_, reason)) = PATHS.iter().find(|(end, _)| ends(end)) {
        return secret(reason);
    }
    // `id_rsa.pub` is meant to be given away, and `id_rsa_form.py` is code.
    let open = [".pub", ".py", ".html"].iter().any(|end| name.ends_with(end));
    if let Some((_, reason)) = FILES.iter().find(|(pattern, _)| spells(pattern, name)) {
        return if open && *reason == KEY { None } else { secret(reason) };
    }
    let either = KEY_OR_CERTIFICATE.iter().any(|end| name.ends_with(end));
    either.then_some(Named { reason: KEY, unless_certificates: true })
}

/// True when `pattern`, where `*` stands for any characters, spells the whole of `name`.
fn spells(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(start) else { return false };
    name.char_indices().any(|(at, _)| spells(rest, &name[at..])) || spells(rest, "")
}
