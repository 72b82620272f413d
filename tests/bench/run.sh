#!/bin/sh
# dray and its peers in turn, on one machine and the same images: the table of the README, with ratios.
#
#   tests/bench/run.sh [RUNS]            RUNS of each short measurement, default 20
#
# Run as root on an otherwise idle Debian 12. The peers are Debian's docker.io 20.10 with the `docker` update module that
# Debian's mender-client ships, and Debian's podman. docker.io is unpacked into a folder, never installed: nothing of it
# starts by itself, and a docker that is already there stays as it is. Everything runs in namespaces of its own.
# DRAY_BIN and GEN_BIN name finished binaries; without them the static build is made.
set -eu

bench=$(cd "$(dirname "$0")" && pwd)
tests=$(dirname "$bench")
. "$tests/rig/lib.sh"

"$tests/setup.sh"
if [ -z "${DRAY_BIN:-}" ] || [ -z "${GEN_BIN:-}" ]; then
    "$tests/build-static.sh"
    built=$(target_folder "$tests/..")/x86_64-unknown-linux-gnu/release
    export DRAY_BIN="$built/dray" GEN_BIN="$built/docker-artifact-gen"
fi
CACHE=$("$tests/rig/prepare.sh")
export CACHE

peers="$CACHE/peers"
if [ ! -e "$peers/complete" ]; then
    rm -rf "$peers"
    mkdir -p "$peers/packages" "$peers/docker" "$peers/podman" "$peers/mender"
    (cd "$peers/packages" && apt-get -qq download docker.io containerd runc tini podman conmon netavark aardvark-dns mender-client)
    for package in "$peers"/packages/*.deb; do
        case "$(basename "$package")" in
        podman_* | conmon_* | netavark_* | aardvark-dns_*) dpkg -x "$package" "$peers/podman" ;;
        mender-client_*) dpkg -x "$package" "$peers/mender" ;;
        runc_*) dpkg -x "$package" "$peers/docker"; dpkg -x "$package" "$peers/podman" ;;
        *) dpkg -x "$package" "$peers/docker" ;;
        esac
    done
    # What podman's binary is linked with and a minimal Debian lacks, and what upstream's module calls.
    apt-get -qq install --no-install-recommends libgpgme11 libdevmapper1.02.1 libyajl2 iptables jq golang-github-containers-common \
        >/dev/null
    touch "$peers/complete"
fi

work=$(mktemp -d /var/tmp/dray-bench.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
"$tests/rig/private.sh" python3 "$bench/bench.py" "$work" "${1:-20}"
