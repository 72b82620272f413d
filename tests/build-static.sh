#!/bin/sh
# Builds the device program as one static file and refuses to let it grow past its budget.
#
#   tests/build-static.sh            target/x86_64-unknown-linux-gnu/release/dray
#
# Its flags differ from a plain `cargo build`; through `--target` they get a folder of their own, so that neither build
# throws away the other's work.
set -eu
cd "$(dirname "$0")/.."

target=x86_64-unknown-linux-gnu
# 6.5 MB: what a device with an A/B layout and 64 MB of root filesystem can spare for this job.
limit=6500000

libseccomp=$(gcc -print-file-name=libseccomp.a)
case $libseccomp in
/*) ;;
*)
    echo "build-static: libseccomp.a not found; tests/setup.sh installs it (Debian: libseccomp-dev)" >&2
    exit 1
    ;;
esac
export LIBSECCOMP_LINK_TYPE=static LIBSECCOMP_LIB_PATH="${libseccomp%/*}"
# Not position independent: nothing to relocate at start, so a container's monitor keeps 0.4 MB less to itself.
export RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static"

cargo build --locked --release --target "$target" --no-default-features --features device --bin dray

binary="${CARGO_TARGET_DIR:-target}/$target/release/dray"
# A binary that would look for libraries on the device must not leave this script.
if LC_ALL=C readelf -l "$binary" | grep -q INTERP; then
    echo "build-static: $binary is not static: it asks for a dynamic loader" >&2
    exit 1
fi
size=$(stat -c %s "$binary")
echo "$binary: $size bytes of at most $limit"
if [ "$size" -gt "$limit" ]; then
    echo "build-static: $((size - limit)) bytes over the budget" >&2
    exit 1
fi
