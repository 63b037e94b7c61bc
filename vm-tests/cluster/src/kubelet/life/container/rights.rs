//! The rights of a container's process: the capabilities that its security context leaves, and no way to more.
//!
//! A container without `capabilities` keeps all of them, other than in a real cluster.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use k8s_openapi::api::core::v1::SecurityContext;

/// Changes rights and becomes the program that it is given. Part of util-linux, and so of every pod's root directory.
const SETPRIV: &str = "setpriv";

/// The command that starts a program with the rights of its container; arguments for the program may follow.
pub(super) fn command(
    program: &Path,
    security: Option<&SecurityContext>,
) -> anyhow::Result<Command> {
    let Some(security) = security.filter(|it| it.privileged != Some(true)) else {
        return Ok(Command::new(program));
    };
    ensure!(
        security.run_as_user.is_none_or(|user| user == 0),
        "no other user than root is known here"
    );
    let options = options(security);
    if options.is_empty() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new(SETPRIV);
    command.args(options).arg(program);
    Ok(command)
}

fn options(security: &SecurityContext) -> Vec<String> {
    let mut options = Vec::new();
    if let Some(capabilities) = &security.capabilities {
        let dropped = names(&capabilities.drop).map(|name| format!("-{name}"));
        let added = names(&capabilities.add).map(|name| format!("+{name}"));
        let changes: Vec<String> = dropped.chain(added).collect();
        options.push(format!("--bounding-set={}", changes.join(",")));
    }
    if security.allow_privilege_escalation == Some(false) {
        options.push("--no-new-privs".to_owned());
    }
    options
}

/// Capabilities as `setpriv` writes them.
fn names(names: &Option<Vec<String>>) -> impl Iterator<Item = String> {
    names.iter().flatten().map(|name| name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Capabilities;

    use super::*;

    #[test]
    fn what_is_added_is_left_of_what_is_dropped() {
        let security = SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                add: Some(vec!["BPF".to_owned(), "NET_ADMIN".to_owned()]),
            }),
            ..SecurityContext::default()
        };

        assert_eq!(
            options(&security),
            ["--bounding-set=-all,+bpf,+net_admin", "--no-new-privs"]
        );
    }
}
