//! Tokens to expressions, by precedence (CEL specification, Syntax).

use regex::Regex;
use serde_json::Value;

use super::token::{Token, tokens};
use super::{Expression, Operator, Quantifier};

/// Brackets inside each other; more than any rule has.
const DEPTH_MAX: usize = 64;

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum ParseError {
    #[error("a text does not end")]
    Unended,
    #[error("a number is too large")]
    Number,
    #[error("{0:?} has no meaning here")]
    Character(char),
    #[error("{0} was expected")]
    Expected(&'static str),
    #[error("a pattern is none")]
    Pattern,
    #[error("too many brackets inside each other")]
    TooDeep,
}

pub(super) fn expression(text: &str) -> Result<Expression, ParseError> {
    let mut tokens = tokens(text)?;
    tokens.reverse();
    let mut parser = Parser { tokens, depth: 0 };
    let expression = parser.choice()?;
    match parser.tokens.is_empty() {
        true => Ok(expression),
        false => Err(ParseError::Expected("the end")),
    }
}

struct Parser {
    /// The next one last.
    tokens: Vec<Token>,
    depth: usize,
}

impl Parser {
    fn takes(&mut self, sign: &str) -> bool {
        let is_next = matches!(self.tokens.last(), Some(Token::Sign(next)) if *next == sign);
        if is_next {
            self.tokens.pop();
        }
        is_next
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), ParseError> {
        self.takes(sign)
            .then_some(())
            .ok_or(ParseError::Expected(sign))
    }

    fn choice(&mut self) -> Result<Expression, ParseError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(ParseError::TooDeep);
        }
        let condition = self.or()?;
        let expression = if self.takes("?") {
            let yes = self.choice()?;
            self.expect(":")?;
            let no = self.choice()?;
            Expression::Choice(condition.into(), yes.into(), no.into())
        } else {
            condition
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn or(&mut self) -> Result<Expression, ParseError> {
        let mut left = self.and()?;
        while self.takes("||") {
            let right = self.and()?;
            left = Expression::Binary(Operator::Or, left.into(), right.into());
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, ParseError> {
        let mut left = self.relation()?;
        while self.takes("&&") {
            let right = self.relation()?;
            left = Expression::Binary(Operator::And, left.into(), right.into());
        }
        Ok(left)
    }

    fn relation(&mut self) -> Result<Expression, ParseError> {
        let mut left = self.sum()?;
        while let Some(operator) = self.relation_sign() {
            let right = self.sum()?;
            left = Expression::Binary(operator, left.into(), right.into());
        }
        Ok(left)
    }

    fn relation_sign(&mut self) -> Option<Operator> {
        let operator = match self.tokens.last()? {
            Token::Name(name) if name == "in" => Operator::In,
            Token::Sign("==") => Operator::Equal,
            Token::Sign("!=") => Operator::Unequal,
            Token::Sign("<=") => Operator::LessOrEqual,
            Token::Sign(">=") => Operator::GreaterOrEqual,
            Token::Sign("<") => Operator::Less,
            Token::Sign(">") => Operator::Greater,
            Token::Name(_) | Token::Text(_) | Token::Number(_) | Token::Sign(_) => return None,
        };
        self.tokens.pop();
        Some(operator)
    }

    fn sum(&mut self) -> Result<Expression, ParseError> {
        let mut left = self.unary()?;
        while self.takes("+") {
            let right = self.unary()?;
            left = Expression::Binary(Operator::Plus, left.into(), right.into());
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expression, ParseError> {
        let mut negations = 0;
        while self.takes("!") {
            negations += 1;
        }
        let mut expression = self.member()?;
        for _ in 0..negations {
            expression = Expression::Not(expression.into());
        }
        Ok(expression)
    }

    fn member(&mut self) -> Result<Expression, ParseError> {
        let mut expression = self.primary()?;
        loop {
            if self.takes(".") {
                let name = self.name()?;
                expression = if self.takes("(") {
                    self.method(expression, name)?
                } else {
                    Expression::Field(expression.into(), unescaped(&name))
                };
            } else if self.takes("[") {
                let index = self.choice()?;
                self.expect("]")?;
                expression = Expression::Index(expression.into(), index.into());
            } else {
                return Ok(expression);
            }
        }
    }

    fn method(&mut self, on: Expression, name: String) -> Result<Expression, ParseError> {
        let quantifier = match name.as_str() {
            "all" => Some(Quantifier::All),
            "exists" => Some(Quantifier::Exists),
            "exists_one" => Some(Quantifier::ExistsOne),
            "filter" => Some(Quantifier::Filter),
            _function => None,
        };
        if let Some(quantifier) = quantifier {
            let variable = self.name()?;
            self.expect(",")?;
            let body = self.choice()?;
            self.expect(")")?;
            return Ok(Expression::Each(
                quantifier,
                on.into(),
                variable,
                body.into(),
            ));
        }
        let mut arguments = self.arguments(")")?;
        if name == "matches"
            && let [Expression::Literal(Value::String(pattern))] = arguments.as_slice()
        {
            let pattern = Regex::new(pattern).map_err(|_invalid| ParseError::Pattern)?;
            return Ok(Expression::Matches(on.into(), pattern));
        }
        arguments.insert(0, on);
        Ok(Expression::Call(name, arguments))
    }

    fn primary(&mut self) -> Result<Expression, ParseError> {
        match self.tokens.pop() {
            Some(Token::Number(number)) => Ok(Expression::Literal(number.into())),
            Some(Token::Text(text)) => Ok(Expression::Literal(text.into())),
            Some(Token::Sign("(")) => {
                let inside = self.choice()?;
                self.expect(")")?;
                Ok(inside)
            }
            Some(Token::Sign("[")) => self.arguments("]").map(Expression::List),
            Some(Token::Name(name)) => self.named(name),
            Some(Token::Sign(_)) | None => Err(ParseError::Expected("a value")),
        }
    }

    fn named(&mut self, name: String) -> Result<Expression, ParseError> {
        match name.as_str() {
            "true" => return Ok(Expression::Literal(true.into())),
            "false" => return Ok(Expression::Literal(false.into())),
            "null" => return Ok(Expression::Literal(Value::Null)),
            _variable => {}
        }
        if !self.takes("(") {
            return Ok(Expression::Variable(name));
        }
        let mut arguments = self.arguments(")")?;
        if name == "has" {
            return match arguments.pop() {
                Some(Expression::Field(of, field)) => Ok(Expression::Has(of, field)),
                Some(_) | None => Err(ParseError::Expected("a field")),
            };
        }
        Ok(Expression::Call(name, arguments))
    }

    fn arguments(&mut self, end: &'static str) -> Result<Vec<Expression>, ParseError> {
        let mut arguments = Vec::new();
        if self.takes(end) {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.choice()?);
            if !self.takes(",") {
                self.expect(end)?;
                return Ok(arguments);
            }
        }
    }

    fn name(&mut self) -> Result<String, ParseError> {
        match self.tokens.pop() {
            Some(Token::Name(name)) => Ok(name),
            Some(Token::Text(_) | Token::Number(_) | Token::Sign(_)) | None => {
                Err(ParseError::Expected("a name"))
            }
        }
    }
}

/// Kubernetes writes fields that are words of the language between underscores.
fn unescaped(name: &str) -> String {
    let inside = name.strip_prefix("__").and_then(|it| it.strip_suffix("__"));
    inside.unwrap_or(name).to_owned()
}
