//! Environment markers, which say when a dependency is needed (PEP 508, now "Dependency specifiers"
//! of the Python packaging guide): as far as lock files use them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Whether `marker` holds when the variables have these `values`.
pub fn holds(marker: &str, values: &BTreeMap<String, String>) -> Result<bool, String> {
    let tokens = tokens(marker)?;
    let mut parser = Parser { rest: &tokens, values };
    let result = parser.either()?;
    match parser.rest.first() {
        None => Ok(result),
        Some(token) => Err(format!("`{}` is not expected", token.text())),
    }
}

/// A word of a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A text in quotes.
    Text(String),
    /// A name, or `and`, `or`, `in`, `not`.
    Word(String),
    /// A comparison or a parenthesis.
    Sign(String),
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Token::Text(text) | Token::Word(text) | Token::Sign(text) => text,
        }
    }
}

fn tokens(marker: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = marker.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = |inside: fn(char) -> bool| rest.find(|c| !inside(c)).unwrap_or(rest.len());
        let (token, end) = match first {
            '\'' | '"' => {
                let end = rest[1..].find(first).ok_or("a quotation mark is not closed")?;
                (Token::Text(rest[1..=end].to_owned()), end + 2)
            }
            '(' | ')' => (Token::Sign(first.into()), 1),
            '<' | '>' | '=' | '!' | '~' => {
                let end = length(|c| "<>=!~".contains(c));
                (Token::Sign(rest[..end].to_owned()), end)
            }
            _ => match length(|c| c.is_ascii_alphanumeric() || "_.".contains(c)) {
                0 => return Err(format!("`{first}` is not expected")),
                end => (Token::Word(rest[..end].to_owned()), end),
            },
        };
        tokens.push(token);
        rest = rest[end..].trim_start();
    }
    Ok(tokens)
}

struct Parser<'t> {
    rest: &'t [Token],
    values: &'t BTreeMap<String, String>,
}

impl Parser<'_> {
    /// Takes the word or sign `wanted`, if it is next.
    fn take(&mut self, wanted: &str) -> bool {
        let next = self.rest.first();
        let found =
            next.is_some_and(|token| !matches!(token, Token::Text(_)) && token.text() == wanted);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn next(&mut self) -> Result<Token, String> {
        let (first, rest) = self.rest.split_first().ok_or("it ends too soon")?;
        self.rest = rest;
        Ok(first.clone())
    }

    fn either(&mut self) -> Result<bool, String> {
        let mut result = self.both()?;
        while self.take("or") {
            result |= self.both()?;
        }
        Ok(result)
    }

    fn both(&mut self) -> Result<bool, String> {
        let mut result = self.one()?;
        while self.take("and") {
            result &= self.one()?;
        }
        Ok(result)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.take("(") {
            let result = self.either()?;
            return if self.take(")") { Ok(result) } else { Err("a `(` is not closed".into()) };
        }
        let left = self.value()?;
        let operator = if self.take("not") {
            if !self.take("in") {
                return Err("`in` is missing after `not`".into());
            }
            "not in".to_owned()
        } else {
            self.next()?.text().to_owned()
        };
        let right = self.value()?;
        compare(&left, &operator, &right)
    }

    fn value(&mut self) -> Result<String, String> {
        match self.next()? {
            Token::Text(text) => Ok(text),
            Token::Word(name) => {
                let value = self.values.get(&name);
                value.cloned().ok_or_else(|| format!("the variable `{name}` is not known"))
            }
            Token::Sign(sign) => Err(format!("`{sign}` is not expected")),
        }
    }
}

/// Versions are compared as such if both sides are one, and else as texts.
fn compare(left: &str, operator: &str, right: &str) -> Result<bool, String> {
    match operator {
        "in" => return Ok(right.contains(left)),
        "not in" => return Ok(!right.contains(left)),
        "===" => return Ok(left == right),
        _ => {}
    }
    if let Some(start) = right.strip_suffix(".*") {
        let same = ReleaseNumber::parse(left).zip(ReleaseNumber::parse(start)).is_some_and(
            |(left, start)| (0..start.numbers.len()).all(|n| left.number(n) == start.number(n)),
        );
        return match operator {
            "==" => Ok(same),
            "!=" => Ok(!same),
            _ => Err(format!("`{operator}` doesn't go with `{right}`")),
        };
    }
    let versions = ReleaseNumber::parse(left).zip(ReleaseNumber::parse(right));
    if operator == "~=" {
        let (left, right) = versions.ok_or_else(|| format!("`{right}` is no version"))?;
        let count = right.numbers.len().saturating_sub(1);
        let same = (0..count).all(|n| left.number(n) == right.number(n));
        return Ok(count > 0 && same && left.order(&right) != Ordering::Less);
    }
    let order = versions.map_or_else(|| left.cmp(right), |(left, right)| left.order(&right));
    match operator {
        "==" => Ok(order.is_eq()),
        "!=" => Ok(order.is_ne()),
        "<" => Ok(order.is_lt()),
        "<=" => Ok(order.is_le()),
        ">" => Ok(order.is_gt()),
        ">=" => Ok(order.is_ge()),
        _ => Err(format!("`{operator}` is no comparison")),
    }
}

/// The release number of a version, and whether it comes before that release.
struct ReleaseNumber {
    numbers: Vec<u64>,
    before: bool,
}

impl ReleaseNumber {
    fn parse(text: &str) -> Option<ReleaseNumber> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let numbers = text[..end].trim_end_matches('.').split('.').map(str::parse);
        let numbers = numbers.collect::<Result<Vec<u64>, _>>().ok()?;
        let rest = text[end..].trim_start_matches(['-', '_', '.']);
        // `+` marks what a distribution changed, and `post` what came later.
        let known = ["a", "b", "c", "rc", "dev", "post", "+"];
        let plain = rest.is_empty() || known.iter().any(|start| rest.starts_with(start));
        let before = !rest.is_empty() && !rest.starts_with("post") && !rest.starts_with('+');
        plain.then_some(ReleaseNumber { numbers, before })
    }

    fn number(&self, index: usize) -> u64 {
        self.numbers.get(index).copied().unwrap_or(0)
    }

    fn order(&self, other: &ReleaseNumber) -> Ordering {
        let count = self.numbers.len().max(other.numbers.len());
        let numbers = (0..count).map(|n| self.number(n).cmp(&other.number(n)));
        numbers.fold(Ordering::Equal, Ordering::then).then(other.before.cmp(&self.before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> BTreeMap<String, String> {
        let all = [
            ("python_version", "3.11"),
            ("python_full_version", "3.11.2+"),
            ("sys_platform", "linux"),
            ("platform_machine", "x86_64"),
            ("platform_python_implementation", "CPython"),
            ("os_name", "posix"),
            ("extra", ""),
        ];
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn markers_are_evaluated() {
        let check =
            |marker: &str, expected| assert_eq!(holds(marker, &values()), Ok(expected), "{marker}");
        check("sys_platform == 'linux'", true);
        check("sys_platform != \"linux\"", false);
        check("'linux' == sys_platform", true);
        check("platform_machine in 'x86_64 aarch64'", true);
        check("platform_machine not in 'arm64 aarch64'", true);
        // Numbers, and not texts: 3.9 is before 3.11.
        check("python_version < '3.9'", false);
        check("python_version >= '3.9'", true);
        check("python_version < '3.12'", true);
        check("python_version == '3.11.0'", true);
        check("python_version == '3.*'", true);
        check("python_version != '3.11.*'", false);
        check("python_full_version >= '3.11.2'", true);
        check("python_full_version < '3.11.3'", true);
        check("python_full_version ~= '3.10'", true);
        check("python_full_version ~= '3.11.3'", false);
        check("python_full_version > '3.11.2rc1'", true);
        check("sys_platform == 'win32' or os_name == 'posix' and python_version >= '3.8'", true);
        check("(sys_platform == 'win32' or os_name == 'posix') and python_version < '3.8'", false);
        check("((extra == ''))", true);
        check("platform_python_implementation != 'PyPy'", true);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let check = |marker: &str, expected: &str| {
            assert_eq!(holds(marker, &values()), Err(expected.to_owned()), "{marker}");
        };
        check("", "it ends too soon");
        check("sys_platform", "it ends too soon");
        check("sys_platform == 'linux", "a quotation mark is not closed");
        check("(sys_platform == 'linux'", "a `(` is not closed");
        check("sys_platform == 'linux')", "`)` is not expected");
        check("colour == 'red'", "the variable `colour` is not known");
        check("sys_platform => 'linux'", "`=>` is no comparison");
        check("sys_platform not 'linux'", "`in` is missing after `not`");
        check("python_version < '3.*'", "`<` doesn't go with `3.*`");
        check("sys_platform == #", "`#` is not expected");
    }
}
