#!/usr/bin/env bash
# Package the chart for an image: scripts/deploy/chart_package.sh IMAGE DIGEST OUTPUT-FOLDER
# The packaged chart names that image by its digest: what was tested is what is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
helm="${HELM:-$PWD/.cache/deploy/helm/helm/helm}"
image="${1:?usage: chart_package.sh IMAGE DIGEST OUTPUT}" digest="${2:?}" output="${3:?}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp -R deploy/helm/agentmem "$work/agentmem"
sed -i "s|^  repository: registry.example.com/agentmem$|  repository: $image|; s|^  digest: \"\"$|  digest: \"$digest\"|" "$work/agentmem/values.yaml"
grep -q "^  repository: $image$" "$work/agentmem/values.yaml"
grep -q "^  digest: \"$digest\"$" "$work/agentmem/values.yaml"
"$helm" lint --strict --quiet "$work/agentmem" --values "$work/agentmem/values-prod.yaml"
"$helm" package --destination "$output" "$work/agentmem"
