//! Everything that goes to standard output, and the last words of a command that failed.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// How a command's result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Yaml,
}

/// Prints a value in the format that was asked for; the table is made only if it is wanted.
pub(crate) fn show<T: Serialize>(
    format: Format,
    value: &T,
    table: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    match format {
        Format::Table => print(&table(value)),
        Format::Json => print(&serde_json::to_string_pretty(value)?),
        Format::Yaml => print(&serde_saphyr::to_string(value)?),
    }
}

/// Prints a text and ends its last line. A reader that has gone away (`| head`) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let written = write!(stdout, "{text}{end}").and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Says something beside a command's result.
pub(crate) fn note(text: &str) {
    // With standard error gone there is nobody left to tell.
    drop(writeln!(io::stderr(), "sanmon: {text}"));
}

/// Says why a command failed, with every cause.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    note(&format!("{error:#}"));
    ExitCode::FAILURE
}

/// Draws rows under headings, in columns without lines, as kubectl does.
pub(crate) fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(headings.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}
