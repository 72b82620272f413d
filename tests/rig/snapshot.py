"""What a device holds, as numbers, and what became more.

    snapshot.py take STATE RUN [PID...]    print the counters as JSON; the processes named are not the device's
    snapshot.py compare BEFORE AFTER       print both files side by side; exit 1 if any counter grew

Taken inside private.sh, so that the kernel's things (mounts, namespaces, groups, rules) are the device's own.
"""

import json
import os
import subprocess
import sys


def entries(*path):
    """Names in a folder that are not scratch; 0 if the folder does not exist."""
    try:
        return sum(not name.startswith(".tmp-") for name in os.listdir(os.path.join(*path)))
    except FileNotFoundError:
        return 0


def processes(ignored):
    """The pids here, without the ignored ones, this process and its parents."""
    mine, pid = set(ignored), os.getpid()
    while pid:
        mine.add(pid)
        with open(f"/proc/{pid}/stat") as stat:
            pid = int(stat.read().rpartition(")")[2].split()[1])
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in mine]


def count_over(pids, look):
    """Sum of look(pid) over the processes that still live."""
    total = 0
    for pid in pids:
        try:
            total += look(pid)
        except OSError:
            # It ended meanwhile: no file, no process, or, for a mount table, an invalid argument.
            continue
    return total


def namespaces(pids):
    found = set()
    for pid in pids:
        for kind in ("mnt", "net", "pid", "ipc", "uts", "cgroup"):
            try:
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return len(found)


def mount_lines(pid):
    with open(f"/proc/{pid}/mountinfo") as mounts:
        return sum(1 for _ in mounts)


def cgroups():
    return sum(len(folders) for _, folders, _ in os.walk("/sys/fs/cgroup"))


def nft():
    """Rules, chains, sets, their elements: every object the firewall holds."""
    text = subprocess.run(["nft", "-j", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
    count = 0
    for entry in json.loads(text)["nftables"]:
        ((kind, value),) = entry.items()
        count += kind != "metainfo"
        count += len(value.get("elem", [])) if kind in ("set", "map") else 0
    return count


def scratch(state):
    """Paths of unfinished writes and half-deleted trees."""
    return [
        os.path.join(folder, name)
        for folder, folders, files in os.walk(state)
        for name in folders + files
        if name.startswith(".tmp-")
    ]


def take(state, run, ignored):
    pids = processes(ignored)
    return {
        "containers": entries(state, "containers"),
        "layers": entries(state, "layers", "sha256"),
        "blobs": entries(state, "blobs", "sha256"),
        "pins": entries(state, "pins"),
        "volumes": entries(state, "volumes"),
        "scratch": len(scratch(state)),
        "run files": sum(len(folders) + len(files) for _, folders, files in os.walk(run)),
        "processes": len(pids),
        "descriptors": count_over(pids, lambda pid: len(os.listdir(f"/proc/{pid}/fd"))),
        "mounts here": mount_lines("self"),
        "mounts in all": count_over(pids, mount_lines),
        "namespaces": namespaces(pids),
        "cgroups": cgroups(),
        "interfaces": len(os.listdir("/sys/class/net")),
        "firewall objects": nft(),
    }


def compare(before, after):
    grown = False
    for name, first in before.items():
        last = after[name]
        grown |= last > first
        print(f"   {name:<17} {first:>6} {last:>6}{'   MORE' if last > first else ''}")
    return 1 if grown else 0


def main():
    if len(sys.argv) < 4 or sys.argv[1] not in ("take", "compare"):
        sys.exit(__doc__)
    if sys.argv[1] == "take":
        json.dump(take(sys.argv[2], sys.argv[3], map(int, sys.argv[4:])), sys.stdout, indent=1)
        return
    with open(sys.argv[2]) as first, open(sys.argv[3]) as last:
        sys.exit(compare(json.load(first), json.load(last)))


if __name__ == "__main__":
    main()
