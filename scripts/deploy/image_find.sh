#!/usr/bin/env bash
# Give the image that was built of a commit, by its digest: scripts/deploy/image_find.sh IMAGE COMMIT
# A release promotes what ran before; it builds nothing.
set -euo pipefail
image="${1:?usage: image_find.sh IMAGE COMMIT}" commit="${2:?usage: image_find.sh IMAGE COMMIT}"
digest="$("${DOCKER:-docker}" buildx imagetools inspect "$image:sha-$commit" --format '{{.Manifest.Digest}}')"
case "$digest" in sha256:*) ;; *) echo "There is no image of the commit $commit." >&2; exit 1 ;; esac
echo "$image@$digest"
