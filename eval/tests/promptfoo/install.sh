#!/usr/bin/env bash
# Installs promptfoo for `eval/tests/promptfoo.rs` into `target/promptfoo`, without optional dependencies and without native
# modules: the test calls it as a library, which needs neither. Does nothing where the pinned versions are installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../../target}/promptfoo
if ! cmp -s "$here/package-lock.json" "$target/package-lock.json" || [ ! -d "$target/node_modules" ]; then
    mkdir -p "$target"
    cp "$here/package.json" "$here/package-lock.json" "$target"
    (cd "$target" && npm ci --silent --no-audit --no-fund --omit=optional --ignore-scripts)
fi
cp "$here/run.mjs" "$target"
