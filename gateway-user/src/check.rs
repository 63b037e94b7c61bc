//! `sanmon check`: what would become of the objects in a folder.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context;
use gateway_control::{Folder, Problem, Published, Severity};
use gateway_translate::{
    Condition, ConditionStatus, ConditionType, ObjectStatus, Settings, Statuses, Warning,
};
use serde::Serialize;

use crate::cli::CheckArguments;
use crate::{gates, output};

/// The result, as `-o json` prints it.
#[derive(Serialize)]
struct Report {
    /// Nothing is at fault.
    ok: bool,
    /// What is wrong with the files.
    problems: Vec<Problem>,
    /// What would be off on this machine, with these rights.
    notes: Vec<String>,
    /// What would become of the objects.
    objects: Statuses,
    /// What would be served as configured, and is hardly meant so.
    warnings: Vec<Warning>,
}

pub(crate) fn run(arguments: &CheckArguments) -> anyhow::Result<ExitCode> {
    let folder = &arguments.folder;
    let mut source =
        Folder::open(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let content = source.load(&BTreeSet::new());
    let published = Published::new(&content, &Settings::default());
    let ok = published.problems.iter().all(is_harmless)
        && published
            .statuses
            .iter()
            .flat_map(ObjectStatus::all_conditions)
            .all(is_good);
    let missing = gates::missing_rights().filter(|_| published.has_pools);
    let report = Report {
        ok,
        notes: missing
            .into_iter()
            .map(|why| format!("gates 1 and 2 would be off here: {why}"))
            .collect(),
        problems: published.problems,
        objects: published.statuses,
        warnings: [published.certificates, published.warnings].concat(),
    };
    output::show(arguments.output, &report, draw)?;
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn is_harmless(problem: &Problem) -> bool {
    match problem.severity {
        Severity::Error => false,
        Severity::Ignored => true,
    }
}

/// Tells whether a condition is as it should be. Programmed is a promise here, and not what is checked.
fn is_good(condition: &Condition) -> bool {
    match condition.kind {
        ConditionType::Accepted | ConditionType::ResolvedRefs => {
            condition.status == ConditionStatus::True
        }
        ConditionType::Conflicted | ConditionType::PartiallyInvalid => {
            condition.status != ConditionStatus::True
        }
        ConditionType::Programmed
        | ConditionType::OverlappingTlsConfig
        | ConditionType::InsecureFrontendValidationMode
        | ConditionType::SupportedVersion => true,
    }
}

fn draw(report: &Report) -> String {
    let headings = [
        "KIND",
        "NAMESPACE",
        "NAME",
        "WHERE",
        "CONDITION",
        "STATUS",
        "REASON",
        "MESSAGE",
    ];
    let mut text = if report.objects.is_empty() {
        "no object that belongs to sanmon".to_owned()
    } else {
        output::table(&headings, report.objects.iter().flat_map(rows))
    };
    for problem in &report.problems {
        text.push_str(&format!(
            "\n{}: {problem}",
            match problem.severity {
                Severity::Error => "error",
                Severity::Ignored => "ignored",
            }
        ));
    }
    for warning in &report.warnings {
        text.push_str(&format!(
            "\nwarning: {}: {}",
            warning.object, warning.message
        ));
    }
    for note in &report.notes {
        text.push_str(&format!("\nnote: {note}"));
    }
    text
}

/// One row for each condition of an object, of its listeners, of its parents and of its ancestors.
fn rows(status: &ObjectStatus) -> Vec<Vec<String>> {
    let name = &status.object.name;
    let row = |place: &str, condition: &Condition| {
        vec![
            status.object.kind.to_string(),
            name.namespace.to_string(),
            name.name.to_string(),
            place.to_owned(),
            condition.kind.to_string(),
            condition.status.to_string(),
            condition.reason.to_string(),
            condition.message.clone(),
        ]
    };
    let own = status.conditions.iter().map(|it| row("", it));
    let listeners = status.listeners.iter().flat_map(|listener| {
        let place = format!("listener {}", listener.name);
        let rows = listener.conditions.iter().map(|it| row(&place, it));
        rows.collect::<Vec<_>>()
    });
    let parents = status.parents.iter().flat_map(|parent| {
        let section = parent.parent_ref.section_name.iter();
        let section: String = section.map(|name| format!("/{name}")).collect();
        let place = format!("at {}{section}", parent.parent_ref.name);
        let rows = parent.conditions.iter().map(|it| row(&place, it));
        rows.collect::<Vec<_>>()
    });
    let ancestors = status.ancestors.iter().flat_map(|ancestor| {
        let place = format!("at {}", ancestor.ancestor_ref.name);
        let rows = ancestor.conditions.iter().map(|it| row(&place, it));
        rows.collect::<Vec<_>>()
    });
    own.chain(listeners)
        .chain(parents)
        .chain(ancestors)
        .collect()
}
