#!/bin/sh
# Installs what building, testing and the demo need on Debian 12, and checks the Rust toolchain.
#
#   tests/setup.sh                   does nothing when everything is there
set -eu

fail() {
    echo "setup: $*" >&2
    exit 1
}

# gcc pkg-config libseccomp-dev: build. mender-client mender-artifact: the peers that must accept us.
# docker-registry skopeo umoci attr apache2-utils openssl: images, a registry with passwords and TLS, reference trees.
# xz-utils zstd softhsm2 opensc: packed artifacts, and keys on a token. python3: power cuts and the rig. groff-base mandoc: what reads the manual pages. busybox-static debootstrap: contents of test images. e2fsprogs strace: power cuts. nftables iproute2 curl: network.
packages="gcc libc6-dev pkg-config libseccomp-dev mender-client mender-artifact docker-registry skopeo umoci attr
    apache2-utils openssl busybox-static debootstrap e2fsprogs strace nftables iproute2 curl ca-certificates
    binutils util-linux procps python3 xz-utils zstd softhsm2 opensc groff-base mandoc"

missing=
for package in $packages; do
    state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    case $state in
    ii*) ;;
    *) missing="$missing $package" ;;
    esac
done

if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || fail "this is not Debian; install the equivalents of:$missing"
    [ "$(id -u)" = 0 ] || fail "run as root once, to install:$missing"
    # Only the programs are wanted: neither a registry on port 5000 nor Mender's daemon is to start by itself.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 0755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    # shellcheck disable=SC2086 # a list of words
    apt-get -qq install --no-install-recommends $missing >/dev/null
    echo "setup: installed$missing"
fi

wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$(dirname "$0")/../Cargo.toml")
command -v cargo >/dev/null || fail "cargo not found: install Rust $wanted or later with rustup (https://rustup.rs)"
found=$(rustc --version | cut -d ' ' -f 2)
oldest=$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)
[ "$oldest" = "$wanted" ] || fail "Rust $found is too old: $wanted or later is needed (rustup update stable)"
for part in fmt clippy; do
    cargo $part --version >/dev/null 2>&1 ||
        fail "cargo $part not found: rustup component add rustfmt clippy"
done
