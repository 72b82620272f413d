"""dray and its peers, each with folders of its own, behind the same few words."""

import os
import shutil
import subprocess
import time

REGISTRY = "127.0.0.1:5000"
PATIENCE_S = 120


class Engine:
    """A container engine in the folder of its name below `work`. `words` is the start of each of its commands."""

    name = ""
    # Whether it also runs containers, and whether somebody made a generator of artifacts for it.
    runs = True
    makes_artifacts = False

    def __init__(self, work, cache):
        self.work, self.cache = f"{work}/{self.name}", cache
        self.env = dict(os.environ)
        self.words = []

    def start(self):
        """Starts whatever has to be resident."""

    def stop(self):
        """Ends it."""

    def call(self, *words, check=True):
        done = subprocess.run(
            [*self.words, *words], env=self.env, capture_output=True, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL
        )
        if check and done.returncode:
            raise RuntimeError(f"{self.name} {' '.join(words)} exited with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout.strip()

    def pull_words(self, image):
        return [*self.words, "pull", image]

    def forget_images(self):
        """Back to a store without images."""
        images = self.call("images", "-q").split()
        if images:
            self.call("rmi", "-f", *dict.fromkeys(images))

    def remove_containers(self):
        containers = self.call("ps", "-a", "-q").split()
        if containers:
            self.call("rm", "-f", *containers)

    def artifact_words(self, image, out, embed):
        """What makes an artifact of an image, the image inside or not."""
        raise NotImplementedError

    def module(self):
        """The file that is Mender's update module for this engine, and the payload type it is called by."""
        raise NotImplementedError

    def resident(self):
        """Pids of the engine's own long-lived processes, not those of the service that a container runs."""
        return [pid for pid in engine_processes() if not is_service(pid)]


class Dray(Engine):
    name = "dray"
    makes_artifacts = True

    def __init__(self, work, cache):
        super().__init__(work, cache)
        with open(f"{self.work}/dray.ini", "w") as ini:
            # A deployment is good at once, as with the peers, which do not look.
            ini.write(f"[paths]\nstate = {self.work}/state\nrun = {self.work}/run\n[health]\nstable_s = 0\n")
        self.env["DRAY_CONFIG"] = f"{self.work}/dray.ini"
        self.words = [os.environ["DRAY_BIN"]]

    def forget_images(self):
        super().forget_images()
        self.call("gc")

    def artifact_words(self, image, out, embed):
        return [os.environ["GEN_BIN"], "-n", "release", "-t", "device", "-o", out, *["--embed"][:embed], image]

    def module(self):
        return os.environ["DRAY_BIN"]

    def binaries(self):
        return [os.environ["DRAY_BIN"]]


class Docker(Engine):
    name = "docker"
    makes_artifacts = True

    def __init__(self, work, cache):
        super().__init__(work, cache)
        self.root = f"{cache}/peers/docker/usr"
        self.env["PATH"] = f"{self.root}/bin:{self.root}/sbin:{os.environ['PATH']}"
        self.env["DOCKER_HOST"] = f"unix://{self.work}/docker.sock"
        self.env["DOCKER_CONFIG"] = f"{self.work}/config"
        self.words = [f"{self.root}/bin/docker"]
        self.daemon = None

    def start(self):
        with open(f"{self.work}/dockerd.log", "w") as log:
            self.daemon = subprocess.Popen(
                [f"{self.root}/sbin/dockerd", "--data-root", f"{self.work}/data", "--exec-root", f"{self.work}/exec",
                 "--pidfile", f"{self.work}/pid", "--host", self.env["DOCKER_HOST"], "--storage-driver", "overlay2"],
                env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE_S
        while subprocess.run([*self.words, "info"], env=self.env, capture_output=True).returncode:
            if time.monotonic() > deadline or self.daemon.poll() is not None:
                raise RuntimeError(f"dockerd does not start: {open(f'{self.work}/dockerd.log').read()[-2000:]}")
            time.sleep(0.1)

    def stop(self):
        self.daemon.terminate()
        self.daemon.wait(PATIENCE_S)

    def artifact_words(self, image, out, embed):
        """Upstream's script; the image inside is what its successor for compose files does by hand."""
        script = f"{self.cache}/peers/mender/usr/share/doc/mender-client/examples/docker-artifact-gen"
        words = f"bash {script} -n release -t device -o {out} {image}"
        if embed:
            words = (
                f"docker pull -q {image} && docker save -o images.tar {image} && "
                f"mender-artifact write module-image -T docker -n release -t device -o {out} -f images.tar && rm images.tar"
            )
        return ["sh", "-c", f"cd {self.work} && {words}"]

    def module(self):
        return f"{self.cache}/peers/mender/usr/share/mender/modules/v3/docker"

    def binaries(self):
        """What a deployment runs; the packages hold more (ctr, stress tests, the shims of other runtimes)."""
        needed = "docker dockerd docker-proxy docker-init containerd containerd-shim-runc-v2 runc tini".split()
        return [path for path in executables(self.root) if os.path.basename(path) in needed]


class Podman(Engine):
    name = "podman"

    def __init__(self, work, cache):
        super().__init__(work, cache)
        self.root = f"{cache}/peers/podman/usr"
        settings = {
            "containers.conf": f'[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "runc"\n'
            f'conmon_path = ["{self.root}/bin/conmon"]\nhelper_binaries_dir = ["{self.root}/lib/podman"]\n'
            f'[engine.runtimes]\nrunc = ["{self.root}/sbin/runc"]\n[network]\nnetwork_backend = "netavark"\n'
            f'network_config_dir = "{self.work}/networks"\n',
            "storage.conf": f'[storage]\ndriver = "overlay"\ngraphroot = "{self.work}/data"\nrunroot = "/run/podman"\n',
            "registries.conf": f'[[registry]]\nlocation = "{REGISTRY}"\ninsecure = true\n',
        }
        for name, text in settings.items():
            with open(f"{self.work}/{name}", "w") as out:
                out.write(text)
        self.env["CONTAINERS_CONF"] = f"{self.work}/containers.conf"
        self.env["CONTAINERS_STORAGE_CONF"] = f"{self.work}/storage.conf"
        self.env["CONTAINERS_REGISTRIES_CONF"] = f"{self.work}/registries.conf"
        self.env["PATH"] = f"{self.root}/bin:{os.environ['PATH']}"
        self.words = [f"{self.root}/bin/podman"]

    def module(self):
        """Upstream's podman module is its docker module with the other word."""
        path = f"{self.work}/module"
        with open(f"{self.cache}/peers/mender/usr/share/mender/modules/v3/docker") as docker, open(path, "w") as out:
            out.write(docker.read().replace("docker", "podman"))
        os.chmod(path, 0o755)
        return path

    def binaries(self):
        return executables(self.root)


class Umoci(Engine):
    """skopeo fetches an image into a layout, umoci unpacks it: no engine, but what fetching and unpacking cost by themselves."""

    name = "umoci"
    runs = False

    def pull_words(self, image):
        fetch = f"skopeo copy --quiet --insecure-policy --src-tls-verify=false docker://{image} oci:{self.work}/layout:v1"
        # sync: the peers have the image on the disk when they say so.
        return ["sh", "-c", f"{fetch} && umoci unpack --image {self.work}/layout:v1 {self.work}/bundle && sync -f {self.work}"]

    def forget_images(self):
        for folder in ("layout", "bundle"):
            shutil.rmtree(f"{self.work}/{folder}", ignore_errors=True)

    def binaries(self):
        return [shutil.which(program) for program in ("skopeo", "umoci")]


def executables(root):
    """Programs below a folder, each once."""
    found = []
    for folder in ("bin", "sbin", "lib/podman"):
        for entry in sorted(os.scandir(f"{root}/{folder}"), key=lambda e: e.name) if os.path.isdir(f"{root}/{folder}") else []:
            if entry.is_file(follow_symlinks=False) and os.access(entry.path, os.X_OK):
                found.append(entry.path)
    return found


def engine_processes():
    """Every process here that is not the benchmark's: not the first, not this one, not the registry or prober."""
    mine = {"1", str(os.getpid())}
    for name in os.listdir("/proc"):
        if not name.isdigit() or name in mine:
            continue
        try:
            with open(f"/proc/{name}/cmdline") as line:
                program = os.path.basename(line.read().split("\0")[0])
        except OSError:
            continue
        if program and program not in ("docker-registry", "probe", "timed"):
            yield int(name)


def is_service(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as line:
            return line.read().split("\0")[0].endswith("/server")
    except OSError:
        return True
