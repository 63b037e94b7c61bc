//! The decision of setup for each kind of machine.

use super::*;

#[test]
fn a_nightly_with_sources_and_a_fitting_linker_is_used_before_the_system() {
    let facts = Facts {
        nightly: Some(compiler(97, 22)),
        system: Some(compiler(96, 22)),
        linkers: vec![linker("/p/bpf-linker", 22)],
        ..bare()
    };

    assert_eq!(plan(&facts), ready_with(Flavor::Nightly, "/p/bpf-linker"));
}

#[test]
fn a_nightly_without_sources_gives_way_to_the_system() {
    let facts = Facts {
        nightly: Some(Compiler {
            core_sources: CoreSources::Absent,
            ..compiler(97, 22)
        }),
        system: Some(compiler(96, 22)),
        linkers: vec![linker("/p/bpf-linker", 22)],
        ..bare()
    };

    assert_eq!(plan(&facts), ready_with(Flavor::System, "/p/bpf-linker"));
}

#[test]
fn a_linker_older_than_the_compiler_is_not_used() {
    let facts = Facts {
        nightly: Some(compiler(99, 23)),
        linkers: vec![linker("/old", 22), linker("/new", 23)],
        ..bare()
    };

    assert_eq!(plan(&facts), ready_with(Flavor::Nightly, "/new"));
}

#[test]
fn debian_as_root_installs_packages_and_then_the_linker() {
    let facts = Facts {
        installer: apt(&[]),
        ..bare()
    };

    assert_eq!(
        plan(&facts),
        Plan::Install(vec![
            Action::Packages(vec![
                "rustc-web",
                "cargo-web",
                "rust-web-src",
                "llvm-22-dev"
            ]),
            Action::Linker,
        ])
    );
}

#[test]
fn debian_installs_only_what_is_missing() {
    let facts = Facts {
        system: Some(compiler(96, 22)),
        installer: apt(&["rustc-web", "cargo-web", "rust-web-src", "llvm-22-dev"]),
        ..bare()
    };

    assert_eq!(plan(&facts), Plan::Install(vec![Action::Linker]));
}

#[test]
fn a_nightly_newer_than_the_linker_that_setup_can_build_brings_in_debians_compiler() {
    let facts = Facts {
        nightly: Some(compiler(99, 23)),
        linkers: vec![linker("/p/bpf-linker", 22)],
        installer: apt(&[]),
        ..bare()
    };

    assert_eq!(
        plan(&facts),
        Plan::Install(vec![Action::Packages(COMPILER_PACKAGES.to_vec())])
    );
}

#[test]
fn debian_replaces_its_older_rustc() {
    let facts = Facts {
        system: Some(compiler(63, 14)),
        linkers: vec![linker("/p/bpf-linker", 22)],
        installer: apt(&[]),
        ..bare()
    };

    assert_eq!(
        plan(&facts),
        Plan::Install(vec![Action::Packages(COMPILER_PACKAGES.to_vec())])
    );
}

#[test]
fn debian_without_root_names_the_packages_that_are_missing() {
    let facts = Facts {
        installer: Installer::AptWithoutRoot {
            installed: vec!["llvm-22-dev".to_owned()],
        },
        ..bare()
    };

    let text = missing_text(&facts);

    let command = "sudo apt-get install --no-install-recommends rustc-web cargo-web rust-web-src\n";
    assert!(text.contains(command), "{text}");
}

#[test]
fn debian_without_root_builds_the_linker_when_the_packages_are_there() {
    let facts = Facts {
        system: Some(compiler(96, 22)),
        installer: Installer::AptWithoutRoot {
            installed: vec!["llvm-22-dev".to_owned()],
        },
        ..bare()
    };

    assert_eq!(plan(&facts), Plan::Install(vec![Action::Linker]));
}

#[test]
fn another_system_names_each_missing_thing_and_the_commands() {
    let facts = Facts {
        nightly: Some(Compiler {
            core_sources: CoreSources::Absent,
            ..compiler(97, 22)
        }),
        system: Some(compiler(80, 18)),
        ..bare()
    };

    let text = missing_text(&facts);

    for part in [
        "rustup's nightly: without rust-src",
        "/usr/bin/rustc: 1.80 is older than 1.95",
        "bpf-linker: not installed",
        "rustup toolchain install nightly --profile minimal --component rust-src",
        "cargo binstall bpf-linker",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn another_system_names_the_llvm_that_the_linker_lacks() {
    let facts = Facts {
        nightly: Some(compiler(99, 23)),
        linkers: vec![linker("/p/bpf-linker", 22)],
        ..bare()
    };

    let text = missing_text(&facts);

    assert!(
        text.contains("no bpf-linker that reads its LLVM 23"),
        "{text}"
    );
    assert!(text.contains("/p/bpf-linker (LLVM 22)"), "{text}");
}

fn bare() -> Facts {
    Facts {
        nightly: None,
        system: None,
        linkers: Vec::new(),
        installer: Installer::None,
    }
}

fn compiler(minor: u32, llvm: u32) -> Compiler {
    Compiler {
        release: (1, minor),
        llvm,
        core_sources: CoreSources::Present,
    }
}

fn linker(path: &str, llvm: u32) -> Linker {
    Linker {
        path: PathBuf::from(path),
        llvm,
    }
}

fn apt(installed: &[&str]) -> Installer {
    Installer::Apt {
        installed: installed.iter().map(|&name| name.to_owned()).collect(),
    }
}

fn ready_with(flavor: Flavor, linker: &str) -> Plan {
    Plan::Ready(Tools {
        flavor,
        linker: PathBuf::from(linker),
    })
}

fn missing_text(facts: &Facts) -> String {
    match plan(facts) {
        Plan::Missing(text) => text,
        other @ (Plan::Ready(_) | Plan::Install(_)) => panic!("not missing: {other:?}"),
    }
}
