#!/usr/bin/env bash
# Build the wheel and the source distribution with the locked build tools: scripts/deploy/package.sh OUTPUT-FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
output="${1:?usage: package.sh OUTPUT-FOLDER}"
python3 -m venv .cache/package
.cache/package/bin/python -m pip install --quiet --require-hashes --only-binary=:all: --requirement requirements/build.txt
.cache/package/bin/python -m hatchling build --directory "$output"
