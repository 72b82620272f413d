#!/bin/sh
# The whole story on real parts: Debian's mender client, docker-artifact-gen, dray as the `docker` module, a registry.
#
#   tests/demo.sh
#
# Run as root on a Debian 12. Everything happens in namespaces of its own (tests/rig/private.sh): the machine's module,
# containers, interfaces and firewall are not touched, and nothing is left behind, also on failure.
# DRAY_BIN and GEN_BIN name finished binaries; without them both are built. Exit code 1 if any step failed.
set -eu

tests=$(cd "$(dirname "$0")" && pwd)
. "$tests/rig/lib.sh"

if [ $# -gt 0 ]; then
    # Its head says what it does; nothing can be chosen.
    sed -n '2,/^set -eu/{/^set/d;s/^# \{0,1\}//;p;}' "$0" >&2
    exit 2
fi

outside() {
    prepare_demo "$tests"
    "$tests/rig/private.sh" "$tests/demo.sh"
}

# prober_start; prober_stop FROM TO prints the longest gap in ms between answers of FROM and of TO, nothing if the one
# never followed the other.
prober_start() {
    "$CACHE/bin/probe" 127.0.0.1 18080 >"$work/probe" &
    PROBE_PID=$!
    eventually 2 grep -q . "$work/probe" || :
}
prober_stop() {
    # The line about a gap comes with the first answer after it.
    eventually 5 answers http://127.0.0.1:18080/ || :
    sleep 0.1
    kill "$PROBE_PID"
    wait "$PROBE_PID" || :
    awk -v from="$1" -v to="$2" '
        $1 == from && $2 == to { seen = 1; if ($3 > longest) longest = $3 }
        END { if (seen) printf "%.1f", longest / 1000 }' "$work/probe"
}

# The release NAME of the image's tag, as an artifact that publishes the container's port. One deployment is a container
# called "web" in each release: the name moves from one to the next.
release() { artifact "$1" "127.0.0.1:5000/$image:$2" "--name web -p 18080:8080 --restart unless-stopped"; }

running() { dray ps -q | wc -l; }

first_release() {
    chapter "$image: from a tag to an artifact"
    check "docker-artifact-gen writes v1" release v1 v1
    wanted="127.0.0.1:5000/$image@$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://127.0.0.1:5000/$image:v1")"
    found=$(mender-artifact read "$device/v1.mender" 2>/dev/null | grep -o "127.0.0.1:5000/$image@sha256:[0-9a-f]*" || :)
    equal "the artifact names the tag's digest" "$wanted" "$found"
    chapter "$image: first installation"
    begin=$(now_ms)
    check "mender install v1" client install "$device/v1.mender"
    say "took $(($(now_ms) - begin)) ms, of it $((STABLE_S * 1000)) ms watching that it stays up"
    equal "it serves before the commit" v1 "$(served 127.0.0.1:18080)"
    check "mender commit" client commit
    equal "it serves" v1 "$(served 127.0.0.1:18080)"
    equal "containers running" 1 "$(running)"
}

update() {
    chapter "$image: v2 replaces v1"
    check "docker-artifact-gen writes v2" release v2 v2
    prober_start
    check "mender install v2" client install "$device/v2.mender"
    gap=$(prober_stop v1 v2)
    equal "it serves" v2 "$(served 127.0.0.1:18080)"
    at_most "nobody answered for" 100 "$gap" ms
    check "mender commit" client commit
    equal "containers left, running or not" 1 "$(dray ps -a -q | wc -l)"
}

refusals() {
    chapter "$image: an image whose process dies at once"
    check "docker-artifact-gen writes it" release bad dead
    prober_start
    refuse "mender install refuses it" client install "$device/bad.mender"
    gap=$(prober_stop v2 v2)
    equal "v2 goes on serving" v2 "$(served 127.0.0.1:18080)"
    say "v2 was away for ${gap:-0} ms"
    equal "containers left, running or not" 1 "$(dray ps -a -q | wc -l)"
    chapter "$image: an image that never gets healthy"
    check "docker-artifact-gen writes it" release sick sick
    refuse "mender install refuses it" client install "$device/sick.mender"
    equal "v2 goes on serving" v2 "$(served 127.0.0.1:18080)"
}

roll_back() {
    chapter "$image: v3 is installed and rolled back"
    check "docker-artifact-gen writes v3" release v3 v3
    check "mender install v3" client install "$device/v3.mender"
    equal "it serves" v3 "$(served 127.0.0.1:18080)"
    prober_start
    check "mender rollback" client rollback
    gap=$(prober_stop v3 v2)
    equal "it serves" v2 "$(served 127.0.0.1:18080)"
    at_most "nobody answered for" 100 "$gap" ms
    equal "containers left, running or not" 1 "$(dray ps -a -q | wc -l)"
}

reboots() {
    chapter "$image: the power goes, and the registry is out of reach"
    stop_registry
    check "dray boot" device_reboot
    check "it answers" eventually 5 answers http://127.0.0.1:18080/
    equal "it serves" v2 "$(served 127.0.0.1:18080)"
    start_registry "$work/registry" 5000
    chapter "$image: the power goes while v3 waits for its commit"
    check "mender install v3" client install "$device/v3.mender"
    check "dray boot" device_reboot
    check "it answers" eventually 5 answers http://127.0.0.1:18080/
    equal "the trial goes on" v3 "$(served 127.0.0.1:18080)"
    check "mender rollback" client rollback
    equal "it serves" v2 "$(served 127.0.0.1:18080)"
    equal "containers left, running or not" 1 "$(dray ps -a -q | wc -l)"
}

nothing_left() {
    chapter "$image: taking it away"
    check "dray rm -f" dray rm -f web
    equal "containers left" 0 "$(dray ps -a -q | wc -l)"
    equal "answers" nothing "$(served 127.0.0.1:18080)"
    equal "interfaces left" lo "$(ls /sys/class/net | xargs)"
    equal "firewall rules left" "" "$(nft list ruleset)"
    equal "mounts left" "" "$(awk -v d="$device/s" 'index($5, d) == 1' /proc/self/mountinfo)"
}

inside() {
    . "$tests/rig/device.sh"
    STABLE_S=2
    cp -r "$CACHE/registry" "$work/registry"
    start_registry "$work/registry" 5000
    for image in one root; do
        device_new "$work/$image" "$DRAY_BIN"
        first_release
        update
        refusals
        roll_back
        reboots
        nothing_left
    done
    stop_registry
    chapter "$([ "$failures" = 0 ] && echo "PASS: every step" || echo "FAIL: $failures steps")"
    exit "$((failures > 0))"
}

if [ "${DRAY_PRIVATE:-}" = inside ]; then inside; else outside; fi
