//! Tokens and keys that begin as nothing else does: what each begins with and goes on with, and
//! the page that says so. The rules are data; [`find`] applies them in one pass.

use std::sync::LazyLock;

/// The characters of a token after its prefix.
#[derive(Clone, Copy)]
enum Of {
    /// `A-Z` and `0-9`.
    Capital,
    /// `0-9` and `a-f`.
    Hex,
    /// Letters and digits.
    Alnum,
    /// Letters, digits, `_` and `-`.
    Word,
    /// The same, and `.` between parts.
    Parts,
    Base64,
}
use Of::{Alnum, Base64, Capital, Hex, Parts, Word};

impl Of {
    fn has(self, byte: u8) -> bool {
        let word = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        match self {
            Capital => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Hex => byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'),
            Alnum => byte.is_ascii_alphanumeric(),
            Word => word,
            Parts => word || byte == b'.',
            Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
        }
    }
}

/// What it begins with (a blank between several), what follows, how many of those at least, what
/// it is, and the documentation of its form: the issuer's, else a secret scanner's list.
type TokenRule = (&'static str, Of, usize, &'static str, &'static str);

const GITHUB: &str = "docs.github.com: About authentication to GitHub, token formats";
const GITLAB: &str = "docs.gitlab.com: Token overview, token prefixes";
const SLACK: &str = "api.slack.com: Token types";
const STRIPE: &str = "docs.stripe.com: API keys";
const AWS: &str = "docs.aws.amazon.com: IAM identifiers, unique ID prefixes";
const OCEAN: &str = "docs.digitalocean.com: API, token formats";
const SHOPIFY: &str = "shopify.dev: changelog, access token formats";
const DOPPLER: &str = "docs.doppler.com: token formats";
const GRAFANA: &str = "grafana.com/docs: service account and cloud access policy tokens";
const SCANNING: &str = "docs.github.com: Supported secret scanning patterns";
const GITLEAKS: &str = "github.com/gitleaks/gitleaks: default rules";
const PEM: &str = "RFC 7468 in Base64 (RFC 4648)";
const REGISTRY: &str = "docker config.json in Base64 (kubernetes.io: .dockerconfigjson)";

const KEY: &str = "a private key in Base64";
const LOGIN: &str = "logins of registries in Base64";

#[rustfmt::skip]
const RULES: &[TokenRule] = &[
    ("AKIA", Capital, 16, "a key of AWS", AWS),
    ("ASIA", Capital, 16, "a temporary key of AWS", AWS),
    ("ABIA", Capital, 16, "a token of AWS", AWS),
    ("ACCA", Capital, 16, "a credential of AWS", AWS),
    ("ABSK", Base64, 100, "a key of AWS Bedrock", GITLEAKS),
    ("AGE-SECRET-KEY-1", Capital, 40, "a key of age", "github.com/C2SP/C2SP: age"),
    ("AGE-SECRET-KEY-PQ-1", Capital, 40, "a key of age", "github.com/C2SP/C2SP: age"),
    ("ghp_ gho_ ghu_ ghs_ ghr_", Alnum, 30, "a token of GitHub", GITHUB),
    ("github_pat_", Word, 22, "a token of GitHub", GITHUB),
    ("glpat-", Parts, 20, "a token of GitLab", GITLAB),
    ("gldt-", Word, 20, "a deploy token of GitLab", GITLAB),
    ("glrt-", Parts, 20, "a token of a GitLab runner", GITLAB),
    ("glcbt-", Word, 20, "a token of a GitLab job", GITLAB),
    ("glptt-", Word, 20, "a trigger token of GitLab", GITLAB),
    ("glft-", Word, 20, "a feed token of GitLab", GITLAB),
    ("glimt-", Word, 20, "a mail token of GitLab", GITLAB),
    ("glagent-", Word, 40, "a token of a GitLab agent", GITLAB),
    ("gloas-", Word, 40, "a secret of a GitLab application", GITLAB),
    ("glsoat-", Word, 20, "a SCIM token of GitLab", GITLAB),
    ("glffct-", Word, 20, "a feature flag token of GitLab", GITLAB),
    ("GR1348941", Word, 20, "a registration token of GitLab", GITLAB),
    ("npm_", Alnum, 36, "a token of npm", "docs.npmjs.com: About access tokens"),
    ("pypi-AgEI", Word, 40, "a token of PyPI", "docs.pypi.org: secret reporting"),
    ("dckr_pat_ dckr_oat_", Word, 20, "a token of Docker Hub", SCANNING),
    ("AKCp", Alnum, 60, "a key of Artifactory", GITLEAKS),
    ("cmVmd", Alnum, 59, "a token of Artifactory", GITLEAKS),
    ("rubygems_", Hex, 40, "a key of RubyGems", SCANNING),
    ("oy2", Alnum, 43, "a key of NuGet", SCANNING),
    ("sk_live_ rk_live_", Alnum, 20, "a key of Stripe", STRIPE),
    ("sk_test_ rk_test_", Alnum, 20, "a test key of Stripe", STRIPE),
    ("whsec_", Base64, 32, "a webhook secret", STRIPE),
    ("xoxb- xoxa- xoxp- xoxr- xoxs-", Word, 10, "a token of Slack", SLACK),
    ("xoxe- xoxe.xox", Word, 40, "a token of Slack", SLACK),
    ("xapp-", Word, 30, "a token of Slack", SLACK),
    ("hooks.slack.com/services/T", Base64, 36, "a webhook of Slack", SLACK),
    ("AIza", Word, 35, "a key of Google", SCANNING),
    ("GOCSPX-", Word, 28, "a client secret of Google", SCANNING),
    ("ya29.", Parts, 40, "a token of Google", SCANNING),
    ("dop_v1_ doo_v1_ dor_v1_", Hex, 64, "a token of DigitalOcean", OCEAN),
    ("SG.", Parts, 60, "a key of SendGrid", "docs.sendgrid.com: API keys"),
    ("xkeysib-", Word, 64, "a key of Brevo", SCANNING),
    ("key-", Hex, 32, "a key of Mailgun", GITLEAKS),
    ("shpat_ shpca_ shppa_", Hex, 32, "a token of Shopify", SHOPIFY),
    ("shpss_", Hex, 32, "a secret of Shopify", SHOPIFY),
    ("sq0atp-", Word, 22, "a token of Square", SCANNING),
    ("sq0csp-", Word, 43, "a secret of Square", SCANNING),
    ("EAAAE", Word, 55, "a token of Square", SCANNING),
    ("hf_", Alnum, 34, "a token of Hugging Face", SCANNING),
    ("sk-ant-", Word, 80, "a key of Anthropic", SCANNING),
    ("sk-proj- sk-svcacct- sk-admin-", Word, 40, "a key of OpenAI", SCANNING),
    ("sk-or-v1-", Hex, 64, "a key of OpenRouter", SCANNING),
    ("gsk_", Alnum, 50, "a key of Groq", SCANNING),
    ("r8_", Alnum, 37, "a token of Replicate", SCANNING),
    ("pplx-", Alnum, 48, "a key of Perplexity", GITLEAKS),
    ("xai-", Alnum, 70, "a key of xAI", SCANNING),
    ("hvs. hvb. hvr.", Word, 24, "a token of Vault", "developer.hashicorp.com: Vault, tokens"),
    ("dp.pt. dp.ct. dp.sa.", Alnum, 40, "a token of Doppler", DOPPLER),
    ("dp.st.", Parts, 40, "a token of Doppler", DOPPLER),
    ("ops_eyJ", Base64, 200, "a token of 1Password", GITLEAKS),
    ("glsa_", Word, 41, "a token of Grafana", GRAFANA),
    ("glc_", Base64, 32, "a token of Grafana", GRAFANA),
    ("eyJrIjoi", Base64, 60, "a key of Grafana", GITLEAKS),
    ("dapi", Hex, 32, "a token of Databricks", SCANNING),
    ("dt0c01.", Parts, 80, "a token of Dynatrace", SCANNING),
    ("NRAK-", Capital, 27, "a key of New Relic", SCANNING),
    ("sntrys_", Base64, 50, "a token of Sentry", SCANNING),
    ("sntryu_", Hex, 64, "a token of Sentry", SCANNING),
    ("lin_api_", Alnum, 40, "a key of Linear", SCANNING),
    ("ntn_", Alnum, 40, "a token of Notion", GITLEAKS),
    ("figd_", Word, 40, "a token of Figma", SCANNING),
    ("ATATT3 ATCTT3", Word, 100, "a token of Atlassian", SCANNING),
    ("ATBB", Alnum, 32, "a password of Bitbucket", SCANNING),
    ("PMAK-", Word, 59, "a key of Postman", SCANNING),
    ("HRKU-AA", Word, 58, "a key of Heroku", SCANNING),
    ("pul-", Hex, 40, "a token of Pulumi", SCANNING),
    ("pnu_", Alnum, 36, "a key of Prefect", GITLEAKS),
    ("tskey-", Word, 20, "a key of Tailscale", "tailscale.com: key prefixes"),
    ("pscale_tkn_ pscale_oauth_", Parts, 32, "a token of PlanetScale", SCANNING),
    ("pscale_pw_", Parts, 32, "a password of PlanetScale", SCANNING),
    ("sbp_", Hex, 40, "a token of Supabase", SCANNING),
    ("fo1_", Word, 43, "a token of Fly.io", GITLEAKS),
    ("fm2_", Base64, 100, "a token of Fly.io", GITLEAKS),
    ("rnd_", Alnum, 28, "a key of Render", SCANNING),
    ("LTAI", Alnum, 20, "a key of Alibaba Cloud", SCANNING),
    ("AQVN", Word, 35, "a key of Yandex Cloud", SCANNING),
    ("duffel_live_", Word, 43, "a token of Duffel", GITLEAKS),
    ("EZAK", Alnum, 54, "a key of EasyPost", SCANNING),
    ("FLWSECK-", Word, 32, "a key of Flutterwave", SCANNING),
    ("shippo_live_", Hex, 40, "a token of Shippo", SCANNING),
    ("secret-test-", Word, 35, "a secret of WorkOS", SCANNING),
    ("CLOJARS_", Alnum, 60, "a token of Clojars", SCANNING),
    ("sha256~", Word, 43, "a token of OpenShift", GITLEAKS),
    ("tfp_", Word, 59, "a token of Typeform", SCANNING),
    ("lt_live_", Alnum, 20, "a key of Lob", GITLEAKS),
    ("LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0t", Base64, 60, KEY, PEM),
    ("LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVkt", Base64, 60, KEY, PEM),
    ("LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0t", Base64, 60, KEY, PEM),
    ("LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUg", Base64, 60, KEY, PEM),
    ("LS0tLS1CRUdJTiBFTkNSWVBURUQgUFJJVkFU", Base64, 60, KEY, PEM),
    ("eyJhdXRocyI6 ewogICJhdXRocyI6 ewoJImF1dGhzIjog", Base64, 40, LOGIN, REGISTRY),
];

/// Examples from the documentation of those who issue them, without their prefixes.
const EXAMPLES: &[&str] = &[
    // docs.github.com, in answers of the API.
    "16C7e42F292c6912E7710c838347Ae178B4a",
    // docs.stripe.com, the key of Stripe's test account.
    "4eC39HqLyjWDarjtT1zdp7dc",
    "BQokikJOvBiI2HlWgH4olfQ2",
    // developers.google.com, in URLs.
    "SyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe",
    // api.slack.com, in the descriptions of its methods.
    "17653672481-19874698323-pdFZKVeTuE8sk7oOcHrzqqgy",
];

/// Longer than all of them: what is longer needs no counting.
const MOST: usize = 512;

/// By [`slot`] of their first three bytes: the prefixes that a text there may begin with, each with
/// its rule.
static SLOTS: LazyLock<Vec<Vec<(&str, &TokenRule)>>> = LazyLock::new(|| {
    let mut slots = vec![Vec::new(); 1 << BITS];
    for rule in RULES {
        for prefix in rule.0.split(' ') {
            slots[slot(prefix.as_bytes())].push((prefix, rule));
        }
    }
    slots
});

/// Bytes that a token and its prefix are made of.
static RUN: [bool; 256] = {
    let mut run = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        run[byte] = matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'/' | b'+' | b'=' | b'~');
        byte += 1;
    }
    run
};

/// No token is shorter, its prefix included.
const SHORTEST: usize = 15;

const BITS: u32 = 13;

fn slot(bytes: &[u8]) -> usize {
    let three = u32::from(bytes[0]) | u32::from(bytes[1]) << 8 | u32::from(bytes[2]) << 16;
    (three.wrapping_mul(0x9E37_79B1) >> (32 - BITS)) as usize
}

/// What the first token in `text` is.
///
/// Only runs of [`SHORTEST`] bytes and more can hold one, so that most of a text is jumped over.
/// Every other byte is looked at twice, and after a prefix at most [`MOST`] more: no text makes it
/// slow.
pub fn find(text: &[u8]) -> Option<&'static str> {
    let is_run = |byte: &u8| RUN[usize::from(*byte)];
    let mut at = 0;
    while let Some(probe) = text.get(at + SHORTEST - 1) {
        let end = at + SHORTEST;
        if !is_run(probe) {
            at = end;
            continue;
        }
        let before = text[at..end].iter().rev().take_while(|byte| is_run(byte)).count();
        let after = text[end..].iter().take_while(|byte| is_run(byte)).count();
        if before + after >= SHORTEST
            && let Some(reason) = in_run(text, end - before, end + after)
        {
            return Some(reason);
        }
        at = end + after;
    }
    None
}

/// What the first token that begins from `start` to `end` is.
fn in_run(text: &[u8], start: usize, end: usize) -> Option<&'static str> {
    (start..=end - SHORTEST).find_map(|at| {
        if at > start && joined(text[at - 1]) {
            return None;
        }
        let rules = &SLOTS[slot(&text[at..])];
        let found = rules.iter().find(|(prefix, rule)| is_token(prefix, rule, &text[at..]));
        found.map(|(_, rule)| rule.3)
    })
}

fn joined(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether `text` begins with a token of the rule that is neither an example nor a placeholder.
fn is_token(prefix: &str, rule: &TokenRule, text: &[u8]) -> bool {
    let &(_, of, least, ..) = rule;
    let Some(rest) = text.strip_prefix(prefix.as_bytes()) else { return false };
    let length = rest.iter().take(MOST).take_while(|&&byte| of.has(byte)).count();
    let token = &rest[..length];
    // Capitals and hexadecimal digits alone are common; then the length is exact.
    let exact = matches!(of, Capital | Hex) && least < 40;
    let ends = !exact || length == least && !rest.get(length).is_some_and(|byte| joined(*byte));
    length >= least && ends && (exact || token.iter().any(u8::is_ascii_digit)) && !is_example(token)
}

fn is_example(token: &[u8]) -> bool {
    let text = String::from_utf8_lossy(token);
    let mut bytes = token.to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    // `xxxxxxxx`, `0000-0000` and the like are placeholders.
    bytes.len() <= 3 || text.to_ascii_lowercase().contains("example") || EXAMPLES.contains(&&*text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token of a rule as it may be issued.
    fn made(prefix: &str, rule: &TokenRule) -> String {
        let &(_, of, least, ..) = rule;
        let all = (b'!'..=b'~').filter(|&byte| of.has(byte) && joined(byte)).map(char::from);
        let body: String =
            all.collect::<Vec<_>>().into_iter().cycle().skip(3).take(least).collect();
        format!("{prefix}{body}")
    }

    #[test]
    fn a_token_of_each_rule_is_found_and_a_shorter_one_is_not() {
        assert_eq!(SLOTS.iter().flatten().count(), 126);
        for (prefix, rule) in SLOTS.iter().flatten() {
            let token = made(prefix, rule);
            for text in [token.clone(), format!("KEY='{token}'\n"), format!("a: {token}")] {
                assert!(find(text.as_bytes()).is_some(), "{text}");
            }
            assert_eq!(find(format!("x{token}").as_bytes()), None, "{token}");
            // What `find` jumps over.
            assert!(token.len() >= SHORTEST && token.bytes().all(|byte| RUN[usize::from(byte)]));
            let short = &token[..token.len() - 1];
            assert_ne!(find(short.as_bytes()), Some(rule.3), "{short}");
            assert!(!rule.3.is_empty() && rule.4.len() > 8, "{}", rule.0);
        }
    }

    #[test]
    fn examples_and_placeholders_are_none() {
        for text in [
            "AKIAIOSFODNN7EXAMPLE",
            "AKIAI44QH8DHBEXAMPLE",
            "ASIAIOSFODNN7EXAMPLE",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
            "AIzaSyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe",
            "AKIAXXXXXXXXXXXXXXXX",
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "glpat-00000000000000000000",
            "github_pat_your_token_goes_here_please",
            "key-0123456789abcdef0123456789abcdef0",
        ] {
            assert_eq!(find(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn no_text_makes_it_slow() {
        // Each prefix begins a text that could be a token to the end.
        let text = "glpat-".repeat(1 << 18);
        assert_eq!(find(text.as_bytes()), None);
    }
}
