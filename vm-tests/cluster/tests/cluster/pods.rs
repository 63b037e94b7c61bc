//! The cluster itself: that pods get what their objects say.

use std::path::Path;

use crate::bed::Bed;

const PODS: &str = r#"
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: reader}
spec:
  selector: {matchLabels: {app: reader}}
  template:
    metadata: {labels: {app: reader}}
    spec:
      terminationGracePeriodSeconds: 1
      volumes:
      - {name: secret, secret: {secretName: late}}
      containers:
      - name: reader
        image: testbed/sh:v1
        args: ["-c", "cat /etc/testbed/word; echo $NODE; exec sleep 600"]
        env:
        - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        volumeMounts:
        - {name: secret, mountPath: /etc/testbed}
"#;

#[test]
fn pods_wait_for_their_secret_and_log_it_and_end_when_deleted() -> anyhow::Result<()> {
    let test = "pods_wait_for_their_secret_and_log_it_and_end_when_deleted";
    let Some(cluster) = Bed::start(test, 2)? else {
        return Ok(());
    };

    cluster.apply(PODS)?;
    cluster.kubectl(&[
        "wait",
        "daemonset/reader",
        "--for=jsonpath={.status.desiredNumberScheduled}=2",
    ])?;
    cluster.kubectl(&[
        "create",
        "secret",
        "generic",
        "late",
        "--from-literal=word=hello\n",
    ])?;
    cluster.kubectl(&["rollout", "status", "daemonset/reader"])?;

    for node in ["node-1", "node-2"] {
        let field = format!("--field-selector=spec.nodeName={node}");
        let pod = cluster.kubectl(&["get", "pods", "--output=name", &field])?;
        let said = cluster.kubectl(&["logs", pod.trim()])?;
        assert_eq!(said, format!("hello\n{node}\n"));
    }
    assert!(
        !Path::new("/etc/testbed").exists(),
        "a volume leaked out of its pod"
    );

    cluster.kubectl(&["delete", "daemonset", "reader", "--cascade=foreground"])?;
    assert_eq!(cluster.kubectl(&["get", "pods", "--output=name"])?, "");
    Ok(())
}
