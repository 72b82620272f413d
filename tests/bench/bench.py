"""Measures dray and its peers on the same images and prints the table.

    bench.py WORK RUNS

Started by run.sh inside namespaces of its own, with CACHE, DRAY_BIN and GEN_BIN in the environment.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.request

from engines import REGISTRY, Docker, Dray, Podman, Umoci, engine_processes, is_service

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "rig"))
from layout import Layout, TarLayer  # noqa: E402

CACHE = os.environ["CACHE"]
PULLS = 5
DENSITY = 10  # containers over which the cost of one is averaged
CROWD = 100  # containers on one network of their own
FORGOTTEN = 30  # seconds after which an engine has forgotten what was on a network
PORT = 18080
BIG = 1 << 30  # bytes of the one layer of a large image
DISK_BYTES = 6 << 30  # sparse


def timed(engine, runs, words):
    """[(ms, peak KB, exit code)] of a command's runs."""
    done = subprocess.run(
        [f"{CACHE}/bin/timed", str(runs), *words], env=engine.env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    rows = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    if len(rows) != runs or any(code for _, _, code in rows):
        raise RuntimeError(f"{' '.join(words)}: {done.stdout[-200:]} {done.stderr[-2000:]}")
    return [(us / 1000, peak, code) for us, peak, code in rows]


def median_ms(rows):
    return statistics.median(ms for ms, _, _ in rows)


def pss_kb(pids):
    """Memory of processes, with what they share divided among those who share it."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as rollup:
                total += sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
        except OSError:
            continue  # it ended meanwhile
    return total


def image_to_runnable(engine):
    """Pull and unpack, from an empty store, everything in the page cache of the registry."""
    rows = []
    for _ in range(PULLS):
        engine.forget_images()
        os.sync()
        rows += timed(engine, 1, engine.pull_words(f"{REGISTRY}/root:v1"))
    return {"image to runnable, ms": median_ms(rows)}


def big_layer(engine):
    """An image with one large layer: time, and the largest process that had to do with it."""
    engine.forget_images()
    os.sync()
    forget_peaks()
    [(ms, peak, _)] = timed(engine, 1, engine.pull_words(f"{REGISTRY}/big:v1"))
    peak = max(peak, living_peak())
    engine.forget_images()
    return {"image with a layer of 1 GiB to runnable, s": ms / 1000, "the same, largest process, MB": peak / 1024}


def artifact(engine):
    """An artifact made on a workstation that has not seen the image, its size, and what came over the network for it."""
    found = {}
    out = f"{engine.work}/release.mender"
    for embed, kind, unit, bytes_each in (
        (False, "artifact", "kB", 1e3),
        (True, "artifact with its image inside", "MB", 1e6),
    ):
        rows, received = [], []
        for _ in range(PULLS):
            engine.forget_images()
            os.sync()
            before = loopback_bytes()
            rows += timed(engine, 1, engine.artifact_words(f"{REGISTRY}/root:v1", out, embed))
            received.append(loopback_bytes() - before)
        found |= {
            f"{kind}, ms": median_ms(rows),
            f"{kind}, over the network, {unit}": statistics.median(received) / bytes_each,
            f"{kind}, its size, {unit}": os.path.getsize(out) / bytes_each,
        }
        os.remove(out)
    engine.forget_images()
    return found


def loopback_bytes():
    """Bytes that came over the loopback of this network namespace."""
    with open("/proc/net/dev") as devices:
        return next(int(line.split()[1]) for line in devices if line.split()[0] == "lo:")


def run_exit_remove(engine, runs):
    image = f"{REGISTRY}/one:v1"
    engine.call("pull", image)
    found = {}
    for network in ("host", "bridge"):
        words = [*engine.words, "run", "--rm", "--network", network, image, "--exit", "0"]
        timed(engine, 2, words)  # warm: the first ones make bridges and caches
        found[f"run, exit, remove, {network} network, ms"] = median_ms(timed(engine, runs, words))
    return found


def memory(engine):
    engine.remove_containers()
    time.sleep(3)  # dray's network stays a second after its last container
    idle = pss_kb(engine.resident())
    for n in range(DENSITY):
        engine.call("run", "-d", "--network", "host", "-e", f"PORT={19000 + n}", f"{REGISTRY}/one:v1", "--idle")
    time.sleep(3)  # a monitor makes itself small after a second
    loaded = pss_kb(engine.resident())
    engine.remove_containers()
    return {"resident with nothing to do, MB": idle / 1024, "resident per container, MB": (loaded - idle) / 1024 / DENSITY}


def crowd(engine):
    """Many containers on one network that was made for them, one after the other, and their end."""
    engine.remove_containers()
    idle = pss_kb(engine.resident())
    engine.call("network", "create", "crowd")
    begun = time.monotonic()
    for n in range(CROWD):
        engine.call("run", "-d", "--network", "crowd", "--name", f"c{n}", f"{REGISTRY}/one:v1", "--idle")
    started = time.monotonic()
    time.sleep(3)  # a monitor makes itself small after a second
    loaded = pss_kb(engine.resident())
    ending = time.monotonic()
    engine.remove_containers()
    # Docker's containers may still be on it when they are gone, some of them until it is started again.
    deadline = ending + FORGOTTEN
    while engine.call("network", "rm", "crowd", check=False) != "crowd":
        if time.monotonic() > deadline:
            print(f"{engine.name}: the network of removed containers is still in use after {FORGOTTEN} s", file=sys.stderr)
            engine.stop()
            engine.start()
            deadline = time.monotonic() + FORGOTTEN
        time.sleep(0.05)
    ended = time.monotonic()
    return {
        f"{CROWD} containers on a network, start, s": started - begun,
        f"{CROWD} containers on a network, resident, MB": (loaded - idle) / 1024,
        f"{CROWD} containers on a network, remove, s": ended - ending,
    }


class Tree:
    """Mender's file tree for one artifact, and the module called as the client calls it."""

    def __init__(self, engine, version):
        self.engine, self.folder = engine, f"{engine.work}/tree-{version}"
        manifest = subprocess.run(
            ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{REGISTRY}/root:{version}"],
            check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        for name in ("header", "tmp", "files", "streams"):
            os.makedirs(f"{self.folder}/{name}")
        with open(f"{self.folder}/header/meta-data", "w") as out:
            json.dump({"containers": [f"{REGISTRY}/root@{manifest}"], "run_args": f"-p {PORT}:8080"}, out)
        for name, text in {"version": "3", "header/artifact_name": version, "header/payload_type": "docker"}.items():
            with open(f"{self.folder}/{name}", "w") as out:
                out.write(text)
        # No payload files: the stream of streams is at its end.
        open(f"{self.folder}/stream-next", "w").close()
        # Under Mender's name: dray is told by it which face to show.
        self.module = f"{engine.work}/docker"
        shutil.copy2(engine.module(), self.module)

    def verbs(self, *verbs):
        """(peak KB of any process of the calls, exit code of the first that failed)."""
        peak = 0
        for verb in verbs:
            done = subprocess.run(
                [f"{CACHE}/bin/timed", "1", self.module, verb, self.folder],
                env=self.engine.env, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            _, kb, code = map(int, done.stdout.split())
            peak = max(peak, kb)
            if code:
                return peak, code
        return peak, 0


def longest_gap(engine, act):
    """ms between an answer of v1 and the next answer of v2 while act() runs."""
    out = f"{engine.work}/probe"
    with open(out, "w") as lines:
        probe = subprocess.Popen([f"{CACHE}/bin/probe", "127.0.0.1", str(PORT)], stdout=lines)
    time.sleep(0.2)
    act()
    wait_for("v2")
    time.sleep(0.1)
    probe.send_signal(signal.SIGTERM)
    probe.wait()
    gaps = [int(line.split()[2]) for line in open(out) if line.split()[:2] == ["v1", "v2"]]
    if len(gaps) != 1:
        raise RuntimeError(f"{engine.name}: v2 did not follow v1 once: {open(out).read()}")
    return gaps[0] / 1000


def wait_for(version):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=1) as reply:
                if reply.read().decode().strip() == version:
                    return
        except OSError:
            pass
        time.sleep(0.01)
    raise RuntimeError(f"{version} does not answer")


def deployment(engine):
    """v1 replaced by v2, 20 MB changed; then an image whose process dies at once."""
    engine.remove_containers()
    engine.forget_images()
    old, new, bad = Tree(engine, "v1"), Tree(engine, "v2"), Tree(engine, "dead")
    forget_peaks()
    peak, code = old.verbs("Download", "ArtifactInstall", "ArtifactCommit", "Cleanup")
    if code:
        raise RuntimeError(f"{engine.name}: the first deployment failed with {code}")
    wait_for("v1")
    peaks = [peak, living_peak()]

    def switch():
        peaks.append(new.verbs("Download", "ArtifactInstall", "ArtifactCommit", "Cleanup")[0])

    gap = longest_gap(engine, switch)
    peaks.append(living_peak())
    _, refused = bad.verbs("Download", "ArtifactInstall")
    if refused:
        bad.verbs("ArtifactRollback", "ArtifactFailure", "Cleanup")
    engine.remove_containers()
    return {
        "service gap v1 -> v2, 20 MB changed, ms": gap,
        "largest process of a deployment, MB": max(peaks) / 1024,
        "an image whose process dies at once": "refused" if refused else "success",
    }


def forget_peaks():
    for pid in engine_processes():
        try:
            with open(f"/proc/{pid}/clear_refs", "w") as refs:
                refs.write("5")
        except OSError:
            continue


def living_peak():
    """Largest resident size that a living process of the engine ever had, KB; what has ended was waited for."""
    peak = 0
    for pid in engine_processes():
        try:
            with open(f"/proc/{pid}/status") as status:
                peak = max([peak] + [int(line.split()[1]) for line in status if line.startswith("VmHWM") and not is_service(pid)])
        except OSError:
            continue
    return peak


@contextlib.contextmanager
def disk(folder):
    """A fresh ext4 with a journal, as devices have. Without one, ext4 looks at every inode that was freed in the last minute
    before it makes a new one, which costs whoever has just removed an image seconds."""
    os.makedirs(folder)
    image = f"{folder}.ext4"
    with open(image, "w") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", folder], check=True)
        os.remove(image)


def measure(engine, runs):
    """Every row of one engine. Each gets the machine for itself."""
    engine.start()
    try:
        found = image_to_runnable(engine) | big_layer(engine)
        if engine.makes_artifacts:
            found |= artifact(engine)
        if engine.runs:
            found |= run_exit_remove(engine, runs) | memory(engine) | crowd(engine) | deployment(engine)
        engine.forget_images()
    finally:
        engine.stop()
    return found | {"binaries on the device, MB": sum(os.path.getsize(path) for path in engine.binaries()) / 1e6}


def table(columns):
    """One line per row: the figures, and each peer's ratio to dray."""
    dray, *peers = columns
    print(f"{'':<54}" + "".join(f"{name:>12}" for name, _ in columns) + "".join(f"{name + '/dray':>14}" for name, _ in peers))
    for row, mine in dray[1].items():
        print(f"{row:<54}" + "".join(f"{figure(rows.get(row)):>12}" for _, rows in columns)
              + "".join(f"{ratio(rows.get(row), mine):>14}" for _, rows in peers))  # fmt: skip


def figure(value):
    """As text; what an engine does not do is no figure."""
    return "-" if value is None else value if isinstance(value, str) else f"{value:.2f}"


def ratio(theirs, mine):
    if isinstance(mine, str):
        return ""
    return f"{theirs / mine:.1f}x" if theirs is not None and mine > 0.005 else "-"


def push_big():
    """Puts the large image into the registry. A quarter of it is random, as much as programs and their data compress to."""
    folder = f"{CACHE}/big"
    if not os.path.exists(f"{folder}/index.json"):
        print("making an image with a layer of 1 GiB", file=sys.stderr, flush=True)
        numbers = random.Random("big")
        data = b"".join(numbers.randbytes(8192) * 4 for _ in range(BIG // 32768))
        layout = Layout(folder)
        layer = layout.layer(TarLayer().file("big", data).bytes())
        layout.image("v1", [layer], {"Entrypoint": ["/big"]})
        layout.finish()
    subprocess.run(
        ["skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", f"oci:{folder}:v1", f"docker://{REGISTRY}/big:v1"],
        check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def start_registry(work):
    shutil.copytree(f"{CACHE}/registry", f"{work}/registry")
    with open(f"{work}/registry.yml", "w") as out:
        out.write(
            f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
            f"storage: {{filesystem: {{rootdirectory: {work}/registry}}}}\nhttp: {{addr: {REGISTRY}}}\n"
        )
    with open(f"{work}/registry.log", "w") as log:
        server = subprocess.Popen(["docker-registry", "serve", f"{work}/registry.yml"], stdout=log, stderr=log)
    for _ in range(500):
        try:
            urllib.request.urlopen(f"http://{REGISTRY}/v2/", timeout=1).close()
            return server
        except OSError:
            time.sleep(0.02)
    raise RuntimeError("the registry does not answer")


def main():
    work, runs = sys.argv[1], int(sys.argv[2])
    registry = start_registry(work)
    try:
        push_big()
        wanted = os.environ.get("ENGINES", "dray,docker,podman,umoci").split(",")
        columns = []
        for kind in (Dray, Docker, Podman, Umoci):
            if kind.name in wanted:
                print(f"measuring {kind.name}", file=sys.stderr, flush=True)
                with disk(f"{work}/{kind.name}"):
                    columns.append((kind.name, measure(kind(work, CACHE), runs)))
        table(columns)
    finally:
        registry.kill()


if __name__ == "__main__":
    main()
