//! Conditions out of problems.

use crate::model::Problem;
use crate::status::{Condition, ConditionStatus, ConditionType, Reason};

/// The ResolvedRefs condition: the first problem gives the reason, all give the message.
pub(crate) fn resolved(unresolved: &[Problem]) -> Condition {
    let Some(first) = unresolved.first() else {
        let (status, reason) = (ConditionStatus::True, Reason::ResolvedRefs);
        return Condition::new(ConditionType::ResolvedRefs, status, reason, "");
    };
    let mut messages: Vec<&str> = unresolved.iter().map(|it| it.message.as_str()).collect();
    messages.dedup();
    let message = messages.join("; ");
    Condition::new(
        ConditionType::ResolvedRefs,
        ConditionStatus::False,
        first.reason,
        message,
    )
}

/// The ResolvedRefs condition with a remark where nothing is wrong.
pub(crate) fn resolved_with(unresolved: &[Problem], remark: String) -> Condition {
    let mut condition = resolved(unresolved);
    if unresolved.is_empty() {
        condition.message = remark;
    }
    condition
}

/// A condition that does not hold.
pub(crate) fn refuse(kind: ConditionType, problem: &Problem) -> Condition {
    Condition::new(
        kind,
        ConditionStatus::False,
        problem.reason,
        &problem.message,
    )
}
