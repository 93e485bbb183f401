#!/usr/bin/env bash
# Sign in to a cluster as the workflow that runs, without a key that is kept anywhere: the cluster trusts the tokens of GitHub
# (docs/how-to/run-on-kubernetes.md). Needs KUBE_SERVER and KUBE_CA (PEM), and the permission `id-token: write`.
set -euo pipefail
umask 077
: "${KUBE_SERVER:?}" "${KUBE_CA:?}" "${ACTIONS_ID_TOKEN_REQUEST_URL:?}" "${ACTIONS_ID_TOKEN_REQUEST_TOKEN:?}"
place="${KUBECONFIG:-$HOME/.kube/config}"
mkdir -p "$(dirname "$place")"
headers="$(mktemp)"
trap 'rm -f "$headers"' EXIT
printf 'Authorization: bearer %s\n' "$ACTIONS_ID_TOKEN_REQUEST_TOKEN" >"$headers"
curl --silent --show-error --fail --max-time 30 --header "@$headers" \
    "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=${KUBE_AUDIENCE:-agentmem-deploy}" |
    python3 -c '
import base64, json, os, sys
token = json.load(sys.stdin)["value"]
authority = base64.b64encode(os.environ["KUBE_CA"].encode()).decode()
json.dump({
    "apiVersion": "v1", "kind": "Config", "current-context": "deploy",
    "clusters": [{"name": "deploy", "cluster": {
        "server": os.environ["KUBE_SERVER"], "certificate-authority-data": authority}}],
    "users": [{"name": "deploy", "user": {"token": token}}],
    "contexts": [{"name": "deploy", "context": {"cluster": "deploy", "user": "deploy"}}],
}, sys.stdout)' >"$place"
