//! The examples, as an API server with the Gateway API's CRDs takes them.

use std::fs;

use crate::bed::{Bed, checkout};

#[test]
fn the_api_server_takes_every_example() -> anyhow::Result<()> {
    let Some(bed) = Bed::start("the_api_server_takes_every_example", 1)? else {
        return Ok(());
    };
    bed.install_gateway_api()?;
    bed.install_manifests()?;
    let mut taken = 0;
    for folder in fs::read_dir(checkout("examples"))? {
        let folder = folder?.path();
        if !folder.is_dir() {
            continue;
        }
        // In the order of the files, and for real: a namespace has to be there before what is in it.
        let folder = folder.to_string_lossy();
        let said = bed.kubectl(&["apply", "--validate=strict", "--filename", &folder])?;
        assert!(
            said.contains("gateway.networking.k8s.io"),
            "{folder}: {said}"
        );
        taken += 1;
    }
    assert!(taken >= 10, "{taken} examples");
    Ok(())
}
