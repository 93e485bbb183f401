#!/usr/bin/env bash
# Name the image of a commit by its version too, and publish the chart that installs it, signed:
# scripts/deploy/chart_publish.sh IMAGE COMMIT vVERSION
set -euo pipefail
cd "$(dirname "$0")/../.."
image="${1:?usage: chart_publish.sh IMAGE COMMIT TAG}" commit="${2:?}" version="${3#v}"
helm="${HELM:-$PWD/.cache/deploy/helm/helm/helm}"
found="$(scripts/deploy/image_find.sh "$image" "$commit")"
"${DOCKER:-docker}" buildx imagetools create --tag "$image:$version" "$found" >&2
scripts/deploy/chart_package.sh "$image" "${found#*@}" charts
"$helm" push "charts/agentmem-$version.tgz" "oci://${image%/*}/charts" 2>&1 | tee pushed.txt
digest="$(sed -n 's/^Digest: //p' pushed.txt)"
"${COSIGN:-cosign}" sign --yes "${image%/*}/charts/agentmem@$digest"
