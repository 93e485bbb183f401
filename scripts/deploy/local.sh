#!/usr/bin/env bash
# Images on a machine without a Docker engine and without a registry: makes what stands for the public images out of Debian
# packages, builds AgentMem's image on it, and gives the environment in which buildah and podman work (source this file).
#
#   scripts/deploy/local.sh base|build|stand-ins     each does nothing when nothing has changed
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
export CONTAINERS_CONF="$root/deploy/tools/containers.conf" STORAGE_DRIVER="${STORAGE_DRIVER:-overlay}"
python_image=docker.io/library/python:3.11-slim-bookworm
image=localhost/agentmem:test

# Make an image of Debian packages: NAME PACKAGES
debian() {
    buildah inspect --type image "$1" >/dev/null 2>&1 && return
    local tar container
    tar="$(mktemp --suffix=.tar)"
    mmdebstrap --quiet --variant=minbase --include="$2" --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' bookworm "$tar"
    container="$(buildah from scratch)"
    buildah add --quiet "$container" "$tar" / >/dev/null
    buildah commit --quiet --rm "$container" "$1" >/dev/null
    rm "$tar"
}

base() {
    debian "$python_image" python3-minimal,python3-venv,ca-certificates
}

build() {
    base
    # The builder has no certificates and no proxy of its own; nothing of it stays in the image.
    local settings=()
    for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_CERT https_proxy http_proxy no_proxy; do
        if [ -n "${!name:-}" ]; then settings+=(--env "$name=${!name}"); fi
    done
    buildah build --isolation chroot --pull=never --layers --format docker --volume /etc/ssl/certs:/etc/ssl/certs:ro \
        "${settings[@]}" --build-arg VERSION="${VERSION:-0.0.0}" --file "${DOCKERFILE:-$root/Dockerfile}" --tag "$image" "$root"
}

# What docker-compose.yml names, for tests.
stand_ins() {
    debian localhost/services-base:test redis-server,nginx-light
    local container
    container="$(buildah from --pull=never localhost/services-base:test)"
    buildah config --user 10004:10004 --cmd '["nginx", "-g", "daemon off;"]' "$container"
    buildah commit --quiet --rm --format docker "$container" localhost/services:test >/dev/null
    container="$(buildah from --pull=never "$image")"
    buildah copy --quiet "$container" "$root/deploy/tools/stand-ins/" /usr/local/bin/ >/dev/null
    buildah run --isolation chroot --user 0 "$container" -- install -d -m 0700 -o 10001 -g 10001 /var/lib/postgresql
    buildah config --entrypoint '["postgres"]' --cmd '' --volume /var/lib/postgresql "$container"
    buildah commit --quiet --rm --format docker "$container" localhost/postgres:test >/dev/null
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    # One at a time: who comes second finds everything built.
    mkdir -p "$root/.cache"
    exec 9>"$root/.cache/local-images.lock"
    flock 9
    case "${1:-}" in
        base) base ;;
        build) build ;;
        stand-ins) stand_ins ;;
        *) echo "usage: $0 base|build|stand-ins" >&2; exit 2 ;;
    esac
fi
