#!/bin/sh
# Builds both programs as static files and refuses to let the device's grow past its budget.
#
#   tests/build-static.sh            target/x86_64-unknown-linux-gnu/release/{dray,docker-artifact-gen}
#   tests/build-static.sh aarch64    target/aarch64-unknown-linux-gnu/release/…, on another machine too
#
# For another machine: rustup target add aarch64-unknown-linux-gnu; apt-get install gcc-aarch64-linux-gnu; and libseccomp.a of
# Debian's libseccomp-dev:arm64, whose folder LIBSECCOMP_LIB_PATH names unless the package is installed.
#
# Its flags differ from a plain `cargo build`; through `--target` they get a folder of their own, so that neither build
# throws away the other's work.
set -eu
cd "$(dirname "$0")/.."

machine=${1:-$(uname -m)}
case $machine in
x86_64 | aarch64) target=$machine-unknown-linux-gnu ;;
*)
    echo "build-static: $machine: only x86_64 and aarch64 are built" >&2
    exit 2
    ;;
esac
# The tools that know this machine's files.
tools=
linker=
if [ "$machine" != "$(uname -m)" ]; then
    tools=$machine-linux-gnu-
    command -v "${tools}gcc" >/dev/null || {
        echo "build-static: ${tools}gcc not found (Debian: gcc-$machine-linux-gnu)" >&2
        exit 1
    }
    upper=$(echo "$target" | tr 'a-z-' 'A-Z_')
    export "CARGO_TARGET_${upper}_LINKER=${tools}gcc"
fi
# rustc takes its own linker by itself for x86_64 only; the others do not know --icf.
[ "$machine" = x86_64 ] || linker="-Z unstable-options -C linker-features=+lld -C link-self-contained=+linker"
# 7 MB: what a device with an A/B layout and 64 MB of root filesystem can spare for this job.
limit=7000000

libseccomp=${LIBSECCOMP_LIB_PATH:+$LIBSECCOMP_LIB_PATH/libseccomp.a}
libseccomp=${libseccomp:-$("${tools}gcc" -print-file-name=libseccomp.a)}
case $libseccomp in
/*) ;;
*)
    echo "build-static: libseccomp.a not found; tests/setup.sh installs it (Debian: libseccomp-dev)" >&2
    exit 1
    ;;
esac
export LIBSECCOMP_LINK_TYPE=static LIBSECCOMP_LIB_PATH="${libseccomp%/*}"
# Not position independent: nothing is relocated at start, so each monitor keeps less memory to itself (README, numbers).
# The price is a fixed load address; the stack, the heap and every container stay randomised.
# Functions that came out the same are kept once, and so are runs of instructions: 200 KB less, for 4% more time of a pull.
flags="-C target-feature=+crt-static -C relocation-model=static -C force-unwind-tables=no -C link-arg=-Wl,--icf=all -C llvm-args=-enable-machine-outliner=always $linker"
# Where the builder keeps sources is no part of a program, and stands in each place that can panic otherwise.
crates=${CARGO_HOME:-$HOME/.cargo}/registry/src
# Nor are the lines of all these places, a tenth of a megabyte of text for a panic that is a bug anyway; the option is
# unstable only in that nobody has promised its name.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="$flags -Z location-detail=none --remap-path-prefix=$crates= --remap-path-prefix=$PWD="

# The index of the unwind tables is left out, so that nobody looks for the tables themselves, which go below.
for program in dray docker-artifact-gen; do
    cargo rustc --locked --release --target "$target" --bin "$program" -- -C link-arg=-Wl,--no-eh-frame-hdr
done

built=${CARGO_TARGET_DIR:-target}/$target/release
# A panic aborts, so nothing ever walks the unwind tables, a tenth of the program: four zero bytes are an empty one. rustc
# leaves them in whatever it is told, because the standard library was compiled to unwind.
empty=$(mktemp)
trap 'rm -f "$empty"' EXIT
printf '\0\0\0\0' >"$empty"
for binary in "$built/dray" "$built/docker-artifact-gen"; do
    "${tools}objcopy" --update-section .eh_frame="$empty" "$binary"
    # A binary that would look for libraries on the device must not leave this script.
    if LC_ALL=C "${tools}readelf" -l "$binary" | grep -q INTERP; then
        echo "build-static: $binary is not static: it asks for a dynamic loader" >&2
        exit 1
    fi
    echo "$binary: $(stat -c %s "$binary") bytes"
done
# An error is one line and an exit code, also where somebody asks for the backtrace that these programs cannot make.
starts() {
    printf '[unknown]\n' >"$empty"
    status=0
    RUST_BACKTRACE=1 DRAY_CONFIG="$empty" "$built/dray" ps 2>/dev/null || status=$?
    if [ "$status" -eq 0 ] || [ "$status" -ge 128 ]; then
        echo "build-static: dray ends with $status instead of reporting an error" >&2
        exit 1
    fi
}
# Another machine's is not run here.
[ -n "$tools" ] || starts
size=$(stat -c %s "$built/dray")
echo "dray: $size bytes of at most $limit"
if [ "$size" -gt "$limit" ]; then
    echo "build-static: $((size - limit)) bytes over the budget" >&2
    exit 1
fi
