//! The functions that Kubernetes adds to the language, as far as rules of the Gateway API's CRDs call them.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;

use cel::extractors::This;
use cel::objects::OptionalValue;
use cel::{Context, Value};

type Text = Arc<String>;

pub(super) fn context() -> Result<Context<'static, 'static>, Box<dyn Error>> {
    let mut context = Context::default();
    context.add_function("isIP", |text: Text| text.parse::<IpAddr>().is_ok())?;
    context.add_function("split", |This(text): This<Text>, by: Text| {
        let parts = text.split(by.as_str()).map(Value::from);
        Value::from(parts.collect::<Vec<_>>())
    })?;
    context.add_function("substring", |This(text): This<Text>, from: i64| {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        text.chars().skip(from).collect::<String>()
    })?;
    context.add_function("duration", |text: Text| milliseconds(&text))?;
    // `format.dns1123Subdomain().validate(x).hasValue()`: whether something is wrong with x.
    context.add_variable("format", 0_i64)?;
    context.add_function("dns1123Subdomain", |This(format): This<i64>| format)?;
    context.add_function("validate", |This(_format): This<i64>, text: Text| {
        let wrong = if is_subdomain(&text) {
            OptionalValue::none()
        } else {
            OptionalValue::of("is no DNS subdomain".into())
        };
        Value::Opaque(Arc::new(wrong))
    })?;
    Ok(context)
}

/// A duration as Gateway API has them (GEP-2257): a list of numbers with units; the schema sees to the form.
fn milliseconds(text: &str) -> i64 {
    let mut rest = text;
    let mut sum: i64 = 0;
    while let Some(digits) = rest.find(|it: char| !it.is_ascii_digit()) {
        let (number, after) = rest.split_at(digits);
        let units = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        let unit = units
            .iter()
            .find_map(|(unit, ms)| Some((after.strip_prefix(unit)?, *ms)));
        let (Some((after, ms)), Ok(number)) = (unit, number.parse::<i64>()) else {
            break;
        };
        sum = sum.saturating_add(number.saturating_mul(ms));
        rest = after;
    }
    sum
}

/// RFC 1123, as Kubernetes names are.
fn is_subdomain(text: &str) -> bool {
    let is_inner = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    let is_label = |label: &str| {
        let is_cut = label.is_empty() || label.starts_with('-') || label.ends_with('-');
        !is_cut && label.bytes().all(is_inner)
    };
    text.len() <= 253 && text.split('.').all(is_label)
}
