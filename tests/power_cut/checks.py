"""What must hold on the disk right after a cut, and on the whole device once the next calls are through."""

import hashlib
import json
import os
import re
import sys
import time
import urllib.request

import trees

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "rig"))
import snapshot  # noqa: E402  (found by the line above)

SCRATCH = ".tmp-"
# Notes of layers that came with a download that broke off (`src/store/unfinished.rs` has the rule).
NOTE = re.compile(r"layer-([0-9a-f]{64})")
NOTE_AGE_S = 7 * 24 * 60 * 60
MOST_NOTES = 500
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
PORT = 18080
ANSWER_PATIENCE_S = 5
# Kernel counters that may not be higher than on a device that was never cut. The number of files in the run folder
# depends on which verbs were called; the soak test watches it.
COUNTERS = (
    "containers", "layers", "blobs", "pins", "volumes", "scratch", "processes", "descriptors", "mounts here",
    "mounts in all", "namespaces", "cgroups", "interfaces", "firewall objects",
)  # fmt: skip


def names(*path):
    """What a folder holds under final names; nothing if it does not exist."""
    try:
        return sorted(name for name in os.listdir(os.path.join(*path)) if not name.startswith(SCRATCH))
    except FileNotFoundError:
        return []


def read(path):
    with open(path, "rb") as file:
        return file.read()


def records(state):
    """The small files that say what is what: everything but layers, blobs, and what containers and their monitors write
    at moments of their own."""
    skipped = {"layers", "blobs", "partial", "upper", "work", "top", "logs", "volumes"}
    for folder, folders, files in os.walk(state):
        folders[:] = [name for name in folders if name not in skipped and not name.startswith(SCRATCH)]
        for name in files:
            if not name.startswith(SCRATCH):
                yield os.path.join(folder, name)


def torn(state, catalogue):
    """A name on the disk means that the thing is whole; what a record names is there. One line per breach."""
    lines = []
    for diff_id in names(state, "layers", "sha256"):
        wanted = catalogue.layers.get(f"sha256:{diff_id}")
        if wanted is None:
            lines.append(f"layer {diff_id} belongs to no image")
            continue
        wrong = trees.differences(wanted, os.path.join(state, "layers", "sha256", diff_id, catalogue.root))
        lines += [f"torn layer {diff_id[:12]}: {line}" for line in wrong[:3]]
    for digest in names(state, "blobs", "sha256"):
        if hashlib.sha256(read(os.path.join(state, "blobs", "sha256", digest))).hexdigest() != digest:
            lines.append(f"torn blob {digest[:12]}")
    for path in records(state):
        data = read(path)
        if path.endswith(".json") or os.path.dirname(path) == os.path.join(state, "networks"):
            try:
                json.loads(data)
            except ValueError:
                lines.append(f"torn record {path}: {data[:60]!r}")
    return lines + dangling(state, catalogue)


def dangling(state, catalogue):
    """Pins, names and containers whose images are not there as a whole."""
    lines = []
    by_digest = {image[key]: image for image in catalogue.images.values() for key in ("manifest", "config")}
    for path in records(state):
        if os.path.relpath(path, state).split(os.sep)[0] in ("deployments", "networks"):
            continue  # the journal names what it is about to fetch; its containers are checked below
        for digest in sorted(set(DIGEST.findall(read(path).decode("utf-8", "replace")))):
            image = by_digest.get(digest, {"layers": [], "manifest": None, "config": None})
            needed = [("blobs", image["manifest"]), ("blobs", image["config"])]
            needed += [("layers", layer) for layer in image["layers"]]
            for kind, need in needed:
                if need and not os.path.exists(os.path.join(state, kind, "sha256", need.removeprefix("sha256:"))):
                    lines.append(f"{os.path.relpath(path, state)} names {digest[:19]}, whose {need[:19]} is not in {kind}")
    held = "".join(names(state, "pins"))
    for container in names(state, "containers"):
        if container not in held:
            lines.append(f"container {container[:12]} has no pin")
        if not os.path.exists(os.path.join(state, "containers", container, "config.json")):
            lines.append(f"container {container[:12]} has no record")
    return lines


def durable(state):
    """What a call that reported success has promised: the records, and which layers and blobs there are."""
    view = {
        os.path.relpath(path, state): read(path)
        for path in records(state)
        if os.path.basename(path) not in ("outcome.json", "reserve")
    }
    return view | {f"{kind}/": "\n".join(names(state, kind, "sha256")).encode() for kind in ("layers", "blobs")}


def lost(before, after):
    """Where a promise was not kept: one line per record that differs."""
    return [
        f"the finished call's {path} was lost: {before.get(path, b'(absent)')[:200]!r} became {after.get(path, b'(absent)')[:200]!r}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def served():
    """The version that answers, or None."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=1) as reply:
            return reply.read().decode().strip()
    except OSError:
        return None


def serves(allowed):
    """A breach if none of the allowed versions answers (None among them: nothing may answer too)."""
    deadline = time.monotonic() + (0 if None in allowed else ANSWER_PATIENCE_S)
    while (version := served()) not in allowed and time.monotonic() < deadline:
        time.sleep(0.01)
    return [] if version in allowed else [f"{version} answers, wanted {' or '.join(map(str, allowed))}"]


def has_partial(state):
    """Whether part of a blob is there, with something in it."""
    folder = os.path.join(state, "partial")
    return any(len(name) == 64 and os.path.getsize(os.path.join(folder, name)) > 0 for name in names(folder))


def noted(state):
    """Layers that a note still keeps which is neither too old nor one too many."""
    folder = os.path.join(state, "partial")
    found = [(os.path.getmtime(os.path.join(folder, name)), NOTE.fullmatch(name)) for name in names(folder)]
    young = [(age, note.group(1)) for age, note in found if note and age > time.time() - NOTE_AGE_S]
    return {layer for _, layer in sorted(young)[-MOST_NOTES:]}


def journal_state(state):
    try:
        return json.loads(read(os.path.join(state, "deployments", "docker", "journal.json")))["state"]
    except FileNotFoundError:
        return "idle"


class Baseline:
    """What a device that was never cut looks like at the end, per version that it serves."""

    def __init__(self):
        self.known = {}

    @staticmethod
    def look(device, ignored):
        return {
            "counters": snapshot.take(device.state, device.run, ignored),
            "layers": names(device.state, "layers", "sha256"),
            "blobs": names(device.state, "blobs", "sha256"),
            "journal": journal_state(device.state),
        }

    def learn(self, version, device, ignored):
        """Remembers the device once two looks in a row are the same: what starts and ends takes a moment."""
        look = None
        while look is None or look != self.known.get(version):
            self.known[version] = look
            time.sleep(0.2)
            look = self.look(device, ignored)

    @staticmethod
    def open_files(ignored):
        """Who holds what, for a reader of a breach."""
        lines = []
        for pid in snapshot.processes(ignored):
            try:
                held = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
                lines.append(f"process {pid} {read(f'/proc/{pid}/cmdline')[:60]!r} holds {sorted(held)}")
            except OSError:
                continue
        return lines

    def breaches(self, version, device, ignored, is_through):
        """What is more, or other, than on the device that was never cut. Where no deployment is through, the layers of one that
        was broken off may be there as well, each with a note; afterwards, and without one, they are a leak."""
        wanted, deadline = self.known[version], time.monotonic() + ANSWER_PATIENCE_S
        while True:
            found = self.look(device, ignored)
            kept = set() if is_through else noted(device.state) - set(wanted["layers"])
            found["counters"]["layers"] -= len(kept.intersection(found["layers"]))
            found["layers"] = [layer for layer in found["layers"] if layer not in kept]
            lines = [
                f"leak: {found['counters'][name]} {name}, wanted {wanted['counters'][name]}"
                for name in COUNTERS
                if found["counters"][name] > wanted["counters"][name]
            ]
            lines += [f"{key} are {found[key]}, wanted {wanted[key]}" for key in ("layers", "blobs") if found[key] != wanted[key]]
            if found["journal"] != wanted["journal"]:
                lines.append(f"the journal says {found['journal']}, wanted {wanted['journal']}")
            # The kernel takes dead processes' namespaces and interfaces away a moment later.
            if not lines:
                return []
            if time.monotonic() > deadline:
                return lines + snapshot.scratch(device.state) + self.open_files(ignored)
            time.sleep(0.02)
