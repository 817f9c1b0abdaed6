//! Selects the modelled primitives for this package only: no global flag reaches other crates.

fn main() {
    println!("cargo:rustc-check-cfg=cfg(purloin_loom)");
    println!("cargo:rustc-cfg=purloin_loom");
    println!("cargo:rerun-if-changed=build.rs");
}
