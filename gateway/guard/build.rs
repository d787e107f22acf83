//! Embeds the kernel programs that `cargo xtask build-ebpf` built, or nothing.
//!
//! `GATEWAY_EBPF_OBJECT` is the path of another object. With `GATEWAY_REQUIRE_EBPF=1` it is an error if
//! there is none. While there is none cargo runs this at every build, so that neither that variable
//! nor an object that appears is missed.

use std::env;
use std::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rustc-check-cfg=cfg(guard_object)");
    println!("cargo::rerun-if-env-changed=GATEWAY_EBPF_OBJECT");
    let named = env::var_os("GATEWAY_EBPF_OBJECT").map(PathBuf::from);
    let is_required =
        named.is_some() || env::var_os("GATEWAY_REQUIRE_EBPF").is_some_and(|v| v == "1");
    let path = match named {
        Some(path) => path,
        None => Path::new(&env::var("CARGO_MANIFEST_DIR")?)
            .ancestors()
            .nth(2)
            .ok_or("the crate is not in its repository")?
            .join("target/bpf/guard.o"),
    };
    println!("cargo::rerun-if-changed={}", path.display());

    let object = match fs::read(&path) {
        Ok(object) => object,
        Err(error) if error.kind() == ErrorKind::NotFound && !is_required => {
            println!(
                "cargo::warning=the guard is built without its kernel programs and cannot enforce: \
                 `cargo xtask build-ebpf` makes them"
            );
            return Ok(());
        }
        Err(error) => {
            println!(
                "cargo::error=the guard's kernel programs, {}: {error}",
                path.display()
            );
            return Ok(());
        }
    };
    if !is_bpf(&object) {
        println!("cargo::error={} is not a BPF object", path.display());
        return Ok(());
    }
    let digest: String = Sha256::digest(&object)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    fs::write(Path::new(&env::var("OUT_DIR")?).join("guard.o"), object)?;
    println!("cargo::rustc-cfg=guard_object");
    println!("cargo::rustc-env=GUARD_OBJECT_SHA256={digest}");
    Ok(())
}

/// Whether it is a 64-bit little-endian ELF file for the machine BPF (247).
fn is_bpf(object: &[u8]) -> bool {
    object.starts_with(b"\x7fELF\x02\x01") && object.get(18..20) == Some(&247u16.to_le_bytes())
}
