# The steps of CI, by the names that `.ci/run` prints.

default: fmt clippy test doc no-std

# format
fmt:
    cargo fmt --all --check

# lints, warnings denied
clippy:
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# all tests, doc tests included
test:
    cargo test --workspace
    cargo test -p sagewire-codec --all-features

# documentation, warnings denied
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features

# the codec without the standard library
no-std:
    cargo check -p sagewire-codec --no-default-features

# licences, sources and banned crates
deny:
    cargo deny check bans licenses sources

# each fuzz target for a while (nightly)
fuzz seconds="10":
    #!/usr/bin/env bash
    set -euo pipefail
    for target in $(cargo +nightly fuzz list); do
        cargo +nightly fuzz run "$target" -- -max_total_time={{ seconds }} -max_len=4096
    done

# benchmarks compile
bench-build:
    cargo bench -p sagewire-benches --no-run

# instructions of hot paths against the baseline (valgrind); `just instructions --renew` writes it
instructions *args:
    cargo run --release -p sagewire-benches --bin instructions -- {{ args }}

# speed against named peers, as a table
compare *args:
    cargo run --release -p sagewire-benches --features calls --bin compare -- {{ args }}
