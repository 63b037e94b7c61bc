//! `sanmon explain`: what happens to a request, and why.
//!
//! With `--config` a folder is translated and compiled here; without it the running agent is asked, which explains by
//! the program that it serves with.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use gateway_control::{Folder, Published, Severity};
use gateway_l7::Explainer;
use gateway_translate::Settings;
use serde_json::Value;

use crate::admin_client::{fetch, fetch_text};
use crate::cli::ExplainArguments;
use crate::explanation::{Asked, Detail, draw};
use crate::output::{self, Format};

pub(crate) fn run(arguments: &ExplainArguments) -> anyhow::Result<ExitCode> {
    let asked = Asked {
        method: arguments.method.clone(),
        url: arguments.url.clone(),
        headers: arguments.headers.clone(),
        server_name: arguments.server_name.clone(),
        detail: if arguments.all {
            Detail::Full
        } else {
            Detail::Brief
        },
    };
    // A question that is none is said here, whoever would answer it.
    let question = asked.question()?;
    match (&arguments.config, arguments.output) {
        (Some(folder), format) => {
            let explanation = of_folder(folder)?.explain(&question);
            output::show(format, &explanation, |it| draw(&asked, it))?;
        }
        (None, Format::Table) => output::print(&fetch_text(arguments.admin, &asked.path())?)?,
        (None, format @ (Format::Json | Format::Yaml)) => {
            let page: Value = fetch(arguments.admin, &asked.path())?;
            output::show(format, &page, Value::to_string)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Compiles what a folder says.
fn of_folder(folder: &Path) -> anyhow::Result<Explainer> {
    let mut source =
        Folder::open(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let content = source.load(&BTreeSet::new());
    let published = Published::new(&content, &Settings::default());
    let problems = published.problems.iter();
    let errors = problems.filter(|it| it.severity == Severity::Error).count();
    if errors > 0 {
        let folder = folder.display();
        output::note(&format!(
            "{errors} errors in the files; `sanmon check {folder}` names them"
        ));
    }
    Explainer::compile(Arc::clone(&published.snapshot)).context("cannot set up TLS")
}
