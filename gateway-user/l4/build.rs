//! Puts the eBPF object into the library, or nothing where it has not been built.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let object = Path::new(&manifest).join("../../target/bpf/sanmon.bpf.o");
    let embedded = Path::new(&env::var_os("OUT_DIR").unwrap_or_default()).join("sanmon.bpf.o");
    println!("cargo::rerun-if-changed={}", object.display());
    match fs::read(&object) {
        Ok(bytes) => fs::write(embedded, bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::write(embedded, []),
        Err(error) => Err(error),
    }
}
