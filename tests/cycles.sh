#!/bin/sh
# A thousand starts and stops of one container, every tenth time beside a `run --rm`: is anything left over?
#
#   tests/cycles.sh [CYCLES]
#
# As tests/soak.sh: root, Debian 12, namespaces of its own, DRAY_BIN and GEN_BIN or a fresh build. Exit code 1 if a start
# or stop fails, or if any counter is higher than after the first cycle.
set -eu

tests=$(cd "$(dirname "$0")" && pwd)
. "$tests/rig/lib.sh"

outside() {
    prepare_demo "$tests" --small
    export CYCLES="${1:-1000}"
    "$tests/rig/private.sh" "$tests/cycles.sh"
}

cycle() {
    dray start web >/dev/null
    if [ "$(($1 % 10))" = 1 ]; then
        # Its exit status is the container's; Docker's own begin at 125.
        status=0
        dray run --rm 127.0.0.1:5000/one:v1 --exit 7 || status=$?
        [ "$status" = 7 ] || fail "a container beside it ends with $status instead of 7"
    fi
    dray stop -t 0 web >/dev/null
}

inside() {
    . "$tests/rig/device.sh"
    start_registry "$CACHE/registry" 5000
    device_new "$work/device" "$DRAY_BIN"
    dray create --name web -p 18080:8080 -v data:/data --restart always 127.0.0.1:5000/one:v1 >/dev/null
    began=$(date +%s)
    for n in $(seq "$CYCLES"); do
        [ "$((n % 100))" != 0 ] || chapter "cycle $n of $CYCLES"
        cycle "$n"
        [ "$n" != 1 ] || { settled; count first; }
    done
    settled
    # The kernel takes dead processes' things away a moment later.
    eventually 5 nothing_grew || :
    chapter "after the first cycle, and after $CYCLES, $(($(date +%s) - began)) s"
    compare_counts
    dray rm -v web >/dev/null
    stop_registry
    exit "$((failures > 0))"
}

# A network stays a second after its last container.
settled() {
    eventually 5 no_bridge
}

no_bridge() {
    ! ip link show dray0 >/dev/null 2>&1
}

if [ "${DRAY_PRIVATE:-}" = inside ]; then inside; else outside "$@"; fi
