#!/usr/bin/env bash
# Ask a server what a user would: is it ready, is a memory that was added found? Needs SMOKE_URL, and SMOKE_KEY for the latter;
# without SMOKE_URL nothing is asked.
set -euo pipefail
url="${SMOKE_URL:-}"
if [ -z "$url" ]; then
    echo "No SMOKE_URL: nothing is asked." >&2
    exit 0
fi
ask() { curl --silent --show-error --fail --max-time 15 --retry 3 --retry-connrefused "$@"; }
ask "$url/health/ready" >/dev/null
if [ -n "${SMOKE_KEY:-}" ]; then
    # In a file, for others can read a command line.
    headers="$(mktemp)"
    trap 'rm -f "$headers"' EXIT
    printf 'Authorization: Bearer %s\nContent-Type: application/json\n' "$SMOKE_KEY" >"$headers"
    user="smoke-$(date +%s)-$$"
    id="$(ask --header "@$headers" --data "{\"content\": \"The smoke test was here.\", \"user_id\": \"$user\"}" \
        "$url/v1/memories" | python3 -c 'import json, sys; print(json.load(sys.stdin)["memories"][0]["id"])')"
    ask --header "@$headers" --data "{\"query\": \"smoke test\", \"scope\": {\"user_id\": \"$user\"}}" \
        "$url/v1/memories/search" | grep --quiet "$id"
    ask --header "@$headers" --request DELETE "$url/v1/memories/$id" >/dev/null
fi
echo "$url answers"
