//! Selects shuttle's primitives for this package only: no global flag reaches other crates.

fn main() {
    for name in ["purloin_model", "purloin_shuttle"] {
        println!("cargo:rustc-cfg={name}");
    }
    println!("cargo:rustc-check-cfg=cfg(purloin_model, purloin_loom, purloin_shuttle)");
    println!("cargo:rerun-if-changed=build.rs");
}
