#!/usr/bin/env bash
# Build the image of this platform and push it by its digest: scripts/deploy/image_build.sh IMAGE PLATFORM
set -euo pipefail
cd "$(dirname "$0")/../.."
image="${1:?usage: image_build.sh IMAGE PLATFORM}" platform="${2:?usage: image_build.sh IMAGE PLATFORM}"
version="$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)"
mkdir -p digests
"${DOCKER:-docker}" buildx create --use >/dev/null
"${DOCKER:-docker}" buildx build --platform "linux/$platform" --provenance=false \
    --build-arg VERSION="$version" --build-arg REVISION="$(git rev-parse HEAD)" \
    --build-arg CREATED="$(git log -1 --format=%cI)" --metadata-file metadata.json \
    --output "type=image,name=${image,,},push-by-digest=true,name-canonical=true,push=true" .
python3 -c 'import json; print(json.load(open("metadata.json"))["containerimage.digest"])' >"digests/$platform"
