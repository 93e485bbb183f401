#!/usr/bin/env bash
# Refuse an image that we have not signed: scripts/deploy/image_verify.sh IMAGE@sha256:…
# By COSIGN_PUBLIC_KEY, or by the identity of the workflow that built it (COSIGN_IDENTITY, a regular expression).
set -euo pipefail
cd "$(dirname "$0")/../.."
cosign="${COSIGN:-cosign}"
image="${1:?usage: image_verify.sh IMAGE@DIGEST}"
case "$image" in *@sha256:*) ;; *) echo "Verify a digest: a tag may mean another image tomorrow." >&2; exit 2 ;; esac
read -ra flags <<<"${COSIGN_FLAGS:-}"
if [ -n "${COSIGN_PUBLIC_KEY:-}" ]; then
    flags+=(--key "$COSIGN_PUBLIC_KEY")
else
    flags+=(--certificate-identity-regexp "${COSIGN_IDENTITY:?set COSIGN_PUBLIC_KEY or COSIGN_IDENTITY}"
        --certificate-oidc-issuer https://token.actions.githubusercontent.com)
fi
"$cosign" verify "${flags[@]}" "$image" >/dev/null
"$cosign" verify-attestation "${flags[@]}" --type cyclonedx "$image" >/dev/null
echo "$image is ours"
