# A device below one folder: dray installed as Mender's `docker` module, Debian's client, and reboots on demand.
# Sourced, inside private.sh, after lib.sh. Needs DRAY_BIN; functions use $device, which device_new sets.

# device_new DIR MODULE: a device below DIR whose `docker` module is the file MODULE.
device_new() {
    [ "${DRAY_PRIVATE:-}" = inside ] || { echo "device.sh: not inside private.sh" >&2; exit 2; }
    device=$1
    mkdir -p "$device/etc/mender" "$device/mender" "$device/state" "$device/run" "$device/bin"
    cat >"$device/etc/dray.ini" <<INI
[paths]
state = $device/state
run = $device/run
[health]
stable_s = ${STABLE_S:-2}
timeout_s = 20
INI
    export DRAY_CONFIG="$device/etc/dray.ini"
    # Mounts of this namespace only: the machine's module and its Mender configuration stay as they are.
    install -m 755 "$2" "$device/bin/docker"
    mount --bind "$device/bin/docker" /usr/share/mender/modules/v3/docker
    mount --bind "$device/etc/mender" /etc/mender
    echo artifact_name=factory >/etc/mender/artifact_info
    echo device_type=qemu >"$device/mender/device_type"
    new_boot_id
}

dray() { "$DRAY_BIN" "$@"; }

# The client as a person calls it. Its log stays in $device/mender.log; the last call's alone in mender.last.
client() {
    set -- mender --no-syslog --data "$device/mender" "$@"
    # The shells disagree whether a failure ends a command substitution; this one is to be reported.
    _code=0
    "$@" >"$device/mender.last" 2>&1 || _code=$?
    { echo "\$ $*"; cat "$device/mender.last"; echo "rc $_code"; } >>"$device/mender.log"
    # What the module said is what a person wants to see of a failure; then why the client gave up.
    sed -n 's/.*Output ([a-z]*) from command \\"[^"]*\\": \(.*\)"$/\1/p; s/.*level=error msg="\(.*\)"$/mender: \1/p' "$device/mender.last"
    return $_code
}

# artifact NAME IMAGE RUN_ARGS [OPTION...]: makes $device/NAME.mender for the image's tag as the registry has it now.
artifact() {
    _name=$1 _image=$2 _run_args=$3
    shift 3
    "$GEN_BIN" -n "$_name" -t qemu -o "$device/$_name.mender" --run-args "$_run_args" "$@" "$_image"
}

new_boot_id() {
    cat /proc/sys/kernel/random/uuid >"$device/etc/boot_id.new"
    mv "$device/etc/boot_id.new" "$device/etc/boot_id.$(date +%s%N)"
    umount /proc/sys/kernel/random/boot_id 2>/dev/null || :
    mount --bind "$(ls -t "$device"/etc/boot_id.* | head -n 1)" /proc/sys/kernel/random/boot_id
}

# Every process of this namespace dies at once, except the harness and its own children (a registry, a prober): what dray
# left running is nobody's child here.
kill_device() {
    for _proc in /proc/[0-9]*; do
        _pid=${_proc#/proc/}
        [ "$_pid" = 1 ] || [ "$_pid" = $$ ] && continue
        # The command name may hold spaces and brackets: the parent is the second word after its closing bracket.
        _parent=$(sed 's/.*) //' "$_proc/stat" 2>/dev/null | cut -d' ' -f2)
        [ "$_parent" = $$ ] || kill -KILL "$_pid" 2>/dev/null || :
    done
}

# What a power cycle takes away beside the processes: mounts, interfaces, firewall rules, control groups, /run.
forget_boot() {
    awk -v d="$device/" 'index($5, d "state/") == 1 || index($5, d "run/") == 1 { print $5 }' /proc/self/mountinfo |
        sort -r | while read -r _mount; do umount -l "$_mount"; done
    nft flush ruleset
    for _link in $(ip -o link show | sed -n 's/^[0-9]*: \([^:@]*\)[:@].*/\1/p'); do
        [ "$_link" = lo ] || ip link delete "$_link" 2>/dev/null || :
    done
    find /sys/fs/cgroup -mindepth 2 -depth -type d ! -path '*/harness' -exec rmdir {} + 2>/dev/null || :
    rm -rf "$device/run"
    mkdir "$device/run"
    new_boot_id
}

no_container_left() {
    ! find /sys/fs/cgroup -mindepth 3 -name cgroup.procs ! -path '*/harness/*' -exec cat {} + 2>/dev/null | grep -q .
}

# Pulls the plug and starts again, as the init system would.
device_reboot() {
    kill_device
    eventually 10 no_container_left
    forget_boot
    dray boot
}

# count NAME: what the device holds now, in $work/NAME. The registry's processes are not the device's.
count() {
    python3 "$tests/rig/snapshot.py" take "$device/state" "$device/run" "$REGISTRY_PID" >"$work/$1"
}

# nothing_grew: whether no counter is higher now than at `count first`; counts `last`.
nothing_grew() {
    count last
    python3 "$tests/rig/snapshot.py" compare "$work/first" "$work/last" >/dev/null
}

# compare_counts: shows first and last side by side; FAIL if any counter grew.
compare_counts() {
    if python3 "$tests/rig/snapshot.py" compare "$work/first" "$work/last"; then
        pass "nothing grew"
    else
        fail "something grew"
    fi
}
