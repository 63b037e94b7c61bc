//! `sanmon get`: what the running agent serves, as tables.

mod view;

use std::process::ExitCode;

use serde_json::Value;

use self::view::{Conditions, SnapshotPage};
use crate::admin_client::fetch;
use crate::cli::{GetArguments, Subject};
use crate::output::{self, table};

pub(crate) fn run(arguments: &GetArguments) -> anyhow::Result<ExitCode> {
    let conditions = || fetch::<Conditions>(arguments.admin, "/conditions");
    let snapshot = || fetch::<SnapshotPage>(arguments.admin, "/snapshot");
    match arguments.subject {
        Subject::Gateways => {
            let objects = conditions()?.objects;
            show(arguments, objects, |it| it["kind"] == "Gateway", gateways)
        }
        Subject::Routes => {
            let objects = conditions()?.objects;
            let is_route = |it: &Value| text(it, "/kind").ends_with("Route");
            show(arguments, objects, is_route, routes)
        }
        Subject::Owners => show(arguments, snapshot()?.owners, |_| true, owners),
        Subject::Neighbors => show(arguments, snapshot()?.neighbors, |_| true, neighbors),
        Subject::Vips => show(arguments, snapshot()?.owners, |_| true, vips),
        Subject::Services => show(arguments, snapshot()?.services(), |_| true, services),
        Subject::Endpoints => show(arguments, snapshot()?.endpoints(), |_| true, endpoints),
    }
}

fn show(
    arguments: &GetArguments,
    mut values: Vec<Value>,
    wanted: impl Fn(&Value) -> bool,
    draw: impl FnOnce(&[Value]) -> String,
) -> anyhow::Result<ExitCode> {
    values.retain(wanted);
    output::show(arguments.output, &values, |it| draw(it))?;
    Ok(ExitCode::SUCCESS)
}

fn gateways(objects: &[Value]) -> String {
    let headings = [
        "NAMESPACE",
        "NAME",
        "ADDRESSES",
        "ACCEPTED",
        "PROGRAMMED",
        "LISTENERS (ROUTES)",
    ];
    let rows = objects.iter().map(|it| {
        let listeners = list(it, "/listeners").map(|listener| {
            let routes = text(listener, "/attachedRoutes");
            format!("{} ({routes})", text(listener, "/name"))
        });
        vec![
            text(it, "/namespace"),
            text(it, "/name"),
            join(list(it, "/addresses").map(plain)),
            condition(it, "Accepted"),
            condition(it, "Programmed"),
            join(listeners),
        ]
    });
    table(&headings, rows)
}

fn routes(objects: &[Value]) -> String {
    let headings = [
        "KIND",
        "NAMESPACE",
        "NAME",
        "PARENT",
        "ACCEPTED",
        "RESOLVEDREFS",
    ];
    let rows = objects.iter().flat_map(|it| {
        list(it, "/parents").map(|parent| {
            let section = text(parent, "/parentRef/sectionName");
            let separator = if section.is_empty() { "" } else { "/" };
            let gateway = text(parent, "/parentRef/name");
            vec![
                text(it, "/kind"),
                text(it, "/namespace"),
                text(it, "/name"),
                format!("{gateway}{separator}{section}"),
                condition(parent, "Accepted"),
                condition(parent, "ResolvedRefs"),
            ]
        })
    });
    table(&headings, rows)
}

fn vips(owners: &[Value]) -> String {
    let headings = [
        "ADDRESS",
        "GATEWAY",
        "POOL",
        "NODE",
        "INTERFACES",
        "WITHHELD",
    ];
    let rows = owners.iter().map(|it| {
        vec![
            text(it, "/address"),
            text(it, "/gateway"),
            text(it, "/pool"),
            text(it, "/node"),
            join(list(it, "/interfaces").map(plain)),
            text(it, "/withheld"),
        ]
    });
    table(&headings, rows)
}

fn owners(owners: &[Value]) -> String {
    let rows = owners.iter().map(|it| {
        let since = it["since_ms"].as_u64().map(age).unwrap_or_default();
        let mut why = match text(it, "/withheld") {
            reason if !reason.is_empty() => reason,
            _ => text(it, "/why"),
        };
        let conflict = text(it, "/conflict");
        if !conflict.is_empty() {
            why.push_str(&format!("; claimed by {conflict}"));
        }
        vec![text(it, "/address"), text(it, "/node"), since, why]
    });
    table(&["ADDRESS", "NODE", "SINCE", "WHY"], rows)
}

fn neighbors(neighbors: &[Value]) -> String {
    let rows = neighbors.iter().map(|it| {
        let heard = it["heard_ms"].as_u64().map(ago).unwrap_or_default();
        let round_trip = it["round_trip_us"].as_u64();
        vec![
            text(it, "/node"),
            text(it, "/address"),
            heard,
            round_trip.map(|it| format!("{it} µs")).unwrap_or_default(),
            text(it, "/generation"),
        ]
    });
    let headings = ["NODE", "ADDRESS", "HEARD", "ROUND TRIP", "GENERATION"];
    table(&headings, rows)
}

/// How long a moment is ago, in milliseconds.
fn ago(ms: u64) -> String {
    let moment = std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms);
    let age = moment.elapsed().unwrap_or_default();
    format!("{} ms ago", age.as_millis())
}

/// How long a moment is ago, in seconds.
fn age(since_ms: u64) -> String {
    let since = std::time::UNIX_EPOCH + std::time::Duration::from_millis(since_ms);
    let age = since.elapsed().unwrap_or_default();
    format!("{} s", age.as_secs())
}

fn services(services: &[Value]) -> String {
    let headings = ["VIP", "PORT", "PROTOCOL", "LISTENER", "TARGET"];
    let rows = services.iter().map(|it| {
        let endpoints = list(it, "/target/Endpoints/endpoints").count();
        let target = match it.pointer("/target/Endpoints") {
            Some(_) => format!("endpoints ({endpoints})"),
            None => "proxy".to_owned(),
        };
        let gateway = format!(
            "{}/{}/{}",
            text(it, "/listener/gateway/namespace"),
            text(it, "/listener/gateway/name"),
            text(it, "/listener/section")
        );
        vec![
            text(it, "/vip"),
            text(it, "/port"),
            text(it, "/protocol").to_uppercase(),
            gateway,
            target,
        ]
    });
    table(&headings, rows)
}

fn endpoints(endpoints: &[Value]) -> String {
    let headings = ["ADDRESS", "NODE", "BACKEND"];
    let rows = endpoints.iter().map(|it| {
        vec![
            text(it, "/address"),
            text(it, "/node"),
            text(it, "/backend"),
        ]
    });
    table(&headings, rows)
}

/// The status of a condition, with its reason where it does not hold.
fn condition(object: &Value, kind: &str) -> String {
    let mut conditions = list(object, "/conditions");
    let Some(condition) = conditions.find(|it| it["type"] == kind) else {
        return "-".to_owned();
    };
    let status = text(condition, "/status");
    match status.as_str() {
        "True" => status,
        _ => format!("{status} ({})", text(condition, "/reason")),
    }
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.into_iter().flatten()
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).map(plain).unwrap_or_default()
}

/// A value without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
