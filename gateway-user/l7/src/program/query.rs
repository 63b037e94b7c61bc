//! Query parameters, decoded when a match first asks for one.

use std::borrow::Cow;
use std::cell::OnceCell;

/// Parameters that are looked at; what comes after them does not exist for matching.
const PARAMS_MAX: usize = 256;

type Param<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The query of a request.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    text: Option<&'a str>,
    params: OnceCell<Vec<Param<'a>>>,
}

impl<'a> Query<'a> {
    pub(crate) fn new(text: Option<&'a str>) -> Self {
        Self {
            text,
            params: OnceCell::new(),
        }
    }

    /// The value of the first parameter of a name, decoded (Gateway API: `HTTPQueryParamMatch.name`).
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        let (_, value) = self.params().iter().find(|(key, _)| key == name)?;
        Some(value)
    }

    /// The names of the parameters; may repeat.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.params().iter().map(|(name, _)| name.as_ref())
    }

    fn params(&self) -> &[Param<'a>] {
        self.params.get_or_init(|| parse(self.text))
    }
}

fn parse(text: Option<&str>) -> Vec<Param<'_>> {
    text.into_iter()
        .flat_map(|text| text.split('&'))
        .filter(|pair| !pair.is_empty())
        .take(PARAMS_MAX)
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// Decodes `%XX` and `+` (WHATWG URL, `application/x-www-form-urlencoded`); what is no encoding stays as it is.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Cow::Borrowed(text);
    }
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        decoded.push(match (byte, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after_digits @ ..]) => match hex(*high, *low) {
                Some(value) => {
                    rest = after_digits;
                    value
                }
                None => b'%',
            },
            (other, _) => other,
        });
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_parameter_of_a_name_counts_and_is_decoded() {
        let query = Query::new(Some("a=1&a=2&b=x+y%20z%2B&&c&d%61=4&e=%zz%4&f=a=b"));
        for (name, expected) in [
            ("a", Some("1")),
            ("b", Some("x y z+")),
            ("c", Some("")),
            ("da", Some("4")),
            ("e", Some("%zz%4")),
            ("f", Some("a=b")),
            ("A", None),
            ("", None),
        ] {
            assert_eq!(query.first(name), expected, "{name}");
        }
        assert_eq!(Query::new(None).first("a"), None);
    }
}
