//! A structural schema (Kubernetes: OpenAPI v3, structural schemas) and what does not fit it.

use std::collections::BTreeMap;

use regex::Regex;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Violation;
use super::cel::{self, Rule};

/// What a value may be.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Schema {
    #[serde(rename = "type")]
    kind: Option<Type>,
    #[serde(default)]
    pub(super) properties: BTreeMap<String, Self>,
    pub(super) items: Option<Box<Self>>,
    /// Of the values of a map.
    additional_properties: Option<Box<Self>>,
    #[serde(default)]
    required: Vec<String>,
    #[serde(default, rename = "enum")]
    values: Vec<Value>,
    #[serde(default, deserialize_with = "pattern")]
    pattern: Option<Regex>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    minimum: Option<i64>,
    maximum: Option<i64>,
    min_items: Option<u64>,
    max_items: Option<u64>,
    min_properties: Option<u64>,
    max_properties: Option<u64>,
    pub(super) default: Option<Value>,
    #[serde(rename = "x-kubernetes-list-type")]
    list_type: Option<ListType>,
    #[serde(default, rename = "x-kubernetes-list-map-keys")]
    keys: Vec<String>,
    #[serde(default, rename = "x-kubernetes-validations")]
    rules: Vec<Validation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ListType {
    Atomic,
    Set,
    Map,
}

#[derive(Debug, Deserialize)]
struct Validation {
    #[serde(deserialize_with = "rule")]
    rule: Rule,
    message: String,
}

impl Schema {
    /// Notes what of a value at a path does not fit.
    pub(super) fn check(&self, path: &str, value: &Value, violations: &mut Vec<Violation>) {
        if value.is_null() {
            return;
        }
        let mut violate = |message: String| {
            let path = path.to_owned();
            violations.push(Violation { path, message });
        };
        if let Some(kind) = self.kind.filter(|kind| !kind.fits(value)) {
            return violate(format!("is not of type {}", kind.name()));
        }
        if !self.values.is_empty() && !self.values.contains(value) {
            let values: Vec<String> = self.values.iter().map(ToString::to_string).collect();
            violate(format!("{value} is not one of {}", values.join(", ")));
        }
        match value {
            Value::String(text) => self.check_text(text, &mut violate),
            Value::Number(number) => {
                let number = number.as_i64();
                let is_below = number.zip(self.minimum).is_some_and(|(it, min)| it < min);
                let is_above = number.zip(self.maximum).is_some_and(|(it, max)| it > max);
                if is_below || is_above {
                    let (min, max) = (limit(self.minimum), limit(self.maximum));
                    violate(format!("{value} is not in {min}..={max}"));
                }
            }
            Value::Array(items) => self.check_items(items, &mut violate),
            Value::Object(fields) => {
                let counts = (self.min_properties, self.max_properties);
                count("entries", fields.len(), counts, &mut violate);
                for name in &self.required {
                    if fields.get(name).is_none_or(Value::is_null) {
                        violate(format!("{name} is missing"));
                    }
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
        // A rule that cannot be evaluated says nothing: what it looks at is missing, and that is said by itself.
        if !self.rules.is_empty()
            && let Some(subject) = cel::value(value)
        {
            for validation in &self.rules {
                if matches!(validation.rule.holds(&subject), Ok(false)) {
                    violate(validation.message.clone());
                }
            }
        }
        self.check_inside(path, value, violations);
    }

    fn check_inside(&self, path: &str, value: &Value, violations: &mut Vec<Violation>) {
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Some(schema) = &self.items {
                        schema.check(&format!("{path}[{index}]"), item, violations);
                    }
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    let known = self.properties.get(name);
                    if let Some(schema) = known.or(self.additional_properties.as_deref()) {
                        let dot = if path.is_empty() { "" } else { "." };
                        schema.check(&format!("{path}{dot}{name}"), value, violations);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn check_text(&self, text: &str, violate: &mut impl FnMut(String)) {
        let length = text.chars().count();
        count(
            "characters",
            length,
            (self.min_length, self.max_length),
            violate,
        );
        if let Some(pattern) = self.pattern.as_ref().filter(|it| !it.is_match(text)) {
            violate(format!("{text:?} does not match {pattern}"));
        }
    }

    fn check_items(&self, items: &[Value], violate: &mut impl FnMut(String)) {
        count(
            "items",
            items.len(),
            (self.min_items, self.max_items),
            violate,
        );
        let key = |item: &Value| match self.list_type {
            Some(ListType::Map) => {
                let keys = self.keys.iter();
                let keys = keys.map(|key| item.get(key).cloned().unwrap_or_default());
                Value::Array(keys.collect())
            }
            Some(ListType::Set | ListType::Atomic) | None => item.clone(),
        };
        match self.list_type {
            Some(ListType::Map | ListType::Set) => {}
            Some(ListType::Atomic) | None => return,
        }
        let mut seen = Vec::new();
        for key in items.iter().map(key) {
            if seen.contains(&key) {
                violate(format!("{key} is there twice"));
            }
            seen.push(key);
        }
    }
}

impl Type {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Object => value.is_object(),
            Self::Array => value.is_array(),
            Self::String => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

fn count(
    what: &str,
    count: usize,
    (min, max): (Option<u64>, Option<u64>),
    violate: &mut impl FnMut(String),
) {
    let count = count as u64;
    if let Some(min) = min.filter(|min| count < *min) {
        violate(format!("has {count} {what}; at least {min} are needed"));
    }
    if let Some(max) = max.filter(|max| count > *max) {
        violate(format!("has {count} {what}; at most {max} are allowed"));
    }
}

fn limit(limit: Option<i64>) -> String {
    limit.map_or_else(String::new, |limit| limit.to_string())
}

fn pattern<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Regex>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let pattern = text.map(|text| Regex::new(&text)).transpose();
    pattern.map_err(serde::de::Error::custom)
}

fn rule<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rule, D::Error> {
    let text = String::deserialize(deserializer)?;
    Rule::parse(&text).map_err(serde::de::Error::custom)
}
