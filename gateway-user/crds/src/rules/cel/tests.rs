//! Expressions as rules have them.

use serde_json::json;

use super::{value as cel_value, *};

#[test]
fn rules_hold_or_not() {
    let value = json!({
        "name": "a", "count": 2, "empty": "", "list": [{"n": 1}, {"n": 2}, {"n": 2}],
        "words": ["GET", "*"], "map": {"k/x": "v"}, "namespace": "ns"
    });
    let value = cel_value(&value).expect("a value");
    for (rule, expected) in [
        ("self.name == 'a'", true),
        ("self.name != \"a\"", false),
        ("has(self.name) && !has(self.gone)", true),
        ("self.__namespace__ == 'ns'", true),
        ("self.count <= 2 && self.count >= 2 && self.count < 3", true),
        ("(has(self.name)?1:0)+(has(self.gone)?1:0) == 1", true),
        ("self.list.all(l, l.n > 0)", true),
        ("self.list.exists(l, l.n == 3)", false),
        ("self.list.exists_one(l, l.n == 2)", false),
        ("self.list.exists_one(l, l.n == 1)", true),
        ("self.list.filter(l, l.n == 2).size() <= 1", false),
        ("self.list.all(a, self.list.exists(b, a.n == b.n))", true),
        ("size(self.list) == 3 && self.list[0].n == 1", true),
        ("self.map.all(key, key.split('/')[0].size() < 2)", true),
        ("!('*' in self.words && self.words.size() > 1)", false),
        ("self.name in ['b', 'c']", false),
        ("self.name.matches(r\"\"\"^[a-z]\\.?$\"\"\")", true),
        ("self.name.matches('^\\\\w$')", true),
        ("self.name.startsWith('a') && self.name.endsWith('a')", true),
        ("'*.x'.substring(2) == 'x' && '*.x'.contains('*')", true),
        ("isIP('192.0.2.1') && isIP('::1') && !isIP('a.b')", true),
        ("duration('1m') > duration('59s500ms')", true),
        (
            "!format.dns1123Subdomain().validate('a.b').hasValue()",
            true,
        ),
        ("format.dns1123Subdomain().validate('A').hasValue()", true),
        // One side decides although the other looks at what is not there.
        ("true || self.gone == 1", true),
        ("self.gone == 1 || true", true),
        ("self.gone == 1 && false", false),
    ] {
        let parsed = Rule::parse(rule).unwrap_or_else(|error| panic!("{rule}: {error}"));
        let holds = parsed.holds(&value);
        assert_eq!(holds.ok(), Some(expected), "{rule}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_an_error_and_no_panic() {
    let value = cel_value(&json!({"name": "a", "list": []})).expect("a value");
    for rule in [
        "self.gone == 1",
        "self.list[0] == 1",
        "self.name < 3",
        "self.name.all(x, true)",
        "self.name.frob()",
        "other == 1",
        "self.name",
    ] {
        let parsed = Rule::parse(rule).unwrap_or_else(|error| panic!("{rule}: {error}"));
        assert!(parsed.holds(&value).is_err(), "{rule}");
    }
}

#[test]
fn what_is_no_expression_is_refused() {
    for text in ["", "a ==", "(a", "a b", "'a", "#"] {
        assert!(Rule::parse(text).is_err(), "{text}");
    }
}
