//! `[sign]` and `[verify]`: who signs what a release pushes, and what must be proven of an image in a
//! registry.

use super::raw;

/// Something that `verify` proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// One of the signers signed the image.
    Signed,
    /// The labels are those of a commit of the clone.
    Commit,
    /// Its newest smoke test passed.
    Tested,
    /// The provenance agrees with the labels and the lock.
    BuiltFrom,
    /// Every file of our layers belongs to a package of its list, to the application or to the image.
    Packages,
    /// The history explains the environment's tag.
    Promoted,
}

/// The words of docker/image.toml.
const WORDS: [(&str, Proof); 6] = [
    ("commit", Proof::Commit),
    ("tested", Proof::Tested),
    ("built-from", Proof::BuiltFrom),
    ("promoted", Proof::Promoted),
    // Without a word about it, if signers are named.
    ("signed", Proof::Signed),
    // Only if asked for: a step of a project's Dockerfile may add files of another kind.
    ("packages", Proof::Packages),
];

/// What cosign signs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signing {
    /// A private key as cosign's `--key` takes it: a file, `env://NAME`, a key service's address. No
    /// public log hears of it.
    Key(String),
    /// The identity of the CI run, which Fulcio certifies and a public log keeps.
    Keyless,
}

/// Whose signature is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The holder of this key: the path of a public key, or as cosign's `--key` takes it.
    Key(String),
    /// Who Fulcio certified: a regular expression for the identity, and its issuer.
    Identity { identity: String, issuer: String },
}

impl Signer {
    /// As a message names it.
    pub fn shown(&self) -> &str {
        match self {
            Signer::Key(key) => key,
            Signer::Identity { identity, .. } => identity,
        }
    }
}

/// `[verify]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verify {
    /// What must be proven.
    pub require: Vec<Proof>,
    /// Each may sign; none: nothing is known of signatures.
    pub signers: Vec<Signer>,
}

pub(super) fn signing(file: &mut raw::ConfigFile<'_>) -> Option<Signing> {
    file.only_keys("sign", &["key"]);
    file.string("sign", "key").map(|key| match key.as_str() {
        "keyless" => Signing::Keyless,
        _ => Signing::Key(key),
    })
}

pub(super) fn read(file: &mut raw::ConfigFile<'_>) -> Verify {
    file.only_keys("verify", &["require", "keys", "identity", "issuer"]);
    let keys = file.strings("verify", "keys", |_| None).unwrap_or_default();
    let mut signers: Vec<Signer> = keys.into_iter().map(Signer::Key).collect();
    match (file.string("verify", "identity"), file.string("verify", "issuer")) {
        (Some(identity), Some(issuer)) => signers.push(Signer::Identity { identity, issuer }),
        (None, None) => {}
        (Some(_), None) => file.mistake("verify", "identity", "needs issuer, too".into()),
        (None, Some(_)) => file.mistake("verify", "issuer", "needs identity, too".into()),
    }
    let find = |word: &str| WORDS.iter().find(|(known, _)| *known == word);
    let wrong = |word: &str| {
        let all = WORDS.map(|(word, _)| word).join(", ");
        find(word).is_none().then(|| format!("unknown `{word}`: known are {all}"))
    };
    let usual = WORDS.len() - 1 - usize::from(signers.is_empty());
    let require: Vec<Proof> = match file.strings("verify", "require", wrong) {
        Some(words) => {
            words.iter().filter_map(|word| find(word)).map(|(_, proof)| *proof).collect()
        }
        None => WORDS[..usual].iter().map(|(_, proof)| *proof).collect(),
    };
    if signers.is_empty() && require.contains(&Proof::Signed) {
        let message = "`signed` needs keys, or identity and issuer: whose signature is good?";
        file.mistake("verify", "require", message.into());
    }
    Verify { require, signers }
}
