"""A device on a disk of its own: ext4 on a loop device, whose power can be cut and whose contents can be put back.

Runs inside tests/rig/private.sh: every process, interface, rule and control group here is the device's or the test's.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import uuid

DISK_MB = 64
REBOOT_PATIENCE_S = 15
VERB_PATIENCE_S = 60
STATE_IN_DISK = "dray"


class Stuck(Exception):
    """Something did not end in its time."""


def sh(*words, check=True):
    return subprocess.run(words, check=check, capture_output=True, text=True).stdout


class Device:
    """Folders: `disk` (the file that is the disk), `mount` (where it is), `run` (tmpfs), `tree` (Mender's)."""

    def __init__(self, work, program, cut):
        self.work, self.cut = work, cut
        self.disk, self.mount = f"{work}/disk", f"{work}/mount"
        self.state, self.run, self.tree = f"{self.mount}/{STATE_IN_DISK}", f"{work}/run", f"{work}/tree"
        self.loop = None
        self.boots = 0
        # Called by this name it is Mender's module, called by the other it understands docker's words.
        self.module, self.dray = f"{work}/bin/docker", f"{work}/bin/dray"
        os.makedirs(f"{work}/bin")
        for folder in (self.mount, self.run):
            os.makedirs(folder)
        shutil.copy2(program, self.module)
        os.symlink("docker", self.dray)
        with open(f"{work}/dray.ini", "w") as ini:
            ini.write(f"[paths]\nstate = {self.state}\nrun = {self.run}\n")
        self.env = {**os.environ, "DRAY_CONFIG": f"{work}/dray.ini"}

    # -- the disk

    def format(self):
        with open(self.disk, "wb") as disk:
            disk.truncate(DISK_MB << 20)
        sh("mkfs.ext4", "-q", "-F", self.disk)
        self.attach()
        os.makedirs(self.state, mode=0o700)
        os.sync()

    def attach(self):
        self.loop = sh("losetup", "--find", "--show", self.disk).strip()
        # Without the mercy that ext4 has for programs that forget to sync before they rename.
        sh("mount", "-o", "noauto_da_alloc", self.loop, self.mount)

    def detach(self):
        """Unmounts; a mount that somebody still holds is a leak and ends the test."""
        deadline = time.monotonic() + REBOOT_PATIENCE_S
        while subprocess.run(["umount", self.mount], capture_output=True).returncode:
            if time.monotonic() > deadline:
                raise Stuck(f"{self.mount} cannot be unmounted: {self.holders()}")
            time.sleep(0.01)
        backing = f"/sys/block/{os.path.basename(self.loop)}/loop/backing_file"
        while os.path.exists(backing):
            subprocess.run(["losetup", "--detach", self.loop], capture_output=True)
            if time.monotonic() > deadline:
                raise Stuck(f"{self.loop} is still in use: {self.holders()}")
            time.sleep(0.005)

    def abandon(self):
        """Lets go of a disk whatever holds it, so that neither the next cut nor the machine is stuck with it."""
        try:
            self.kill_all()
        except Stuck:
            pass  # reported where it came up first
        subprocess.run(["umount", "--lazy", self.mount], capture_output=True)
        if self.loop:
            subprocess.run(["losetup", "--detach", self.loop], capture_output=True)

    def save(self, name):
        """Keeps the disk as it is after an orderly end, under a name."""
        self.kill_all()
        os.sync()
        self.detach()
        sh("cp", "--sparse=always", self.disk, f"{self.work}/saved-{name}")
        self.forget_boot()
        self.attach()

    def restore(self, name):
        self.kill_all()
        if os.path.ismount(self.mount):
            self.detach()
        sh("cp", "--sparse=always", f"{self.work}/saved-{name}", self.disk)
        self.forget_boot()
        self.attach()

    # -- power

    def power_off(self):
        """What is not on the disk is gone. The cut itself was the tracer's, or is made here after the verb's end."""
        self.kill_all()
        self.detach()
        self.forget_boot()

    def shut_down_disk(self):
        """The cut at this moment, for points after the end of a verb."""
        import fcntl

        fd = os.open(self.mount, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.ioctl(fd, 0x8004587D, (2).to_bytes(4, "little"))  # EXT4_IOC_SHUTDOWN, NOLOGFLUSH
        os.close(fd)

    def others(self):
        """Processes that are neither the namespace's first, nor this one, nor this one's children (the registry)."""
        mine = {1, os.getpid()}
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) in mine:
                continue
            try:
                with open(f"/proc/{name}/stat") as stat:
                    state, parent = stat.read().rpartition(")")[2].split()[:2]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(parent) != os.getpid() and state != "Z":
                yield int(name)

    def holders(self):
        return [(pid, open(f"/proc/{pid}/cmdline").read().replace("\0", " ")) for pid in self.others()]

    def kill_all(self):
        deadline = time.monotonic() + REBOOT_PATIENCE_S
        while pids := list(self.others()):
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if time.monotonic() > deadline:
                raise Stuck(f"processes survive SIGKILL: {self.holders()}")
            time.sleep(0.002)

    def forget_boot(self):
        """Takes away what lives in the kernel and in /run only, and starts another boot id."""
        with open("/proc/self/mountinfo") as mounts:
            below = [line.split()[4] for line in mounts]
        for path in sorted((p for p in below if p.startswith((self.mount + "/", self.run + "/"))), reverse=True):
            sh("umount", "--lazy", path)
        sh("nft", "flush", "ruleset")
        for link in json.loads(sh("ip", "-j", "link")):
            if link["ifname"] != "lo":
                sh("ip", "link", "delete", link["ifname"], check=False)
        remove_groups()
        shutil.rmtree(self.run)
        os.mkdir(self.run)
        self.boots += 1
        boot_id = f"{self.work}/boot-id-{self.boots}"
        with open(boot_id, "w") as out:
            out.write(f"{uuid.uuid4()}\n")
        subprocess.run(["umount", "/proc/sys/kernel/random/boot_id"], capture_output=True)
        sh("mount", "--bind", boot_id, "/proc/sys/kernel/random/boot_id")

    # -- calls

    def make_tree(self, artifact, meta_data):
        """Mender's file tree as the 3.4 client makes it (facts of the file API: names, modes, no trailing newlines)."""
        shutil.rmtree(self.tree, ignore_errors=True)
        files = {
            "version": "3",
            "current_artifact_name": "",
            "current_artifact_group": "",
            "current_device_type": "qemu",
            "header/artifact_name": artifact,
            "header/artifact_group": "",
            "header/payload_type": "docker",
            "header/header-info": json.dumps({"payloads": [{"type": "docker"}]}, indent=2),
            "header/type-info": json.dumps({"type": "docker"}, indent=2),
            "header/meta-data": json.dumps(meta_data, indent=2),
        }
        for folder in ("header", "tmp", "streams", "files"):
            os.makedirs(f"{self.tree}/{folder}", mode=0o700)
        for name, text in files.items():
            with open(f"{self.tree}/{name}", "w") as out:
                out.write(text)
        os.mkfifo(f"{self.tree}/stream-next", 0o600)

    def call(self, words, tracer=(), extra_env=None):
        """Runs a call to its end: (exit code, what it said). The code is the tracer's 137 if a point was reached."""
        stop = threading.Event()
        feeder = threading.Thread(target=self.end_stream, args=(stop,))
        feeder.start()
        try:
            done = subprocess.run(
                [*tracer, *words],
                cwd=self.tree if os.path.isdir(self.tree) else self.work,
                env={**self.env, **(extra_env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=VERB_PATIENCE_S,
            )
        except subprocess.TimeoutExpired as late:
            raise Stuck(f"{' '.join(words)} did not end within {VERB_PATIENCE_S} s: {late.output}") from None
        finally:
            stop.set()
            feeder.join()
        return done.returncode, done.stdout

    def end_stream(self, stop):
        """A client with no payload files: whoever opens `stream-next` reads its end."""
        while not stop.wait(0.005):
            try:
                os.close(os.open(f"{self.tree}/stream-next", os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                continue

    def verb(self, name, **more):
        return self.call([self.module, name, self.tree], **more)

    def word(self, *words, **more):
        return self.call([self.dray, *words], **more)


def remove_groups():
    for folder, _, _ in os.walk("/sys/fs/cgroup", topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            continue  # a hierarchy's root, or a group of the harness
