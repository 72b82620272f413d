#!/bin/sh
# Makes what the tests need, once per machine, and prints the folder that holds it:
#
#   prepare.sh [--small]
#
#   FOLDER/bin        the compiled helpers: server, probe, cut, timed
#   FOLDER/layout     an image layout with all test images (tests/rig/images.py)
#   FOLDER/registry   the storage of a registry that serves them (tests/rig/lib.sh starts one)
#
# --small leaves out the Debian root, which takes a minute and the network. The folder is $DRAY_TEST_CACHE, by default
# /var/cache/dray-tests; whatever in it is older than its recipe is made anew.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${DRAY_TEST_CACHE:-/var/cache/dray-tests}
small=${1:-}
mkdir -p "$cache/bin"
exec 9>"$cache/lock"
flock 9

programs() {
    for program in server probe cut timed; do
        made="$cache/bin/$program"
        [ "$made" -nt "$here/$program.c" ] && continue
        cc -O2 -Wall -Wextra -Werror -static -s -o "$made.new" "$here/$program.c"
        mv "$made.new" "$made"
    done
}

debian() {
    [ -s "$cache/debian.tar" ] && return
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    # The mirror that apt uses here, so that a machine with a mirror of its own needs no other.
    mirror=$(apt-cache policy | awk -v want="$suite/main" '$3 == want { print $2; exit }')
    [ -n "$mirror" ] || { echo "prepare.sh: apt knows no mirror for $suite" >&2; exit 1; }
    echo "prepare.sh: making a Debian root from $mirror" >&2
    rm -rf "$cache/debian.tmp"
    debootstrap --variant=minbase --include=perl,python3 "$suite" "$cache/debian.tmp" "$mirror" >"$cache/debootstrap.log" 2>&1 ||
        { tail -5 "$cache/debootstrap.log" >&2; exit 1; }
    # As in published images: no device nodes, no downloaded packages, no package lists.
    tar --sort=name --numeric-owner --xattrs --exclude=./dev/* --exclude=./var/cache/apt/* --exclude=./var/lib/apt/lists/* \
        -C "$cache/debian.tmp" -cf "$cache/debian.tar.new" .
    mv "$cache/debian.tar.new" "$cache/debian.tar"
    rm -rf "$cache/debian.tmp"
}

recipe() {
    # Whether the Debian root is in it, and everything that decides what the images hold.
    { echo "$1"; cat "$here/images.py" "$here/layout.py" "$here/server.c"; } | sha256sum | cut -d' ' -f1
}

push() {
    # shellcheck source=lib.sh
    . "$here/lib.sh"
    rm -rf "$cache/registry"
    port=$(free_port)
    start_registry "$cache/registry" "$port"
    trap stop_registry EXIT
    python3 - "$cache/layout" <<'PYTHON' | while read -r name; do
import json, sys
for entry in json.load(open(sys.argv[1] + "/index.json"))["manifests"]:
    print(entry["annotations"]["org.opencontainers.image.ref.name"])
PYTHON
        skopeo copy --quiet --insecure-policy --dest-tls-verify=false \
            "oci:$cache/layout:$name" "docker://127.0.0.1:$port/${name%_*}:${name##*_}" </dev/null
    done
}

programs
kind=whole
[ "$small" = --small ] && kind=small
made=$(cat "$cache/made" 2>/dev/null || :)
if [ "$made" != "$(recipe whole)" ] && [ "$made" != "$(recipe "$kind")" ]; then
    rm -f "$cache/made"
    [ "$kind" = small ] || debian
    rm -rf "$cache/layout"
    set -- "$cache/layout" "$cache/bin/server"
    [ "$kind" = small ] || set -- "$@" "$cache/debian.tar"
    python3 "$here/images.py" "$@"
    push
    recipe "$kind" >"$cache/made"
fi
echo "$cache"
