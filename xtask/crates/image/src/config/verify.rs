//! `[verify]`: what must be proven of an image in a registry.

use super::raw;

/// Something that `verify` proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
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
const WORDS: [(&str, Proof); 5] = [
    ("commit", Proof::Commit),
    ("tested", Proof::Tested),
    ("built-from", Proof::BuiltFrom),
    ("promoted", Proof::Promoted),
    // The last: only if asked for. A step of a project's Dockerfile may add files of another kind.
    ("packages", Proof::Packages),
];

pub(super) fn read(file: &mut raw::File<'_>) -> Vec<Proof> {
    file.only_keys("verify", &["require"]);
    let find = |word: &str| WORDS.iter().find(|(known, _)| *known == word);
    let wrong = |word: &str| {
        let all = WORDS.map(|(word, _)| word).join(", ");
        find(word).is_none().then(|| format!("unknown `{word}`: known are {all}"))
    };
    let words = file.strings("verify", "require", wrong);
    match words {
        Some(words) => {
            words.iter().filter_map(|word| find(word)).map(|(_, proof)| *proof).collect()
        }
        None => WORDS[..WORDS.len() - 1].iter().map(|(_, proof)| *proof).collect(),
    }
}
