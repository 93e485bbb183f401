#!/usr/bin/env bash
# Sign an image by its digest, and say what it is made of: scripts/deploy/image_sign.sh IMAGE@sha256:… SBOM
# Without COSIGN_KEY the workflow's own identity signs (Sigstore); COSIGN_FLAGS are for a registry of one's own.
set -euo pipefail
cd "$(dirname "$0")/../.."
cosign="${COSIGN:-cosign}"
image="${1:?usage: image_sign.sh IMAGE@DIGEST SBOM}" sbom="${2:?usage: image_sign.sh IMAGE@DIGEST SBOM}"
case "$image" in *@sha256:*) ;; *) echo "Sign a digest: a tag may mean another image tomorrow." >&2; exit 2 ;; esac
read -ra flags <<<"${COSIGN_FLAGS:-}"
if [ -n "${COSIGN_KEY:-}" ]; then flags+=(--key "$COSIGN_KEY"); fi
"$cosign" sign --yes "${flags[@]}" "$image"
"$cosign" attest --yes "${flags[@]}" --type cyclonedx --predicate "$sbom" "$image"
