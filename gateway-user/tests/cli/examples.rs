//! The examples: every object of every folder is accepted.

use std::fs;
use std::path::Path;

use crate::agent::{run, stdout};
use crate::conf::Conf;

#[test]
fn every_example_is_accepted_as_a_whole() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let class = fs::read_to_string(root.join("deploy/gatewayclass.yaml")).expect("the class");
    let mut count = 0;
    for folder in fs::read_dir(root.join("examples")).expect("examples") {
        let folder = folder.expect("an entry").path();
        if !folder.is_dir() {
            continue;
        }
        let conf = Conf::new();
        let mut text = String::new();
        for file in fs::read_dir(&folder).expect("an example") {
            let file = file.expect("an entry").path();
            if file.extension().is_some_and(|it| it == "yaml") {
                let content = fs::read_to_string(&file).expect("a file");
                conf.write(
                    &file.file_name().expect("a name").to_string_lossy(),
                    &content,
                );
                text.push_str(&content);
            }
        }
        // Most are for a cluster that has it.
        if !text.contains("kind: GatewayClass") {
            conf.write("class.yaml", &class);
        }
        let path = conf.path();
        let output = run(&["check", path.to_str().expect("UTF-8")]);
        let (name, text) = (folder.display(), stdout(&output));
        assert!(output.status.success(), "{name}: {text}");
        assert!(text.contains("Route"), "{name} has no route: {text}");
        assert!(!text.contains("warning: "), "{name}: {text}");
        count += 1;
    }
    assert!(count >= 10, "{count} examples");
}
