# Shell functions shared by the demo, the soak test and the benchmark. Sourced, not run.

failures=0

# A heading of the narrative, and its verdicts. A failed step does not end the story: the rest still says something.
chapter() { printf '\n== %s\n' "$*"; }
say() { printf '   %s\n' "$*"; }
pass() { printf '   PASS  %s\n' "$*"; }
fail() {
    printf '   FAIL  %s\n' "$*"
    failures=$((failures + 1))
}

# check DESCRIPTION COMMAND...: PASS or FAIL by the command's status; its output is shown only if it failed.
check() {
    _what=$1
    shift
    if _said=$("$@" 2>&1); then
        pass "$_what"
    else
        fail "$_what"
        printf '%s\n' "$_said" | tail -n 40 | sed 's/^/         | /'
    fi
}

# refuse DESCRIPTION COMMAND...: the same for a command that has to fail; what it said is shown on success too.
refuse() {
    _what=$1
    shift
    if _said=$("$@" 2>&1); then
        fail "$_what (it succeeded)"
    else
        pass "$_what"
    fi
    printf '%s\n' "$_said" | tail -n 12 | sed 's/^/         | /'
}

# equal DESCRIPTION WANTED FOUND
equal() {
    if [ "$2" = "$3" ]; then pass "$1: $3"; else fail "$1: wanted $2, found $3"; fi
}

# at_most DESCRIPTION LIMIT FOUND UNIT: numbers may have a fraction.
at_most() {
    if awk -v l="$2" -v f="$3" 'BEGIN { exit !(f != "" && f + 0 <= l + 0) }'; then
        pass "$1: $3 $4 (at most $2 $4)"
    else
        fail "$1: $3 $4 (at most $2 $4)"
    fi
}

now_ms() { awk '{ printf "%d", $1 * 1000 }' /proc/uptime; }

# eventually SECONDS COMMAND...: waits until the command succeeds.
eventually() {
    _left=$(($1 * 50))
    shift
    until "$@"; do
        _left=$((_left - 1))
        [ "$_left" -gt 0 ] || return 1
        sleep 0.02
    done
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

answers() { curl --silent --fail --max-time 1 --output /dev/null "$1"; }

# target_folder PACKAGE: where cargo puts what it builds.
target_folder() {
    (cd "$1" && cargo metadata --no-deps --format-version 1) |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])'
}

# prepare_demo TESTS [--small]: what a story on real parts needs: packages, both binaries, images, a folder to work in.
# Sets and exports DRAY_BIN, GEN_BIN, CACHE and work; the folder goes when the caller ends.
prepare_demo() {
    "$1/setup.sh"
    if [ -z "${DRAY_BIN:-}" ] || [ -z "${GEN_BIN:-}" ]; then
        (cd "$1/.." && cargo build --release)
        _built=$(target_folder "$1/..")/release
        DRAY_BIN="$_built/dray" GEN_BIN="$_built/docker-artifact-gen"
    fi
    CACHE=$("$1/rig/prepare.sh" ${2:+"$2"})
    work=$(mktemp -d /var/tmp/dray-test.XXXXXX)
    export DRAY_BIN GEN_BIN CACHE work
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM
}

# start_registry STORAGE PORT: a registry on the loopback, its process in REGISTRY_PID. Its log is STORAGE.log.
start_registry() {
    mkdir -p "$1"
    cat >"$1.yml" <<YAML
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $1}
  delete: {enabled: true}
http: {addr: 127.0.0.1:$2}
YAML
    # Nothing of the caller is inherited: a lock that stays open in a server is held for ever.
    docker-registry serve "$1.yml" >"$1.log" 2>&1 9>&- </dev/null &
    REGISTRY_PID=$!
    eventually 10 answers "http://127.0.0.1:$2/v2/" || {
        echo "the registry does not answer on port $2:" >&2
        tail -n 5 "$1.log" >&2
        return 1
    }
}

stop_registry() {
    kill "$REGISTRY_PID"
    wait "$REGISTRY_PID" 2>/dev/null || :
}

# served ADDRESS:PORT: the version that answers, or "nothing".
served() {
    # A program that has just been started may take a moment until it listens.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        curl --silent --fail --max-time 1 "http://$1/" && return
        sleep 0.1
    done
    echo nothing
}
