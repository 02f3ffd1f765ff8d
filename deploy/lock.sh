#!/usr/bin/env bash
# Compile requirements/*.lock from pyproject.toml: with hashes, without an index address.
set -euo pipefail
command -v uv >/dev/null || { echo "uv is needed: pip install uv" >&2; exit 1; }
compile() {
    uv pip compile pyproject.toml "${@:2}" --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header --no-annotate --quiet --output-file "requirements/$1.lock"
}
compile runtime
compile sandbox --extra sandbox
compile dev --extra sandbox --extra dev
compile conformance --extra conformance
