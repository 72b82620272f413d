#!/bin/sh
# Installs a built dray on this device, or takes it away again.
#
#   install.sh BINARY                install, or replace an older version; running containers go on running
#   install.sh --uninstall           remove; state (/var/lib/dray) and a changed configuration stay
#
#   DESTDIR=DIR install.sh BINARY    into an image that is being built: files only
#
# The binary is a real file in Mender's modules folder and /usr/bin/dray a link to it, not the other way round: clients
# since 5.1 refuse a module that leads out of that folder. Where Debian's mender-client package owns the path, its own
# module is diverted, so that upgrades of that package keep ours and removing ours brings theirs back.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR:-}
module=/usr/share/mender/modules/v3/docker
# Not beside the module: Mender's inventory lists every executable in that folder as a module.
diverted=/usr/share/dray/docker.distrib
link=/usr/bin/dray
config=/etc/dray/dray.ini
units="dray-boot.service dray-names.path dray-names.service dray-scrub.service dray-scrub.timer"
# Those that are enabled.
wanted="dray-boot.service dray-names.path dray-scrub.timer"

fail() {
    echo "install: $*" >&2
    exit 1
}

divert() {
    [ -z "$root" ] && command -v dpkg-divert >/dev/null
}

# init: systemd, openrc, sysv or none, by what the system is managed with.
init() {
    if command -v systemctl >/dev/null; then
        echo systemd
    elif command -v rc-update >/dev/null; then
        echo openrc
    elif command -v update-rc.d >/dev/null; then
        echo sysv
    else
        echo none
    fi
}

# put MODE FILE PATH: in one step, so that a power cut or a running client never sees half a file.
put() {
    mkdir -p "$root${3%/*}"
    scratch="$root${3%/*}/.${3##*/}.new"
    install -m "$1" "$2" "$scratch"
    sync "$scratch"
    mv -f "$scratch" "$root$3"
}

install_init() {
    if [ -n "$root" ]; then
        for unit in $units; do
            put 0644 "$here/$unit" "/usr/lib/systemd/system/$unit"
        done
        return
    fi
    case $(init) in
    systemd)
        for unit in $units; do
            put 0644 "$here/$unit" "/etc/systemd/system/$unit"
        done
        [ ! -d /run/systemd/system ] || systemctl daemon-reload
        # shellcheck disable=SC2086
        systemctl --quiet enable $wanted
        ;;
    openrc)
        put 0755 "$here/dray-boot.openrc" /etc/init.d/dray-boot
        rc-update --quiet add dray-boot default
        ;;
    sysv)
        put 0755 "$here/dray-boot.sysv" /etc/init.d/dray-boot
        update-rc.d dray-boot defaults >/dev/null
        ;;
    none)
        echo "install: no init system found: have \"dray boot\" run at each start, before Mender's client" >&2
        ;;
    esac
}

remove_init() {
    case $(init) in
    systemd)
        # shellcheck disable=SC2086
        systemctl --quiet disable $wanted 2>/dev/null || true
        for unit in $units; do
            rm -f "/etc/systemd/system/$unit"
        done
        [ ! -d /run/systemd/system ] || systemctl daemon-reload
        ;;
    openrc)
        rc-update --quiet delete dray-boot default || true
        rm -f /etc/init.d/dray-boot
        ;;
    sysv)
        rm -f /etc/init.d/dray-boot
        update-rc.d dray-boot remove >/dev/null
        ;;
    esac
}

install_all() {
    binary=$1
    [ -f "$binary" ] || fail "$binary is not a file; build it with tests/build-static.sh"
    if [ -e "$root$link" ] && [ "$(readlink "$root$link")" != "$module" ]; then
        fail "$root$link exists and is not ours"
    fi
    if divert; then
        # The diverted name's folder must be there before the diversion.
        mkdir -p "${diverted%/*}"
        dpkg-divert --quiet --local --rename --divert "$diverted" --add "$module"
    elif [ -z "$root" ] && [ -e "$module" ] && [ ! -L "$link" ]; then
        mkdir -p "${diverted%/*}"
        mv "$module" "$diverted"
    fi
    put 0755 "$binary" "$module"
    mkdir -p "$root${link%/*}"
    ln -sfn "$module" "$root$link"
    [ -e "$root$config" ] || put 0644 "$here/dray.ini" "$config"
    install_init
    echo "installed: $module, $link -> $module"
}

uninstall() {
    [ -z "$root" ] || fail "--uninstall does not take DESTDIR"
    [ "$(readlink "$link" || true)" = "$module" ] || fail "$link does not lead to $module: not installed by this script"
    # Their monitors are this program: without it nobody could stop them or see why they ended.
    running=$("$link" ps -q) || fail "\"dray ps\" failed; containers may be running"
    [ -z "$running" ] || fail "containers are running; stop them first: dray stop \$(dray ps -q)"
    remove_init
    rm -f "$link" "$module"
    if divert; then
        dpkg-divert --quiet --local --rename --divert "$diverted" --remove "$module"
    elif [ -e "$diverted" ]; then
        mv "$diverted" "$module"
    fi
    rmdir --ignore-fail-on-non-empty "${diverted%/*}" 2>/dev/null || true
    if cmp -s "$here/dray.ini" "$config"; then
        rm -f "$config"
        rmdir --ignore-fail-on-non-empty "${config%/*}"
    fi
    echo "removed; /var/lib/dray is left as it is"
}

case ${1:-} in
--uninstall) uninstall ;;
"" | -*) sed -n '2,/^set -eu/{/^set/d;s/^# \{0,1\}//;p;}' "$0" && [ "${1:-}" = --help ] ;;
*) install_all "$1" ;;
esac
