//! Publications follow the changes.

use super::*;

#[test]
fn nothing_is_published_before_content_and_settings_are_known() {
    let publisher = Publisher::start().expect("started");
    let published = publisher.published();
    publisher.content(Content::default());
    assert!(published.borrow().is_none());
}

#[tokio::test]
async fn a_change_of_either_side_is_published() {
    let publisher = Publisher::start().expect("started");
    let mut published = publisher.published();
    publisher.content(Content::default());
    publisher.settings(Settings::default());
    published.changed().await.expect("published");

    let problem = Problem::of_file("a.yaml", "broken");
    publisher.content(Content {
        problems: vec![problem.clone()],
        ..Content::default()
    });
    published.changed().await.expect("published");
    let newest = published.borrow().clone().expect("publication");
    assert_eq!(newest.problems, [problem]);
}
