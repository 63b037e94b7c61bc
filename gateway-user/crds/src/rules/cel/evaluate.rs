//! What an expression comes to.

use std::borrow::Cow;
use std::net::IpAddr;

use regex::Regex;
use serde_json::Value;

use super::{EvaluateError, Expression, Operator, Quantifier};

type Found<'v> = Result<Cow<'v, Value>, EvaluateError>;

/// A variable, in front of those outside.
struct Scope<'v> {
    name: &'v str,
    value: &'v Value,
    outside: Option<&'v Self>,
}

pub(super) fn holds(rule: &Expression, value: &Value) -> Result<bool, EvaluateError> {
    let scope = Scope {
        name: "self",
        value,
        outside: None,
    };
    boolean(rule, &scope)
}

fn boolean<'v>(expression: &'v Expression, scope: &Scope<'v>) -> Result<bool, EvaluateError> {
    let value = evaluate(expression, scope)?;
    value.as_bool().ok_or(EvaluateError::Type("a condition"))
}

fn evaluate<'v>(expression: &'v Expression, scope: &Scope<'v>) -> Found<'v> {
    Ok(match expression {
        Expression::Literal(value) => Cow::Borrowed(value),
        Expression::Variable(name) => Cow::Borrowed(variable(name, scope)?),
        Expression::List(items) => {
            let items = items.iter().map(|it| Ok(evaluate(it, scope)?.into_owned()));
            owned(Value::Array(items.collect::<Result<_, _>>()?))
        }
        Expression::Field(of, name) => {
            let missing = || EvaluateError::Missing(name.clone());
            match evaluate(of, scope)? {
                Cow::Borrowed(of) => Cow::Borrowed(field(of, name).ok_or_else(missing)?),
                Cow::Owned(of) => owned(field(&of, name).ok_or_else(missing)?.clone()),
            }
        }
        Expression::Has(of, name) => owned(field(&*evaluate(of, scope)?, name).is_some()),
        Expression::Index(of, index) => {
            let index = evaluate(index, scope)?;
            let index = index.as_u64().and_then(|it| usize::try_from(it).ok());
            let index = index.ok_or(EvaluateError::Type("an index"))?;
            let missing = || EvaluateError::Missing(format!("item {index}"));
            match evaluate(of, scope)? {
                Cow::Borrowed(of) => Cow::Borrowed(of.get(index).ok_or_else(missing)?),
                Cow::Owned(of) => owned(of.get(index).ok_or_else(missing)?.clone()),
            }
        }
        Expression::Not(of) => owned(!boolean(of, scope)?),
        Expression::Binary(operator, left, right) => binary(*operator, left, right, scope)?,
        Expression::Choice(condition, yes, no) => {
            let chosen = if boolean(condition, scope)? { yes } else { no };
            evaluate(chosen, scope)?
        }
        Expression::Matches(of, pattern) => {
            let of = evaluate(of, scope)?;
            owned(pattern.is_match(of.as_str().ok_or(EvaluateError::Type("matches"))?))
        }
        Expression::Each(quantifier, of, name, body) => {
            let of = evaluate(of, scope)?;
            owned(each(*quantifier, &of, name, body, scope)?)
        }
        Expression::Call(name, arguments) => {
            let arguments = arguments.iter().map(|it| evaluate(it, scope));
            // The one name that is no variable; its methods take what they need as arguments.
            let arguments: Vec<Cow<'_, Value>> = match name.as_str() {
                "dns1123Subdomain" => Vec::new(),
                _function => arguments.collect::<Result<_, _>>()?,
            };
            owned(call(name, &arguments)?)
        }
    })
}

fn owned<'v>(value: impl Into<Value>) -> Cow<'v, Value> {
    Cow::Owned(value.into())
}

fn variable<'v>(name: &str, scope: &Scope<'v>) -> Result<&'v Value, EvaluateError> {
    let mut scope = scope;
    while scope.name != name {
        scope = scope
            .outside
            .ok_or_else(|| EvaluateError::Missing(name.to_owned()))?;
    }
    Ok(scope.value)
}

/// A field that is there; null is as good as not there.
fn field<'v>(of: &'v Value, name: &str) -> Option<&'v Value> {
    of.get(name).filter(|value| !value.is_null())
}

/// Of `&&` and `||` one side can decide although the other cannot be evaluated.
fn binary<'v>(
    operator: Operator,
    left: &'v Expression,
    right: &'v Expression,
    scope: &Scope<'v>,
) -> Found<'v> {
    let decisive = match operator {
        Operator::Or => true,
        Operator::And => false,
        Operator::Equal
        | Operator::Unequal
        | Operator::Less
        | Operator::LessOrEqual
        | Operator::Greater
        | Operator::GreaterOrEqual
        | Operator::In
        | Operator::Plus => {
            let (left, right) = (evaluate(left, scope)?, evaluate(right, scope)?);
            return compare(operator, &left, &right).map(Cow::Owned);
        }
    };
    let left = boolean(left, scope);
    if left == Ok(decisive) {
        return Ok(owned(decisive));
    }
    let right = boolean(right, scope);
    if right == Ok(decisive) {
        return Ok(owned(decisive));
    }
    left.and(right).map(owned)
}

fn compare(operator: Operator, left: &Value, right: &Value) -> Result<Value, EvaluateError> {
    let numbers = || {
        let numbers = left.as_i64().zip(right.as_i64());
        numbers.ok_or(EvaluateError::Type("a comparison"))
    };
    let is = match operator {
        Operator::Equal => left == right,
        Operator::Unequal => left != right,
        Operator::Less => numbers().map(|(left, right)| left < right)?,
        Operator::LessOrEqual => numbers().map(|(left, right)| left <= right)?,
        Operator::Greater => numbers().map(|(left, right)| left > right)?,
        Operator::GreaterOrEqual => numbers().map(|(left, right)| left >= right)?,
        Operator::In => {
            let list = right.as_array().ok_or(EvaluateError::Type("in"))?;
            list.contains(left)
        }
        Operator::Plus => {
            let (left, right) = numbers()?;
            return Ok(left.saturating_add(right).into());
        }
        Operator::Or | Operator::And => return Err(EvaluateError::Type("a comparison")),
    };
    Ok(is.into())
}

/// Goes through the items of a list, or the keys of a map.
fn each(
    quantifier: Quantifier,
    of: &Value,
    name: &str,
    body: &Expression,
    outside: &Scope<'_>,
) -> Result<Value, EvaluateError> {
    let items: Vec<Cow<'_, Value>> = match of {
        Value::Array(items) => items.iter().map(Cow::Borrowed).collect(),
        Value::Object(fields) => fields.keys().map(|key| owned(key.as_str())).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(EvaluateError::Type("a walk over items"));
        }
    };
    let mut kept = Vec::new();
    for item in items {
        let scope = Scope {
            name,
            value: &item,
            outside: Some(outside),
        };
        let is_kept = boolean(body, &scope)?;
        match (quantifier, is_kept) {
            (Quantifier::All, false) => return Ok(false.into()),
            (Quantifier::Exists, true) => return Ok(true.into()),
            (_, true) => kept.push(item.into_owned()),
            (_, false) => {}
        }
    }
    Ok(match quantifier {
        Quantifier::All => true.into(),
        Quantifier::Exists => false.into(),
        Quantifier::ExistsOne => (kept.len() == 1).into(),
        Quantifier::Filter => Value::Array(kept),
    })
}

/// The functions that rules call, with what they are called on first.
fn call(name: &str, arguments: &[Cow<'_, Value>]) -> Result<Value, EvaluateError> {
    let texts: Option<Vec<&str>> = arguments.iter().map(|it| it.as_str()).collect();
    let texts = texts.unwrap_or_default();
    Ok(match (name, texts.as_slice(), arguments) {
        ("size", _, [of]) => size(of)?.into(),
        ("startsWith", [of, start], _) => of.starts_with(start).into(),
        ("endsWith", [of, end], _) => of.ends_with(end).into(),
        ("contains", [of, part], _) => of.contains(part).into(),
        ("matches", [of, pattern], _) => {
            let pattern = Regex::new(pattern);
            pattern.is_ok_and(|pattern| pattern.is_match(of)).into()
        }
        ("split", [of, by], _) => of.split(by).collect::<Vec<_>>().into(),
        ("substring", _, [of, from]) => {
            let text = of.as_str().zip(from.as_u64());
            let (text, from) = text.ok_or(EvaluateError::Type("substring"))?;
            text.chars()
                .skip(usize::try_from(from).unwrap_or(usize::MAX))
                .collect::<String>()
                .into()
        }
        ("isIP", [of], _) => of.parse::<IpAddr>().is_ok().into(),
        ("duration", [of], _) => duration(of).ok_or(EvaluateError::Type("duration"))?.into(),
        // `format.dns1123Subdomain().validate(x).hasValue()`: whether something is wrong with x.
        ("dns1123Subdomain", _, _) => "".into(),
        ("validate", [_, of], _) => (!is_subdomain(of)).into(),
        ("hasValue", _, [of]) => of.as_bool().unwrap_or(true).into(),
        (other, _, _) => return Err(EvaluateError::Function(other.to_owned())),
    })
}

fn size(of: &Value) -> Result<u64, EvaluateError> {
    let size = match of {
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        Value::String(text) => text.chars().count(),
        Value::Null | Value::Bool(_) | Value::Number(_) => return Err(EvaluateError::Type("size")),
    };
    Ok(size as u64)
}

/// Milliseconds of a duration as Gateway API has them (GEP-2257): a list of numbers with units.
fn duration(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let units = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        let unit = units
            .iter()
            .find_map(|(unit, ms)| Some((after.strip_prefix(unit)?, ms)));
        let (after, ms) = unit?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*ms)?)?;
        rest = after;
    }
    Some(sum)
}

/// RFC 1123, as Kubernetes names are.
fn is_subdomain(text: &str) -> bool {
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let is_inner = |it: &u8| it.is_ascii_lowercase() || it.is_ascii_digit() || *it == b'-';
        bytes.iter().all(is_inner)
            && !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}
