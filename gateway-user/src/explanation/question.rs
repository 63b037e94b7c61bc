//! The request to explain, as it is written on a command line and in the query of the admin server's page.

use anyhow::{Context, bail};
use form_urlencoded::Serializer;
use gateway_l7::Question;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

/// A question as it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) url: String,
    /// `name: value`.
    pub(crate) headers: Vec<String>,
    pub(crate) server_name: Option<String>,
    pub(crate) detail: Detail,
}

/// Which matches are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Those whose path fits.
    #[default]
    Brief,
    /// All.
    Full,
}

impl Asked {
    /// Reads a question out of a page's query.
    pub(crate) fn from_query(query: &str) -> Self {
        let mut asked = Self {
            method: Method::GET.to_string(),
            ..Self::default()
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            match name.as_ref() {
                "method" => asked.method = value,
                "url" => asked.url = value,
                "header" => asked.headers.push(value),
                "server-name" => asked.server_name = Some(value),
                "all" => asked.detail = Detail::Full,
                // A page of another release may know more.
                _unknown => {}
            }
        }
        asked
    }

    /// The page that answers it.
    pub(crate) fn path(&self) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("method", &self.method);
        query.append_pair("url", &self.url);
        for header in &self.headers {
            query.append_pair("header", header);
        }
        if let Some(name) = &self.server_name {
            query.append_pair("server-name", name);
        }
        if self.detail == Detail::Full {
            query.append_pair("all", "true");
        }
        format!("/explain?{}", query.finish())
    }

    /// Checks it.
    ///
    /// # Errors
    /// When a part is not what it should be; the message names it.
    pub(crate) fn question(&self) -> anyhow::Result<Question> {
        let method = Method::from_bytes(self.method.as_bytes());
        let method = method.with_context(|| format!("{:?} is not a method", self.method))?;
        Ok(Question {
            method,
            url: url(&self.url)?,
            headers: headers(&self.headers)?,
            server_name: self.server_name.clone(),
        })
    }
}

fn url(text: &str) -> anyhow::Result<Uri> {
    let url: Uri = text
        .parse()
        .with_context(|| format!("{text:?} is not a URL"))?;
    let is_served = matches!(url.scheme_str(), Some("http" | "https"));
    if !is_served || url.host().is_none_or(str::is_empty) {
        bail!("{text:?} is not a URL like https://example.com/path: http and https are explained");
    }
    Ok(url)
}

fn headers(lines: &[String]) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let invalid = || format!("{line:?} is not a header like `accept: text/html`");
        let (name, value) = line.split_once(':').with_context(invalid)?;
        let name = HeaderName::try_from(name.trim()).with_context(invalid)?;
        let value = HeaderValue::try_from(value.trim()).with_context(invalid)?;
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_goes_through_the_query_of_a_page_unchanged() {
        let asked = Asked {
            method: "POST".to_owned(),
            url: "https://shop.test:8443/a b?c=d&e=%20".to_owned(),
            headers: vec!["x-a: 1&2".to_owned(), "x-a: ä".to_owned()],
            server_name: Some("other.test".to_owned()),
            detail: Detail::Full,
        };
        let path = asked.path();
        let query = path.strip_prefix("/explain?").expect("the page");
        assert_eq!(Asked::from_query(query), asked);
    }

    #[test]
    fn what_is_no_request_is_named() {
        for (method, url, header, named) in [
            ("G ET", "http://a/", "a: b", "G ET"),
            ("GET", "a.test/path", "a: b", "a.test/path"),
            ("GET", "/path", "a: b", "/path"),
            ("GET", "ftp://a/", "a: b", "ftp://a/"),
            ("GET", "http://a/", "no colon", "no colon"),
            ("GET", "http://a/", "a b: c", "a b: c"),
            ("GET", "http://a/", "a: b\u{1}", "a: b"),
        ] {
            let asked = Asked {
                method: method.to_owned(),
                url: url.to_owned(),
                headers: vec![header.to_owned()],
                ..Asked::default()
            };
            let error = asked.question().expect_err(named);
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
