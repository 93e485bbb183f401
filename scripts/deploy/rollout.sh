#!/usr/bin/env bash
# Bring a version to an environment, or leave what was there: scripts/deploy/rollout.sh staging|production IMAGE@sha256:…
#
# The image is verified, the release upgraded (Helm goes back by itself when it does not get ready), tested and smoke-tested;
# a release that fails its tests goes back to the revision before. NAMESPACE, RELEASE and SMOKE_URL may be set.
set -euo pipefail
cd "$(dirname "$0")/../.."
helm="${HELM:-$PWD/.cache/deploy/helm/helm/helm}"
environment="${1:?usage: rollout.sh staging|production IMAGE@DIGEST}" image="${2:?usage: rollout.sh staging|production IMAGE@DIGEST}"
case "$environment" in
    staging) values='values-staging.yaml' ;;
    production) values='values-prod.yaml' ;;
    *) echo "There is no environment $environment." >&2; exit 2 ;;
esac
namespace="${NAMESPACE:-agentmem}" release="${RELEASE:-agentmem}" chart=deploy/helm/agentmem
here() { "$helm" --namespace "$namespace" "$@"; }

scripts/deploy/image_verify.sh "$image"
before="$(here history "$release" --output json 2>/dev/null | python3 -c \
    'import json, sys; print(max((one["revision"] for one in json.load(sys.stdin) if one["status"] == "deployed"), default=0))' || echo 0)"
here upgrade --install "$release" "$chart" --values "$chart/$values" --create-namespace \
    --set "image.repository=${image%@*}" --set "image.digest=${image#*@}" \
    --rollback-on-failure --wait --timeout 5m
if here test "$release" --timeout 2m && scripts/deploy/smoke.sh; then
    echo "$environment runs $image"
    exit 0
fi
if [ "$before" -gt 0 ]; then
    echo "The new version fails its tests: back to revision $before." >&2
    here rollback "$release" "$before" --wait --timeout 3m
else
    echo "The first version fails its tests; there is none to go back to." >&2
fi
exit 1
