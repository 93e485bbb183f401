#!/usr/bin/env bash
# Look for known faults in an image: scripts/deploy/image_scan.sh IMAGE|ARCHIVE.tar
# Fails on a fault of the severity HIGH or above that has a fix, and when the list of faults cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="${TOOLS:-$PWD/.cache/deploy/tools/bin}:$PATH"
image="${1:?usage: image_scan.sh IMAGE|ARCHIVE.tar}"
target=("$image")
if [ -f "$image" ]; then target=(--input "$image"); fi
trivy image --scanners vuln,secret --ignore-unfixed --severity HIGH,CRITICAL --exit-code 1 --quiet "${target[@]}"
if [ -n "${SNYK_TOKEN:-}" ]; then
    snyk container test "$image" --severity-threshold=high --file=Dockerfile
fi
