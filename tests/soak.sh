#!/bin/sh
# Fifty deployments in a row with Debian's mender client, every fifth an image that fails: is anything left over?
#
#   tests/soak.sh [DEPLOYMENTS]
#
# As tests/demo.sh: root, Debian 12, namespaces of its own, DRAY_BIN and GEN_BIN or a fresh build. Exit code 1 if a
# deployment went otherwise than it should, or if any counter is higher than after the first deployment.
set -eu

tests=$(cd "$(dirname "$0")" && pwd)
. "$tests/rig/lib.sh"

outside() {
    prepare_demo "$tests" --small
    export DEPLOYMENTS="${1:-50}"
    "$tests/rig/private.sh" "$tests/soak.sh"
}

# deploy NAME: installs and commits the release; what serves afterwards is it.
deploy() {
    check "$1 is installed" client install "$device/$1.mender"
    check "$1 is committed" client commit
    serving=$1
}

inside() {
    . "$tests/rig/device.sh"
    STABLE_S=1
    start_registry "$CACHE/registry" 5000
    device_new "$work/device" "$DRAY_BIN"
    for version in v1 v2 v3 dead sick; do
        artifact "$version" "127.0.0.1:5000/mixed:$version" "--name web -p 18080:8080" >/dev/null
    done
    serving=nothing
    for n in $(seq "$DEPLOYMENTS"); do
        chapter "deployment $n of $DEPLOYMENTS"
        case $((n % 10)) in
        5) refuse "an image that dies is refused" client install "$device/dead.mender" ;;
        0) refuse "an image that never gets healthy is refused" client install "$device/sick.mender" ;;
        *) deploy "v$((n % 3 + 1))" ;;
        esac
        equal "it serves" "$serving" "$(served 127.0.0.1:18080)"
        [ "$n" != 1 ] || count first
    done
    # A network stays a second after its last container, and the kernel takes dead processes' things away a moment later.
    eventually 5 nothing_grew || :
    chapter "after the first deployment, and after the last"
    compare_counts
    stop_registry
    chapter "$([ "$failures" = 0 ] && echo "PASS: every deployment" || echo "FAIL: $failures steps")"
    exit "$((failures > 0))"
}

if [ "${DRAY_PRIVATE:-}" = inside ]; then inside; else outside "$@"; fi
