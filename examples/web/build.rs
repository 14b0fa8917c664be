//! Bounds what the compiled library may claim in a browser.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Above what the largest photograph takes; beyond it a request for memory fails instead of filling the machine.
    println!("cargo::rustc-link-arg-cdylib=--max-memory={}", 1u64 << 30);
    // Decoders and products keep more on the stack than a megabyte.
    println!("cargo::rustc-link-arg-cdylib=-zstack-size={}", 4 << 20);
}
