#!/usr/bin/env bash
# Go back by hand: scripts/deploy/rollback.sh [REVISION|VERSION]; without either, to the revision before.
# The schema stays: a version that is one older uses it as it is (docs/how-to/roll-back.md).
set -euo pipefail
cd "$(dirname "$0")/../.."
helm="${HELM:-$PWD/.cache/deploy/helm/helm/helm}"
namespace="${NAMESPACE:-agentmem}" release="${RELEASE:-agentmem}" wanted="${1:-}"
here() { "$helm" --namespace "$namespace" "$@"; }
revision="$(here history "$release" --max 50 --output json | python3 scripts/deploy/revision.py "$wanted")"
here rollback "$release" "$revision" --wait --timeout 5m
here test "$release" --timeout 2m
scripts/deploy/smoke.sh
