#!/usr/bin/env bash
# Join the images of digests/* into one, named by the commit; prints `image=…@sha256:…` and `digest=…`.
set -euo pipefail
image="${1:?usage: image_join.sh IMAGE}"
image="${image,,}" tag="sha-$(git rev-parse HEAD)"
parts=()
for file in digests/*; do parts+=("$image@$(cat "$file")"); done
"${DOCKER:-docker}" buildx imagetools create --tag "$image:$tag" "${parts[@]}" >&2
digest="$("${DOCKER:-docker}" buildx imagetools inspect "$image:$tag" --format '{{.Manifest.Digest}}')"
echo "digest=$digest"
echo "image=$image@$digest"
