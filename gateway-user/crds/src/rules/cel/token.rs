//! Text to tokens.

use std::iter::Peekable;
use std::str::Chars;

use super::parse::ParseError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Number(i64),
    /// An operator or a bracket.
    Sign(&'static str),
}

/// Longer signs before their beginnings.
const SIGNS: [&str; 18] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "?", ":", "(", ")", "[", "]", ",", ".", "+",
];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = if let Some(raw) = rest.strip_prefix("r\"\"\"") {
            let (text, after) = raw.split_once("\"\"\"").ok_or(ParseError::Unended)?;
            (Token::Text(text.to_owned()), after)
        } else if first == '\'' || first == '"' {
            quoted(rest.split_at(1).1, first)?
        } else if first.is_ascii_digit() {
            let (digits, after) = split(rest, |it| it.is_ascii_digit());
            let number = digits.parse().map_err(|_large| ParseError::Number)?;
            (Token::Number(number), after)
        } else if first.is_ascii_alphabetic() || first == '_' {
            let (name, after) = split(rest, |it| it.is_ascii_alphanumeric() || it == '_');
            (Token::Name(name.to_owned()), after)
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or(ParseError::Character(first))?;
            (Token::Sign(sign), rest.split_at(sign.len()).1)
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|it| !belongs(it)).unwrap_or(text.len());
    text.split_at(end)
}

/// A text up to its closing quote.
fn quoted(text: &str, quote: char) -> Result<(Token, &str), ParseError> {
    let mut read = String::new();
    let mut chars: Peekable<Chars<'_>> = text.chars().peekable();
    while let Some(next) = chars.next() {
        match next {
            '\\' => match chars.next() {
                Some('n') => read.push('\n'),
                Some('t') => read.push('\t'),
                Some(escaped @ ('\\' | '\'' | '"' | '`' | '?')) => read.push(escaped),
                Some(other) => return Err(ParseError::Character(other)),
                None => return Err(ParseError::Unended),
            },
            end if end == quote => {
                let left = chars.map(char::len_utf8).sum::<usize>();
                let after = text.split_at(text.len() - left).1;
                return Ok((Token::Text(read), after));
            }
            usual => read.push(usual),
        }
    }
    Err(ParseError::Unended)
}
