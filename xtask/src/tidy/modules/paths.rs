//! Finds the paths that a Rust file names inside its own crate: in `use` trees and inline.
//!
//! Reads tokens, not grammar: enough for paths, and it needs no parser crate in the newcomer's first build.

/// A path that a file names, as it is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) line: usize,
    /// `crate`, `super` and `self` included; a glob ends at its module.
    pub(super) segments: Vec<String>,
    /// The name that a `use` binds; `None` for an inline path or a glob.
    pub(super) binds: Option<String>,
}

/// Finds the mentions in a file's text, without its unit tests.
pub(super) fn mentions(text: &str) -> Vec<Mention> {
    let product: Vec<&str> = text
        .lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
        .collect();
    let mut reader = Reader {
        tokens: tokens(&product.join("\n")),
        at: 0,
        found: Vec::new(),
    };
    reader.file();
    reader.found
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    PathSeparator,
    Other(char),
}

struct Reader {
    tokens: Vec<(Token, usize)>,
    at: usize,
    found: Vec<Mention>,
}

impl Reader {
    fn file(&mut self) {
        while let Some((token, line)) = self.tokens.get(self.at).cloned() {
            match token {
                Token::Word(word) if word == "use" => {
                    self.at += 1;
                    self.tree(&mut Vec::new());
                }
                Token::Word(word) if ["crate", "super", "self"].contains(&word.as_str()) => {
                    let segments = self.path();
                    if segments.len() > 1 {
                        self.found.push(Mention {
                            line,
                            segments,
                            binds: None,
                        });
                    }
                }
                Token::Word(_) | Token::PathSeparator | Token::Other(_) => self.at += 1,
            }
        }
    }

    /// Reads `a::b::c` and stands behind it.
    fn path(&mut self) -> Vec<String> {
        let mut segments = Vec::new();
        while let Some((Token::Word(word), _)) = self.tokens.get(self.at) {
            segments.push(word.clone());
            self.at += 1;
            if self.peek() != Some(&Token::PathSeparator) {
                break;
            }
            self.at += 1;
        }
        segments
    }

    /// Reads one `use` tree below `prefix`.
    fn tree(&mut self, prefix: &mut Vec<String>) {
        let line = self.tokens.get(self.at).map_or(0, |(_, line)| *line);
        let depth = prefix.len();
        prefix.extend(self.path());
        match self.peek() {
            Some(Token::Other('{')) => self.branches(prefix),
            Some(Token::Other('*')) => {
                self.at += 1;
                self.push(line, prefix.clone(), None);
            }
            Some(Token::Word(word)) if word == "as" => {
                self.at += 1;
                let binds = self.path().pop();
                self.push(line, prefix.clone(), binds);
            }
            Some(Token::Word(_) | Token::PathSeparator | Token::Other(_)) | None => {
                let mut segments = prefix.clone();
                // `a::{self}` names `a`.
                if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
                    segments.pop();
                }
                let binds = segments.last().cloned();
                self.push(line, segments, binds);
            }
        }
        prefix.truncate(depth);
    }

    fn branches(&mut self, prefix: &mut Vec<String>) {
        self.at += 1;
        loop {
            match self.peek() {
                Some(Token::Other('}')) => {
                    self.at += 1;
                    return;
                }
                Some(Token::Other(',')) => self.at += 1,
                Some(Token::Word(_) | Token::Other('{' | '*')) => self.tree(prefix),
                Some(Token::PathSeparator | Token::Other(_)) => self.at += 1,
                None => return,
            }
        }
    }

    fn push(&mut self, line: usize, segments: Vec<String>, binds: Option<String>) {
        if !segments.is_empty() {
            self.found.push(Mention {
                line,
                segments,
                binds,
            });
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }
}

/// Splits code into words, `::` and single characters; comments and literals are left out.
fn tokens(text: &str) -> Vec<(Token, usize)> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = literal_or_comment(rest).unwrap_or_else(|| {
            let (token, length) = token(rest, first);
            tokens.extend(token.map(|token| (token, line)));
            length
        });
        let (eaten, left) = rest.split_at(length);
        line += eaten.matches('\n').count();
        rest = left;
    }
    tokens
}

fn token(rest: &str, first: char) -> (Option<Token>, usize) {
    if first.is_alphanumeric() || first == '_' {
        let length = rest
            .find(|next: char| !next.is_alphanumeric() && next != '_')
            .unwrap_or(rest.len());
        let word = rest.split_at(length).0.to_owned();
        return (Some(Token::Word(word)), length);
    }
    if rest.starts_with("::") {
        return (Some(Token::PathSeparator), 2);
    }
    if first.is_whitespace() {
        return (None, first.len_utf8());
    }
    (Some(Token::Other(first)), first.len_utf8())
}

/// The length of the comment or literal that `rest` starts with.
fn literal_or_comment(rest: &str) -> Option<usize> {
    let until = |from: usize, end: &str| {
        rest.get(from..)
            .and_then(|body| body.find(end))
            .map_or(rest.len(), |at| from + at + end.len())
    };
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(until(2, "*/"));
    }
    if let Some(body) = rest.strip_prefix('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        if body.trim_start_matches('#').starts_with('"') {
            return Some(until(hashes + 2, &format!("\"{}", "#".repeat(hashes))));
        }
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    // A lifetime has no closing quote; a character literal closes at its second or, escaped, at a later character.
    let mut characters = rest.strip_prefix('\'')?.chars();
    match (characters.next()?, characters.next()?) {
        ('\\', _) => Some(quoted(rest, '\'')),
        (character, '\'') => Some(character.len_utf8() + 2),
        _ => Some(1),
    }
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + quote.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_trees_are_read_to_their_leaves() {
        let text = "use crate::{a::{B, self}, c::*};\npub(crate) use super::d::E as F;\n";

        assert_eq!(
            shown(text),
            [
                "1 crate::a::B binds B",
                "1 crate::a binds a",
                "1 crate::c",
                "2 super::d::E binds F"
            ]
        );
    }

    #[test]
    fn inline_paths_are_read() {
        assert_eq!(
            shown("fn f() -> crate::a::B {\n    super::c::d()\n}\n"),
            ["1 crate::a::B", "2 super::c::d"]
        );
    }

    #[test]
    fn comments_literals_and_tests_are_left_out() {
        let text = "// crate::a::B\n/* crate::b::C */\nlet s = \"crate::\\\"c::D\";\nlet r = r#\"crate::d\"#;\n\
                    let c = ':';\nfn f<'a>(x: &'a crate::e::F) {}\n#[cfg(test)]\nmod tests { use crate::g::H; }\n";

        assert_eq!(shown(text), ["6 crate::e::F"]);
    }

    #[test]
    fn visibility_and_self_are_no_paths() {
        assert_eq!(shown("pub(crate) fn f(self) { self.x }"), [""; 0]);
    }

    fn shown(text: &str) -> Vec<String> {
        mentions(text)
            .into_iter()
            .map(|mention| {
                let path = format!("{} {}", mention.line, mention.segments.join("::"));
                match mention.binds {
                    Some(name) => format!("{path} binds {name}"),
                    None => path,
                }
            })
            .collect()
    }
}
