#!/bin/sh
# Runs a command in a machine of its own: private mounts, network, processes and control groups.
#
#   private.sh COMMAND...
#
# Inside, every process, mount, interface, firewall rule and control group belongs to the command, so a leak is whatever
# is left, and nothing of it outlives the command: not on failure and not when it is killed. The file system is the
# machine's own, except for /run, which is empty.
set -eu

[ "$(id -u)" = 0 ] || { echo "private.sh: needs root (namespaces, mounts, control groups)" >&2; exit 2; }

enter() {
    mount -t proc proc /proc
    umount -R -l /sys
    mount -t sysfs sysfs /sys
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir -p /run/lock
    ip link set lo up
    if [ "$DRAY_CGROUPS" = "unified" ]; then
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        # A group that hands controllers to its children may hold no process itself.
        mkdir /sys/fs/cgroup/harness
        for pid in $(cat /sys/fs/cgroup/cgroup.procs); do echo "$pid" >/sys/fs/cgroup/harness/cgroup.procs || :; done
        for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
            echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
        done
    else
        mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
        echo "$DRAY_CGROUPS" | while read -r kind place options; do
            mkdir -p "$place"
            mount -t "$kind" ${options:+-o "$options"} "$kind" "$place"
        done
    fi
    unset DRAY_CGROUPS
}

if [ "${DRAY_PRIVATE:-}" = entering ]; then
    enter
    export DRAY_PRIVATE=inside
    # Not exec: this shell is the namespace's first process and collects the orphans.
    set +e
    "$@"
    exit $?
fi

# One line per hierarchy: type, mount point, options that select it.
cgroups() {
    awk '$3 == "cgroup" || $3 == "cgroup2" {
        options = $4; gsub(/(rw|ro|nosuid|nodev|noexec|relatime|nsdelegate|memory_recursiveprot|xattr),?/, "", options)
        sub(/,$/, "", options);
        print $3, $2, options }' /proc/mounts | sort -u -k2,2
}

hierarchies=$(cgroups)
[ -n "$hierarchies" ] || { echo "private.sh: no cgroup hierarchy is mounted" >&2; exit 2; }
name="dray-test-$$"

leave() {
    echo "$hierarchies" | while read -r _ place _; do
        [ -d "$place/$name" ] || continue
        # The last processes may still be dying.
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            find "$place/$name" -depth -type d -exec rmdir {} + 2>/dev/null && break
            sleep 0.2
        done
    done
}
trap leave EXIT
trap 'exit 130' INT TERM

echo "$hierarchies" | while read -r _ place _; do
    mkdir "$place/$name"
    for file in cpuset.cpus cpuset.mems; do
        # v1: a new cpuset is empty and takes no process.
        if [ -e "$place/$name/$file" ] && [ -z "$(cat "$place/$name/$file")" ] && [ -n "$(cat "$place/$file")" ]; then
            cat "$place/$file" >"$place/$name/$file"
        fi
    done
done

case "$hierarchies" in
"cgroup2 /sys/fs/cgroup "*) DRAY_CGROUPS=unified ;;
*) DRAY_CGROUPS=$hierarchies ;;
esac
export DRAY_CGROUPS DRAY_PRIVATE=entering DRAY_PLACES="$(echo "$hierarchies" | awk -v n="$name" '{print $2 "/" n}')"

set +e
# The inner shell joins the groups and only then makes the namespace, whose root they become.
sh -c 'for place in $DRAY_PLACES; do echo $$ >"$place/cgroup.procs" || exit 2; done
       unset DRAY_PLACES
       exec unshare --mount --net --pid --cgroup --fork --kill-child --propagation private -- "$@"' sh "$0" "$@"
