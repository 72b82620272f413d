#!/bin/sh
# Writes the crates that Cargo.lock names as BitBake's fetcher wants them.
#
#   yocto/update-crates.sh           rewrites recipes-containers/dray/dray-crates.inc
#   yocto/update-crates.sh -         prints it
#
# "bitbake -c update_crates dray" writes the same list; this needs no BitBake, so a change of Cargo.lock and of the list
# can go into one commit (tests/yocto.rs compares them).
set -eu
cd "$(dirname "$0")"

list() {
    echo "# Written by yocto/update-crates.sh from Cargo.lock."
    echo
    awk -F '"' '
        /^name = /     { name = $2 }
        /^version = /  { version = $2 }
        /^checksum = / {
            uris = uris sprintf("    crate://crates.io/%s/%s \\\n", name, version)
            sums = sums sprintf("SRC_URI[%s-%s.sha256sum] = \"%s\"\n", name, version, $2)
        }
        END { printf "SRC_URI += \" \\\n%s\"\n\n%s", uris, sums }' ../Cargo.lock
}

if [ "${1:-}" = - ]; then
    list
else
    list >recipes-containers/dray/dray-crates.inc
fi
