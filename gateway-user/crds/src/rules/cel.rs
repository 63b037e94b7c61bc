//! The rules of CRDs, in the Common Expression Language (cel.dev) with the functions that Kubernetes adds. An expression is
//! read once and holds or not for a value.

mod functions;

use std::sync::LazyLock;

use cel::{Context, ExecutionError, ParseErrors, Program, Value};

/// Everything that a rule may name beside the value.
static SURROUNDINGS: LazyLock<Context<'static, 'static>> = LazyLock::new(|| {
    let context = functions::context();
    context.expect("no function has a name twice, and a test evaluates each")
});

/// A rule.
#[derive(Debug)]
pub(super) struct Rule(Program);

impl Rule {
    /// Reads a rule.
    pub(super) fn parse(text: &str) -> Result<Self, ParseErrors> {
        // Kubernetes puts fields that are words of the language between underscores. The library takes them as they are.
        Program::compile(&text.replace("__namespace__", "namespace")).map(Self)
    }

    /// Whether a value keeps the rule.
    pub(super) fn holds(&self, value: &Value) -> Result<bool, ExecutionError> {
        let mut context = SURROUNDINGS.new_inner_scope();
        context.add_variable_from_value("self", value.clone());
        let value = self.0.execute(&context)?;
        if let Value::Bool(holds) = value {
            return Ok(holds);
        }
        Err(ExecutionError::UnsupportedTargetType { target: value })
    }
}

/// A value as rules see it; nothing if it has numbers beyond theirs.
pub(super) fn value(json: &serde_json::Value) -> Option<Value> {
    cel::to_value(json).ok()
}

#[cfg(test)]
mod tests;
