//! Decides what setup does. Pure: facts in, plan out; it looks at nothing and runs nothing.

use std::fmt;
use std::path::PathBuf;

use super::LLVM;

/// The oldest compiler that builds this workspace (`rust-version` in Cargo.toml), as (major, minor).
const OLDEST_RUST: (u32, u32) = (1, 95);
/// Debian's compiler with the sources of `core`.
pub(super) const COMPILER_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src"];
/// What building bpf-linker links against.
pub(super) const LINKER_PACKAGES: &[&str] = &["llvm-22-dev"];

/// Whose compiler builds the eBPF object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// `rustup run nightly`.
    Nightly,
    /// `/usr/bin/rustc` of the distribution, with `RUSTC_BOOTSTRAP=1`.
    System,
}

/// A compiler that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Compiler {
    pub(super) release: (u32, u32),
    pub(super) llvm: u32,
    pub(super) core_sources: CoreSources,
}

/// Whether `core` can be built from source with a compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CoreSources {
    Present,
    Absent,
}

/// A bpf-linker that was found and runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Linker {
    pub(super) path: PathBuf,
    pub(super) llvm: u32,
}

/// What can install packages here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Installer {
    /// apt, as root; with those of the packages above that are installed already.
    Apt { installed: Vec<String> },
    /// The same without root: packages are for a person to install, the rest is not.
    AptWithoutRoot { installed: Vec<String> },
    /// Another system.
    None,
}

/// Everything that the decision depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) nightly: Option<Compiler>,
    pub(super) system: Option<Compiler>,
    /// In the order of preference.
    pub(super) linkers: Vec<Linker>,
    pub(super) installer: Installer,
}

/// One thing that setup does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Packages(Vec<&'static str>),
    Linker,
}

/// What setup decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    Ready(Tools),
    Install(Vec<Action>),
    /// Nothing that setup may do helps; the text names what is missing and how to get it.
    Missing(String),
}

/// What the eBPF build uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tools {
    pub(crate) flavor: Flavor,
    pub(crate) linker: PathBuf,
}

impl fmt::Display for Tools {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compiler = match self.flavor {
            Flavor::Nightly => "rustup's nightly",
            Flavor::System => "/usr/bin/rustc",
        };
        write!(formatter, "{compiler} with {}", self.linker.display())
    }
}

/// Decides: use what is there, install what is missing, or say what a person has to install.
pub(super) fn plan(facts: &Facts) -> Plan {
    if let Some(tools) = ready(facts) {
        return Plan::Ready(tools);
    }
    match &facts.installer {
        Installer::Apt { installed } => Plan::Install(installation(facts, installed)),
        Installer::AptWithoutRoot { installed } => {
            let actions = installation(facts, installed);
            let packages = actions.iter().find_map(|action| match action {
                Action::Packages(packages) => Some(packages.join(" ")),
                Action::Linker => None,
            });
            match packages {
                None => Plan::Install(actions),
                Some(packages) => Plan::Missing(format!(
                    "{}\nOn this system:\n    sudo apt-get install --no-install-recommends {packages}\n\
                     and then `cargo xtask setup` does the rest.\n{}",
                    missing(facts),
                    by_hand()
                )),
            }
        }
        Installer::None => Plan::Missing(format!("{}\n{}", missing(facts), by_hand())),
    }
}

/// The commands that make any system ready.
pub(super) fn by_hand() -> &'static str {
    "On any system:\n\
     \x20   rustup toolchain install nightly --profile minimal --component rust-src\n\
     \x20   cargo binstall bpf-linker   # or an archive of https://github.com/aya-rs/bpf-linker/releases on PATH\n\
     bpf-linker must be built with an LLVM at least as new as that of the compiler (`rustc -vV` shows it)."
}

fn ready(facts: &Facts) -> Option<Tools> {
    compilers(facts)
        .filter(|(_, compiler)| compiler.core_sources == CoreSources::Present)
        .find_map(|(flavor, compiler)| {
            let linker = fitting(&facts.linkers, compiler)?;
            Some(Tools {
                flavor,
                linker: linker.path.clone(),
            })
        })
}

/// The compilers that are new enough, the preferred one first.
fn compilers(facts: &Facts) -> impl Iterator<Item = (Flavor, &Compiler)> {
    let nightly = facts
        .nightly
        .iter()
        .map(|compiler| (Flavor::Nightly, compiler));
    let system = facts
        .system
        .iter()
        .map(|compiler| (Flavor::System, compiler));
    nightly
        .chain(system)
        .filter(|(_, compiler)| compiler.release >= OLDEST_RUST)
}

/// LLVM reads bitcode of its own version and of older ones.
fn fitting<'a>(linkers: &'a [Linker], compiler: &Compiler) -> Option<&'a Linker> {
    linkers.iter().find(|linker| linker.llvm >= compiler.llvm)
}

fn installation(facts: &Facts, installed: &[String]) -> Vec<Action> {
    // The linker that setup can build reads LLVM 22: a compiler beyond that does not become ready here.
    let compiler = compilers(facts)
        .map(|(_, compiler)| compiler)
        .find(|compiler| compiler.core_sources == CoreSources::Present && compiler.llvm <= LLVM);
    let linker = facts.linkers.iter().find(|linker| linker.llvm >= LLVM);
    let mut wanted: Vec<&'static str> = Vec::new();
    if compiler.is_none() {
        wanted.extend(COMPILER_PACKAGES);
    }
    if linker.is_none() {
        wanted.extend(LINKER_PACKAGES);
    }
    wanted.retain(|package| !installed.iter().any(|name| name == package));

    let mut actions = Vec::new();
    if !wanted.is_empty() {
        actions.push(Action::Packages(wanted));
    }
    if linker.is_none() {
        actions.push(Action::Linker);
    }
    actions
}

fn missing(facts: &Facts) -> String {
    let described = |name: &str, compiler: &Option<Compiler>| match compiler {
        None => format!("{name}: not installed"),
        Some(compiler) if compiler.release < OLDEST_RUST => format!(
            "{name}: {}.{} is older than {}.{}",
            compiler.release.0, compiler.release.1, OLDEST_RUST.0, OLDEST_RUST.1
        ),
        Some(compiler) => match compiler.core_sources {
            CoreSources::Absent => format!("{name}: without rust-src"),
            CoreSources::Present => format!(
                "{name}: present, but no bpf-linker that reads its LLVM {}",
                compiler.llvm
            ),
        },
    };
    let linkers = if facts.linkers.is_empty() {
        "bpf-linker: not installed".to_owned()
    } else {
        let found: Vec<String> = facts
            .linkers
            .iter()
            .map(|linker| format!("{} (LLVM {})", linker.path.display(), linker.llvm))
            .collect();
        format!("bpf-linker: {}", found.join(", "))
    };
    format!(
        "the eBPF build needs a compiler and a linker that are not here:\n  {}\n  {}\n  {linkers}",
        described("rustup's nightly", &facts.nightly),
        described("/usr/bin/rustc", &facts.system)
    )
}

#[cfg(test)]
mod tests;
