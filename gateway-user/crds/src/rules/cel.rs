//! The part of the Common Expression Language (cel.dev) that the rules of CRDs are written in, with the functions that
//! Kubernetes adds. An expression is read once and holds or not for a value.

mod evaluate;
mod parse;
mod token;

use regex::Regex;
use serde_json::Value;

pub(super) use parse::ParseError;

/// A rule.
#[derive(Debug)]
pub(super) struct Rule(Expression);

/// Why a rule says nothing of a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EvaluateError {
    #[error("there is no {0}")]
    Missing(String),
    #[error("{0} is not for values of this type")]
    Type(&'static str),
    #[error("there is no function {0}")]
    Function(String),
}

impl Rule {
    /// Reads a rule.
    pub(super) fn parse(text: &str) -> Result<Self, ParseError> {
        parse::expression(text).map(Self)
    }

    /// Whether a value keeps the rule.
    pub(super) fn holds(&self, value: &Value) -> Result<bool, EvaluateError> {
        evaluate::holds(&self.0, value)
    }
}

#[derive(Debug)]
enum Expression {
    Literal(Value),
    Variable(String),
    List(Vec<Self>),
    /// `a.b`
    Field(Box<Self>, String),
    /// `has(a.b)`
    Has(Box<Self>, String),
    /// `a[b]`
    Index(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
    /// `a ? b : c`
    Choice(Box<Self>, Box<Self>, Box<Self>),
    /// `a.matches('…')`, whose pattern is compiled once.
    Matches(Box<Self>, Regex),
    /// `a.all(x, …)` and the like.
    Each(Quantifier, Box<Self>, String, Box<Self>),
    /// Any other function, with what it is called on first.
    Call(String, Vec<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Plus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    All,
    Exists,
    ExistsOne,
    Filter,
}

#[cfg(test)]
mod tests;
