//! What a folder makes of good, bad and changing files.

use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

#[test]
fn reads_every_yaml_file_below_the_folder() {
    let conf = Conf::new();
    conf.write("a.yaml", &service("one"));
    conf.write("deep/er/b.yml", &service("two"));
    conf.write("notes.txt", "not: [yaml");
    let content = conf.folder().load(&none());
    assert_eq!(services(&content), ["default/one", "default/two"]);
    assert_eq!(content.problems, []);
}

#[test]
fn a_broken_file_names_line_and_cause_and_keeps_its_last_good_content() {
    let conf = Conf::new();
    conf.write("a.yaml", &service("one"));
    conf.write("b.yaml", &service("two"));
    let mut folder = conf.folder();
    folder.load(&none());

    conf.write("a.yaml", "kind: Service\nmetadata: {name: [\n");
    conf.write("b.yaml", &service("three"));
    let content = folder.load(&none());

    assert_eq!(services(&content), ["default/one", "default/three"]);
    let problem = &content.problems[0];
    assert_eq!(problem.file, conf.path("a.yaml"));
    assert!(problem.line.is_some_and(|line| line >= 2), "{problem}");
    assert!(problem.message.contains("last good"), "{problem}");

    conf.write("a.yaml", &service("four"));
    let content = folder.load(&none());
    assert_eq!(services(&content), ["default/four", "default/three"]);
    assert_eq!(content.problems, []);
}

#[test]
fn an_unknown_kind_is_named_and_ignored() {
    let conf = Conf::new();
    conf.write(
        "a.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n",
    );
    let content = conf.folder().load(&none());
    let problem = &content.problems[0];
    assert_eq!(problem.severity, Severity::Ignored);
    assert!(problem.to_string().contains("Deployment web"), "{problem}");
}

#[test]
fn a_document_that_does_not_decode_names_place_object_and_cause() {
    let conf = Conf::new();
    let bad = "apiVersion: v1\nkind: Service\nmetadata: {name: two}\nspec: {ports: 80}\n";
    conf.write("a.yaml", &format!("{}---\n{bad}", service("one")));
    let content = conf.folder().load(&none());
    assert_eq!(services(&content), ["default/one"]);
    let problem = &content.problems[0];
    assert_eq!((problem.document, problem.line), (Some(2), Some(6)));
    assert_eq!(problem.object.as_deref(), Some("Service two"));
    assert!(problem.message.contains("sequence"), "{problem}");
}

#[test]
fn an_object_that_stops_decoding_keeps_its_last_good_form() {
    let conf = Conf::new();
    conf.write("a.yaml", &service("one"));
    let mut folder = conf.folder();
    folder.load(&none());
    let bad = "apiVersion: v1\nkind: Service\nmetadata: {name: one}\nspec: {ports: 80}\n";
    conf.write("a.yaml", &format!("{bad}---\n{}", service("two")));
    let content = folder.load(&none());
    assert_eq!(services(&content), ["default/one", "default/two"]);
    assert!(
        content.problems[0].message.contains("last good form"),
        "{:?}",
        content.problems
    );
}

#[test]
fn of_an_object_that_is_there_twice_the_first_counts() {
    let conf = Conf::new();
    conf.write("a.yaml", &service("one"));
    conf.write("b.yaml", &service("one"));
    let content = conf.folder().load(&none());
    assert_eq!(services(&content), ["default/one"]);
    let problem = &content.problems[0];
    assert_eq!(problem.file, conf.path("b.yaml"));
    assert!(problem.message.contains("a.yaml:1"), "{problem}");
}

#[test]
fn the_text_of_a_secret_is_taken_as_its_data() {
    let conf = Conf::new();
    conf.write(
        "a.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: text}\n",
    );
    let content = conf.folder().load(&none());
    let secret = content.inputs.secrets.values().next().expect("a secret");
    let data = secret.data.as_ref().expect("data");
    assert_eq!(data["key"].0, b"text");
}

#[test]
fn the_files_of_a_mounted_config_map_are_read_once() {
    let conf = Conf::new();
    conf.mount("..1", &service("one"));
    symlink("..1", conf.path("..data")).expect("link");
    symlink("..data/a.yaml", conf.path("a.yaml")).expect("link");
    let mut folder = conf.folder();
    let content = folder.load(&none());
    assert_eq!(services(&content), ["default/one"]);
    assert_eq!(content.problems, []);

    conf.mount("..2", &service("two"));
    symlink("..2", conf.path("..tmp")).expect("link");
    fs::rename(conf.path("..tmp"), conf.path("..data")).expect("swap");
    assert_eq!(services(&folder.load(&none())), ["default/two"]);
}

#[test]
fn links_in_a_circle_are_walked_once() {
    let conf = Conf::new();
    conf.write("in/a.yaml", &service("one"));
    symlink(conf.path(""), conf.path("in/loop")).expect("link");
    let content = conf.folder().load(&none());
    assert_eq!(services(&content), ["default/one"]);
}

#[test]
fn a_missing_folder_keeps_what_it_held() {
    let conf = Conf::new();
    conf.write("a.yaml", &service("one"));
    let mut folder = conf.folder();
    folder.load(&none());
    let away = TempDir::new().expect("directory");
    fs::rename(conf.path(""), away.path().join("conf")).expect("rename");
    let content = folder.load(&none());
    assert_eq!(services(&content), ["default/one"]);
    assert_eq!(content.problems.len(), 1);
    fs::rename(away.path().join("conf"), conf.path("")).expect("rename");
    assert_eq!(folder.load(&none()).problems, []);
}

#[test]
fn a_file_between_two_states_keeps_what_it_said() {
    let conf = Conf::new();
    conf.write("a.yaml", &service("one"));
    let mut folder = conf.folder();
    folder.load(&none());
    fs::remove_file(conf.path("a.yaml")).expect("removed");
    let content = folder.load(&BTreeSet::from([conf.path("a.yaml")]));
    assert_eq!(services(&content), ["default/one"]);
    assert_eq!(services(&folder.load(&none())), Vec::<String>::new());
}

#[test]
fn no_folder_is_an_error_at_the_start() {
    let conf = Conf::new();
    assert!(Folder::open(conf.path("missing")).is_err());
}

/// A folder of a test's own.
struct Conf(TempDir);

impl Conf {
    fn new() -> Self {
        let conf = Self(TempDir::new().expect("a directory"));
        fs::create_dir(conf.path("")).expect("folder");
        conf
    }

    fn path(&self, name: &str) -> PathBuf {
        // One level below, so that the folder itself can be moved away.
        let root = self.0.path().join("conf");
        if name.is_empty() {
            root
        } else {
            root.join(name)
        }
    }

    fn folder(&self) -> Folder {
        Folder::open(self.path("")).expect("folder")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        fs::write(path, text).expect("written");
    }

    fn mount(&self, name: &str, text: &str) {
        self.write(&format!("{name}/a.yaml"), text);
    }
}

fn none() -> BTreeSet<PathBuf> {
    BTreeSet::new()
}

fn service(name: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{}}\n")
}

fn services(content: &Content) -> Vec<String> {
    let names = content.inputs.services.keys();
    names.map(ToString::to_string).collect()
}
