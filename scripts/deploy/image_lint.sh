#!/usr/bin/env bash
# Look at the Dockerfiles, the chart and the tree: hadolint, trivy's rules, secrets. Needs no network.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="${TOOLS:-$PWD/.cache/deploy/tools/bin}:$PATH"
hadolint --config deploy/hadolint.yaml Dockerfile Dockerfile.alpine
for target in Dockerfile Dockerfile.alpine deploy/helm/agentmem; do
    trivy config --skip-check-update --quiet --exit-code 1 --ignorefile deploy/trivyignore.yaml \
        --helm-kube-version 1.37.0 --helm-values deploy/helm/agentmem/values-prod.yaml "$target"
done
trivy fs --scanners secret --quiet --exit-code 1 --skip-dirs .venv --skip-dirs .cache --skip-dirs .git --skip-dirs mutants .
