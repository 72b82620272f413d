"""The images of the tests: a one-file image, a whole Debian root, and a small one with every kind of file.

    images.py LAYOUT SERVER [DEBIAN_TAR]

Writes all of them into the image layout LAYOUT, under names REPOSITORY_TAG:

- one:   one layer with one file, the server
- root:  a Debian root (DEBIAN_TAR, thousands of files), then 20 MB that differ between versions, then the server
- mixed: two small layers with links, devices' kin, odd names, extended attributes and an opaque folder

Tags: v1, v2, v3 serve; dead exits at once; late exits after one second; sick never gets healthy (its health check fails).
"""

import random
import sys

from layout import Layout, TarLayer

VERSIONS = ("v1", "v2", "v3", "dead", "late", "sick")
PORT = "8080"
CHANGED = 20_000_000  # bytes that a new version of `root` brings
CHECK = {
    "Test": ["CMD", "/srv/server", "--check"],
    "Interval": 500_000_000,
    "Timeout": 2_000_000_000,
    "Retries": 2,
}


def config(version, server):
    """The image's defaults: how each version behaves is said here, all run the same program."""
    extra = {"dead": ["--crash"], "late": ["--die", "1000"], "sick": ["--unhealthy"]}.get(version, [])
    made = {
        "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"VERSION={version}", f"PORT={PORT}"],
        "Entrypoint": [server],
        "Cmd": extra,
        "ExposedPorts": {f"{PORT}/tcp": {}},
        "Labels": {"version": version},
    }
    if version == "sick":
        made["Healthcheck"] = {**CHECK, "Test": ["CMD", server, "--check"]}
    return made


def one(layout, server):
    for version in VERSIONS:
        # Bytes behind an ELF file's end are ignored: one file, and yet another layer in each version.
        tar = TarLayer().file("server", server + version.encode(), mode=0o755).bytes()
        layout.image(f"one_{version}", [layout.layer(tar)], config(version, "/server"))


def root(layout, server, debian_tar):
    base = layout.layer_file(debian_tar)
    for version in VERSIONS:
        data = random.Random(version).randbytes(CHANGED)
        change = TarLayer().dir("srv").file("srv/data", data).file("srv/server", server, mode=0o755).bytes()
        layout.image(f"root_{version}", [base, layout.layer(change)], config(version, "/srv/server"))


def mixed(layout, server):
    """Few system calls to unpack, so that a sweep over all of them ends, and every kind of entry."""
    numbers = random.Random("mixed")
    base = TarLayer().dir("etc").dir("data").dir("data/deep").dir("data/deep/er", mode=0o700, uid=12, gid=34)
    for n in range(12):
        base.file(f"data/file-{n}", numbers.randbytes(n * 1500), mode=0o640, uid=n, gid=n + 1)
    base.file("data/empty", b"").file("data/name with\ttab and \xe4", b"x").file("etc/os-release", b"ID=mixed\n")
    base.file("data/marked", b"xattr", xattrs={"user.origin": "rig"})
    base.file("data/setuid", b"#!/bin/sh\n", mode=0o4755).symlink("data/link", "../etc/os-release")
    base.symlink("data/dangling", "/nowhere").hardlink("data/same", "data/file-3").fifo("data/pipe", mode=0o600)
    lower = layout.layer(base.bytes())
    for version in VERSIONS:
        top = TarLayer().dir("srv").file("srv/server", server, mode=0o755)
        top.file("srv/version", version.encode()).file("srv/bulk", random.Random(version).randbytes(50_000))
        # A whiteout and an opaque folder: the unpacked layer must hide what lies below.
        top.dir("data").file("data/.wh.file-1", b"").dir("data/deep").file("data/deep/.wh..wh..opq", b"")
        top.file("data/deep/new", version.encode())
        layout.image(f"mixed_{version}", [lower, layout.layer(top.bytes())], config(version, "/srv/server"))


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    layout = Layout(sys.argv[1])
    with open(sys.argv[2], "rb") as program:
        server = program.read()
    one(layout, server)
    mixed(layout, server)
    if len(sys.argv) == 4:
        root(layout, server, sys.argv[3])
    layout.finish()


if __name__ == "__main__":
    main()
