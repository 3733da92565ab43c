# The steps of CI, by the names that `.ci/run` prints.

default: fmt clippy test doc no-std package

# format
fmt:
    cargo fmt --all --check

# lints, warnings denied
clippy:
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# a server for the tests of the gateway's shared state, which are skipped without it (Debian, as root)
state-server:
    command -v valkey-server redis-server || apt-get install --yes --no-install-recommends redis-server

# a browser for the tests of the reports, which are skipped without it (Debian, as root)
browser:
    command -v chromium chromium-browser google-chrome || apt-get install --yes --no-install-recommends chromium

# all tests, doc tests included
test:
    cargo test --workspace
    cargo test -p sagewire-codec --features signing --lib --test signing
    cargo check -p sagewire-codec --tests
    cargo test -p sagewire --features otlp,systemd --test it operated

# documentation, warnings denied
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features

# the codec without the standard library
no-std:
    cargo check -p sagewire-codec --no-default-features

# the codec for WebAssembly (needs the target wasm32-unknown-unknown)
wasm:
    cargo check -p sagewire-codec --target wasm32-unknown-unknown

# what would be published
package:
    cargo package --workspace --no-verify --allow-dirty

# the public API against the last tag (needs cargo-semver-checks)
semver:
    cargo semver-checks --workspace --baseline-rev "$(git describe --tags --abbrev=0)"

# the plot of docs/performance.md
plot *args:
    python3 benches/python/plot.py {{ args }}

# licences, sources and banned crates
deny:
    cargo deny check bans licenses sources

# each fuzz target for a while (nightly)
fuzz seconds="10":
    #!/usr/bin/env bash
    set -euo pipefail
    for target in $(cargo +nightly fuzz list); do
        cargo +nightly fuzz run --features gateway "$target" -- -max_total_time={{ seconds }} -max_len=4096
    done

# benchmarks compile
bench-build:
    cargo bench -p sagewire-benches --no-run

# instruction counts of the hot paths against the baseline (needs valgrind); `just instructions --renew` updates it
instructions *args:
    cargo run --release -p sagewire-benches --bin instructions -- {{ args }}

# the gateway's CPU time against that of a pass-through; fails if it exceeds what is allowed by more than 15 %
gateway-speed:
    cargo run --release -p sagewire-benches --features gateway --bin compare -- --quick --only gateway

# speed against named peers, as tables
compare *args:
    cargo run --release -p sagewire-benches --features calls,gateway --bin compare -- {{ args }}
