//! Finds a Go that is new enough, or unpacks Debian's packages of it into the cache.
//!
//! Nothing is installed on the machine: packages come through apt, with lists of its own, and stay in the cache.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::run;
use crate::workspace::Workspace;

/// The release of Debian that has every Go first.
const SUITE: &str = "sid";
const MIRROR: &str = "http://deb.debian.org/debian";
/// Apt checks what it downloads against these keys.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A Go toolchain with caches that belong to this project.
#[derive(Debug)]
pub(super) struct Go {
    program: PathBuf,
    cache: PathBuf,
    oldest: String,
}

impl Go {
    /// Finds Go of at least a version: on PATH, in the cache, or at Debian.
    pub(super) fn find(workspace: &Workspace, oldest: &str) -> anyhow::Result<Self> {
        let cache = workspace.cache().join("go");
        let root = cache.join(format!("debian-{oldest}"));
        let unpacked = root.join(format!("usr/lib/go-{oldest}/bin/go"));
        let on_path = PathBuf::from("go");
        for program in [&on_path, &unpacked] {
            if is_new_enough(program, oldest) {
                return Ok(Self {
                    program: program.clone(),
                    cache,
                    oldest: oldest.to_owned(),
                });
            }
        }
        if !offers_debian_packages() {
            bail!(
                "the test cluster is built with Go {oldest} or newer; this machine has no such `go` on PATH, and no apt \
                 with Debian's keys to get it: see https://go.dev/dl/"
            );
        }
        unpack(&cache, &root, oldest)?;
        if !is_new_enough(&unpacked, oldest) {
            bail!("Debian's Go does not run: {}", unpacked.display());
        }
        Ok(Self {
            program: unpacked,
            cache,
            oldest: oldest.to_owned(),
        })
    }

    /// The oldest version that the caller would have taken.
    pub(super) fn oldest(&self) -> &str {
        &self.oldest
    }

    /// Downloads a module and says where its files are.
    pub(super) fn download(&self, module: &str, version: &str) -> anyhow::Result<PathBuf> {
        // Any folder outside of a module.
        fs::create_dir_all(&self.cache)
            .with_context(|| format!("cannot make {}", self.cache.display()))?;
        let mut command = self.command(&self.cache);
        let wanted = format!("{module}@v{version}");
        let about = run::quietly(command.args(["mod", "download", "-json", &wanted]))?;
        let folder = about
            .lines()
            .find_map(|line| line.trim().strip_prefix("\"Dir\": \""))
            .and_then(|rest| rest.split('"').next());
        folder
            .map(PathBuf::from)
            .with_context(|| format!("`go mod download` does not say where {wanted} is"))
    }

    /// A `go` command that works in a folder, builds static programs and downloads nothing but modules.
    pub(super) fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(folder)
            .env_remove("GOROOT")
            .env("GOTOOLCHAIN", "local")
            .env("GOWORK", "off")
            // The module files are written from the versions each time; what they leave open is filled in.
            .env("GOFLAGS", "-mod=mod")
            .env("CGO_ENABLED", "0")
            .env("GOMODCACHE", self.cache.join("modules"))
            .env("GOCACHE", self.cache.join("build"));
        command
    }
}

fn is_new_enough(program: &Path, oldest: &str) -> bool {
    let mut command = Command::new(program);
    command
        .env_remove("GOROOT")
        // A newer one must not be downloaded just to answer.
        .env("GOTOOLCHAIN", "local")
        .args(["env", "GOVERSION"]);
    run::answer(&mut command).is_some_and(|said| release(&said) >= release(oldest))
}

/// `go1.27.3` or `1.27` as numbers that can be compared; none for anything else, such as a development version.
fn release(version: &str) -> Option<(u32, u32)> {
    let version = version.trim();
    let mut numbers = version.strip_prefix("go").unwrap_or(version).split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers
        .next()?
        .split(|character: char| !character.is_ascii_digit());
    Some((major, minor.take(1).next()?.parse().ok()?))
}

fn offers_debian_packages() -> bool {
    let programs = env::var_os("PATH").unwrap_or_default();
    let here = |program: &str| env::split_paths(&programs).any(|path| path.join(program).is_file());
    here("apt-get") && here("dpkg") && Path::new(KEYRING).is_file()
}

fn unpack(cache: &Path, root: &Path, version: &str) -> anyhow::Result<()> {
    println!(
        "cluster: unpacking Debian's Go {version} into {}",
        root.display()
    );
    let apt = cache.join("apt");
    for folder in ["lists/partial", "cache/archives/partial", "packages"] {
        let folder = apt.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let sources = apt.join("sources.list");
    let source = format!("deb [signed-by={KEYRING}] {MIRROR} {SUITE} main\n");
    fs::write(&sources, source).with_context(|| format!("cannot write {}", sources.display()))?;
    run::quietly(apt_get(&apt, &sources).arg("update"))?;
    let packages = apt.join("packages");
    run::quietly(
        apt_get(&apt, &sources)
            .current_dir(&packages)
            .arg("download")
            .args([
                format!("golang-{version}-go"),
                format!("golang-{version}-src"),
            ]),
    )?;
    // Renamed at the end, so that half an unpacking is never taken for a toolchain.
    let partial = root.with_extension("partial");
    for package in fs::read_dir(&packages)? {
        run::quietly(
            Command::new("dpkg")
                .arg("-x")
                .arg(package?.path())
                .arg(&partial),
        )?;
    }
    fs::rename(&partial, root).with_context(|| format!("cannot make {}", root.display()))?;
    fs::remove_dir_all(&apt).with_context(|| format!("cannot remove {}", apt.display()))
}

/// apt-get with lists and packages in the cache, deaf to what the machine's own apt is set to.
fn apt_get(apt: &Path, sources: &Path) -> Command {
    let mut command = Command::new("apt-get");
    let option = |name: &str, value: &Path| format!("{name}={}", value.display());
    command
        .arg("-o")
        .arg(option("Dir::Etc::sourcelist", sources))
        .args(["-o", "Dir::Etc::sourceparts=-"])
        .arg("-o")
        .arg(option("Dir::State::lists", &apt.join("lists")))
        .arg("-o")
        .arg(option("Dir::Cache", &apt.join("cache")))
        // Apt's own user may not write below a home directory.
        .args(["-o", "APT::Sandbox::User=root"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_compare_as_numbers() {
        assert!(release("go1.27.3") >= release("1.27"));
        assert!(release("go1.30rc1") >= release("1.27"));
        assert!(release("go1.26.8\n") < release("1.27"));
        assert!(release("go1.9") < release("1.27"));
    }

    #[test]
    fn a_development_version_is_not_taken_for_a_new_one() {
        assert!(release("devel go1.28-abcdef") < release("1.27"));
    }
}
