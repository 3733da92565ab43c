#!/usr/bin/env bash
# Installs the clients of `gateway/tests/clients.rs` into `target/clients`: two Python environments, because the frameworks need an
# older version of the OpenAI SDK than the newest, and `node_modules`. Does nothing where the pinned versions are installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../../target}/clients
mkdir -p "$target"

for environment in sdks frameworks; do
    pinned=$here/python/$environment.txt
    if ! cmp -s "$pinned" "$target/$environment/installed.txt"; then
        rm -rf "${target:?}/$environment"
        python3 -m venv "$target/$environment"
        "$target/$environment/bin/pip" install --quiet --no-compile --requirement "$pinned"
        cp "$pinned" "$target/$environment/installed.txt"
    fi
done

lock=$here/node/package-lock.json
if ! cmp -s "$lock" "$target/node/package-lock.json" || [ ! -d "$target/node/node_modules" ]; then
    mkdir -p "$target/node"
    cp "$here/node/package.json" "$lock" "$target/node"
    (cd "$target/node" && npm ci --silent --no-audit --no-fund)
fi
