#!/bin/sh
# Everything that must hold before a change is merged, quick checks first.
#
#   tests/run.sh                     as root: the tests mount, make namespaces, cgroups and firewall rules
set -eu
if [ $# -gt 0 ]; then
    # Its head says what it does; nothing can be chosen.
    sed -n '2,/^set -eu/{/^set/d;s/^# \{0,1\}//;p;}' "$0" >&2
    exit 2
fi
cd "$(dirname "$0")/.."

step() {
    printf '\n== %s (%s)\n' "$*" "$(date +%T)"
}

[ "$(id -u)" = 0 ] || {
    echo "run: the tests mount, make namespaces, cgroups and firewall rules: run as root" >&2
    exit 1
}

step "packages and toolchain"
tests/setup.sh

step "format"
cargo fmt --check

step "lints: both programs, device only, generator only"
cargo clippy --locked --all-targets --all-features -- -D warnings
cargo clippy --locked --no-default-features --features device -- -D warnings
cargo clippy --locked --no-default-features --features artifact-gen -- -D warnings

# With the switches that break the commit protocol on purpose built in: without `DRAY_BREAK` they do nothing.
step "tests"
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --features failpoints,docs --run-ignored all
else
    # One at a time, since several tests need the same parts of the host; nextest runs the others side by side.
    # The reasons for those that are skipped stand in .config/nextest.toml.
    cargo test --locked --features failpoints,docs --no-fail-fast -- --include-ignored --test-threads 1 \
        --skip docker_itself_says_what_the_record_says --skip zsh_and_fish_can_read_theirs
fi

step "static build"
tests/build-static.sh

step "demo, on the static build"
built=${CARGO_TARGET_DIR:-$PWD/target}/x86_64-unknown-linux-gnu/release
DRAY_BIN="$built/dray" GEN_BIN="$built/docker-artifact-gen" tests/demo.sh

step "all good"
