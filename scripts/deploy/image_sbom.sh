#!/usr/bin/env bash
# Write what an image is made of (CycloneDX): scripts/deploy/image_sbom.sh IMAGE|docker-archive:FILE OUTPUT
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="${TOOLS:-$PWD/.cache/deploy/tools/bin}:$PATH"
syft scan --quiet "${1:?usage: image_sbom.sh IMAGE OUTPUT}" --output "cyclonedx-json=${2:?usage: image_sbom.sh IMAGE OUTPUT}"
