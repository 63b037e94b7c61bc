//! Changes are seen, whichever way they are made.

use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// How long a change may take to be seen; the rescan is later, so it cannot be what saw it.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn a_written_file_is_seen() {
    let watched = Watched::new();
    watched.write("a.yaml", "one");
    watched.expect(&["one"]);
    watched.write("a.yaml", "two");
    watched.expect(&["two"]);
}

#[test]
fn a_file_in_a_new_directory_is_seen() {
    let watched = Watched::new();
    fs::create_dir(watched.path("sub")).expect("directory");
    watched.write("sub/a.yaml", "one");
    watched.expect(&["one"]);
}

#[test]
fn a_removed_file_is_seen() {
    let watched = Watched::new();
    watched.write("a.yaml", "one");
    watched.expect(&["one"]);
    fs::remove_file(watched.path("a.yaml")).expect("removed");
    watched.expect(&[]);
}

#[test]
fn a_file_that_vanishes_waits_for_its_successor() {
    let base = TempDir::new().expect("directory");
    let folder = Folder::open(base.path()).expect("folder");
    let (events, _signals) = channel();
    let mut watch = Watch::new(folder, events);
    let path = base.path().join("a.yaml");
    let gone = EventKind::Modify(ModifyKind::Name(RenameMode::From));
    let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
    assert!(!watch.take(Ok(Event::new(gone).add_path(path.clone()))));
    assert!(watch.unfinished.contains_key(&path));
    assert!(watch.take(Ok(Event::new(written).add_path(path))));
    assert!(watch.unfinished.is_empty());
}

#[test]
fn the_swap_of_a_mounted_config_map_is_seen() {
    let watched = Watched::new();
    fs::create_dir(watched.path("..1")).expect("directory");
    watched.write("..1/a.yaml", "one");
    symlink("..1", watched.path("..data")).expect("link");
    symlink("..data/a.yaml", watched.path("a.yaml")).expect("link");
    watched.expect(&["one"]);

    fs::create_dir(watched.path("..2")).expect("directory");
    watched.write("..2/a.yaml", "two");
    symlink("..2", watched.path("..tmp")).expect("link");
    fs::rename(watched.path("..tmp"), watched.path("..data")).expect("swap");
    fs::remove_dir_all(watched.path("..1")).expect("removed");
    watched.expect_only(&["two"], &["one"]);
}

#[test]
fn the_target_of_a_link_is_seen() {
    let watched = Watched::new();
    let elsewhere = TempDir::new().expect("directory");
    let target = elsewhere.path().join("target");
    fs::write(&target, service("one")).expect("written");
    symlink(&target, watched.path("a.yaml")).expect("link");
    watched.expect(&["one"]);
    fs::write(&target, service("two")).expect("written");
    watched.expect(&["two"]);
}

#[test]
fn a_replaced_folder_is_seen_and_keeps_its_content_meanwhile() {
    let watched = Watched::new();
    watched.write("a.yaml", "one");
    watched.expect(&["one"]);
    fs::rename(watched.path(""), watched.base().join("old")).expect("moved away");
    fs::create_dir(watched.base().join("new")).expect("directory");
    fs::write(watched.base().join("new/a.yaml"), service("two")).expect("written");
    fs::rename(watched.base().join("new"), watched.path("")).expect("moved in");
    watched.expect_only(&["two"], &["one"]);
    watched.write("b.yaml", "three");
    watched.expect(&["three", "two"]);
}

/// A folder that is watched, and what was published of it.
struct Watched {
    base: TempDir,
    contents: Receiver<Content>,
    _source: FolderSource,
}

impl Watched {
    fn new() -> Self {
        let base = TempDir::new().expect("directory");
        fs::create_dir(base.path().join("conf")).expect("directory");
        let folder = Folder::open(base.path().join("conf")).expect("folder");
        let (sender, contents) = channel();
        let source = FolderSource::start(folder, move |content| {
            // The test may be over.
            drop(sender.send(content));
        });
        Self {
            base,
            contents,
            _source: source.expect("source"),
        }
    }

    fn base(&self) -> &Path {
        self.base.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        let root = self.base.path().join("conf");
        if name.is_empty() {
            root
        } else {
            root.join(name)
        }
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), service(content)).expect("written");
    }

    /// Waits until exactly these Services are published.
    fn expect(&self, names: &[&str]) {
        self.wait(names, |_| true);
    }

    /// The same, and nothing but `before` is published until then.
    fn expect_only(&self, names: &[&str], before: &[&str]) {
        self.wait(names, |seen| seen == before);
    }

    fn wait(&self, names: &[&str], allowed: impl Fn(&[&str]) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let content = self.contents.recv_timeout(left).expect("a publication");
            let services = content.inputs.services.keys();
            let seen: Vec<&str> = services.map(|name| &*name.name).collect();
            if seen == names {
                return;
            }
            assert!(allowed(&seen), "published meanwhile: {seen:?}");
        }
    }
}

fn service(name: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{}}\n")
}
