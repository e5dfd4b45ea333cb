//! A manifest as the registry has it: bytes whose digest is computed here, and what they say.

use serde_json::Value;

/// The media types that we read or pass on, in the header `Accept`: OCI's and Docker's, of one
/// image and of several.
pub(super) const TYPES: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// A manifest or an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// sha256 of the bytes.
    pub digest: String,
    /// The header `Content-Type`.
    pub media_type: String,
    /// The bytes; another name is given to exactly these.
    pub body: Vec<u8>,
    /// Digest of the config; none for an index.
    pub config: Option<String>,
    /// Digest of the first image of an index.
    pub first: Option<String>,
    /// Sum of the compressed layer bytes.
    pub bytes: u64,
    /// Digests of the layers, base first, with their compressed bytes.
    pub layers: Vec<(String, u64)>,
}

impl Manifest {
    /// What `body` is; bytes that are no manifest have no config and no layers.
    pub(super) fn read(media_type: &str, body: Vec<u8>) -> Manifest {
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |value: &Value| value["digest"].as_str().map(str::to_owned);
        let layers = json["layers"].as_array().into_iter().flatten();
        let layers = layers.filter_map(|layer| {
            Some((layer["digest"].as_str().unwrap_or_default().to_owned(), layer["size"].as_u64()?))
        });
        let layers: Vec<(String, u64)> = layers.collect();
        Manifest {
            digest: digest(&body),
            media_type: media_type.to_owned(),
            config: text(&json["config"]),
            first: text(&json["manifests"][0]),
            bytes: layers.iter().map(|(_, bytes)| bytes).sum(),
            layers,
            body,
        }
    }
}

/// `sha256:` and the digest of `bytes`.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", source::content::sha256(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_say_what_they_are_made_of() {
        // FIPS 180-2, the digest of nothing.
        let nothing = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(b""), nothing);
        let image = br#"{"config":{"digest":"sha256:c"},"layers":[{"size":3},{"size":4}]}"#;
        let image = Manifest::read("m", image.to_vec());
        assert_eq!((image.config.as_deref(), image.bytes), (Some("sha256:c"), 7));
        let index = Manifest::read("i", br#"{"manifests":[{"digest":"sha256:m"}]}"#.to_vec());
        assert_eq!((index.config, index.first.as_deref()), (None, Some("sha256:m")));
        assert_eq!(Manifest::read("m", b"no JSON".to_vec()).config, None);
    }
}
