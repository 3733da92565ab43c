//! Captures the build details for the results: the compiler's version, the target, and the profile.

use std::process::Command;

fn main() {
    let var = |name| std::env::var(name).unwrap_or_default();
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().ok();
    let version = version.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    println!("cargo::rustc-env=SAGEWIRE_RUSTC={}", version.trim());
    println!("cargo::rustc-env=SAGEWIRE_TARGET={}", var("TARGET"));
    println!("cargo::rustc-env=SAGEWIRE_PROFILE={}", var("PROFILE"));
    println!("cargo::rerun-if-changed=build.rs");
}
