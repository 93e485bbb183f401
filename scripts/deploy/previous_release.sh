#!/usr/bin/env bash
# Run the tests of the release before on the schema of this tree: scripts/deploy/previous_release.sh [TESTS…]
# The old program gets the new migrations, so that every store of its tests has the new schema. Without a tag there is
# nothing to run. Its tests of migrations themselves are left out: they are about the migrations that it knows.
set -euo pipefail
cd "$(dirname "$0")/../.."
tag="$(git describe --tags --abbrev=0 --match 'v*' HEAD^ 2>/dev/null || true)"
if [ -z "$tag" ]; then
    echo "No release before this one: nothing to run."
    exit 0
fi
tests=("$@")
if [ "${#tests[@]}" -eq 0 ]; then tests=(tests/integration tests/e2e/test_two_servers.py); fi
place=.cache/previous-release migrations=src/agentmem/foundation/database/migrations/versions
git worktree remove --force "$place" 2>/dev/null || true
git worktree add --detach "$place" "$tag"
trap 'git worktree remove --force "$place"' EXIT
cp "$migrations"/*.py "$place/$migrations/"
make --directory "$place" setup services
cd "$place"
.venv/bin/python -m pytest -n 2 --dist loadfile "${tests[@]}" --ignore tests/integration/test_migrations.py
