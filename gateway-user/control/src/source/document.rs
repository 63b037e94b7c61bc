//! YAML text to documents with their place in the file. Knows nothing of the kinds in them.

use serde_json::Value;
use serde_saphyr::Spanned;

/// The largest file that is read: a Secret may hold 1 MiB, and a file may hold several.
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// One object as it is written in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Position in the file, from 1; empty documents do not count.
    pub index: usize,
    /// The line where its document begins, from 1.
    pub line: u64,
    /// Its content.
    pub value: Value,
}

/// Why a text is not YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidYaml {
    /// The line, from 1, where the parser stopped.
    pub line: Option<u64>,
    /// What the parser says.
    pub message: String,
}

/// Reads every document of a text; the items of a `kind: List` count as documents at the place of their list.
///
/// # Errors
/// When any of it is not YAML: half a file is no configuration.
pub fn parse(text: &str) -> Result<Vec<Document>, InvalidYaml> {
    let options = serde_saphyr::options! { with_snippet: false };
    let values = serde_saphyr::from_multiple_with_options::<Spanned<Value>>(text, options)
        .map_err(|error| InvalidYaml {
            line: error.location().map(|at| at.line()),
            message: error.without_snippet().to_string(),
        })?;
    let documents = values.into_iter().enumerate().flat_map(|(index, spanned)| {
        let line = spanned.referenced.line();
        items(spanned.value).into_iter().map(move |value| Document {
            index: index + 1,
            line,
            value,
        })
    });
    Ok(documents.collect())
}

/// The objects of a document: a list's items, or the document itself.
fn items(mut value: Value) -> Vec<Value> {
    if value.get("kind").and_then(Value::as_str) != Some("List") {
        return vec![value];
    }
    match value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        Some(_) | None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_several_documents_and_each_knows_its_line() {
        let documents = parse("# head\n---\nkind: A\n---\n---\nkind: B\n").expect("YAML");
        let places: Vec<_> = documents.iter().map(|d| (d.index, d.line)).collect();
        assert_eq!(places, [(1, 3), (2, 6)]);
    }

    #[test]
    fn a_list_is_its_items() {
        let documents =
            parse("kind: List\napiVersion: v1\nitems: [{kind: A}, {kind: B}]\n").expect("YAML");
        let kinds: Vec<_> = documents.iter().map(|d| d.value["kind"].clone()).collect();
        assert_eq!(kinds, ["A", "B"]);
    }

    #[test]
    fn an_error_names_the_line() {
        let error = parse("kind: A\nspec:\n  a: [1, 2\n  b: }\n").expect_err("not YAML");
        assert!(error.line.is_some_and(|line| line >= 3), "{error:?}");
        assert!(!error.message.is_empty());
    }

    #[test]
    fn an_empty_text_holds_nothing() {
        assert_eq!(parse("").expect("YAML"), []);
        assert_eq!(parse("# only a comment\n---\n").expect("YAML"), []);
    }
}
