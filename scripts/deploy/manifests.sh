#!/usr/bin/env bash
# Render the chart for those without Helm: deploy/kubernetes/agentmem.yaml, as production is set up (`make manifests`).
set -euo pipefail
cd "$(dirname "$0")/../.."
helm="${HELM:-$PWD/.cache/deploy/helm/helm/helm}"
cat <<'HEAD'
# AgentMem for `kubectl apply`, rendered from the chart (`make manifests`); docs/how-to/run-on-kubernetes.md says how.
# Replace registry.example.com/agentmem by your image, and make the Secrets agentmem-settings and agentmem-master-key first.
HEAD
"$helm" template agentmem deploy/helm/agentmem --namespace agentmem --skip-tests \
    --values deploy/helm/agentmem/values-prod.yaml --set metrics.serviceMonitor.enabled=false \
    --set metrics.prometheusRule.enabled=false --set metrics.dashboards.enabled=false |
    sed '/^ *helm.sh\/hook/d; /^ *helm.sh\/chart:/d; s/^\( *app.kubernetes.io\/managed-by:\) Helm$/\1 kubectl/; /^# Source:/d' |
    sed --null-data 's/\n  annotations:\n\([a-z]\)/\n\1/g'
