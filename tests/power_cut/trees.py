"""What an unpacked layer must hold, byte by byte, and whether a folder on the disk holds it."""

import gzip
import hashlib
import io
import json
import os
import stat
import tarfile

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
KINDS = {tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "symlink", tarfile.FIFOTYPE: "fifo", tarfile.REGTYPE: "file"}


def expected(tar):
    """{path: facts} of an uncompressed layer, in the form that overlayfs reads."""
    facts = {}
    with tarfile.open(fileobj=io.BytesIO(tar)) as layer:
        for entry in layer:
            name = entry.name.rstrip("/")
            folder, base = os.path.split(name)
            if base == OPAQUE:
                facts[folder]["opaque"] = True
            elif base.startswith(WHITEOUT):
                facts[os.path.join(folder, base.removeprefix(WHITEOUT))] = {"kind": "whiteout"}
            elif entry.islnk():
                facts[name] = facts[entry.linkname]  # the same file under both names, so counted for both
                facts[name]["links"] += 1
            else:
                facts[name] = _entry(layer, entry)
    return facts


def _entry(layer, entry):
    fact = {"kind": KINDS[entry.type], "uid": entry.uid, "gid": entry.gid, "mode": entry.mode}
    if entry.issym():
        return {**fact, "mode": 0o777, "link": entry.linkname}
    if entry.isreg():
        fact["data"] = hashlib.sha256(layer.extractfile(entry).read()).hexdigest()
        fact |= {"mtime": int(entry.mtime), "links": 1}
    prefix = "SCHILY.xattr."
    fact["xattrs"] = {
        key.removeprefix(prefix): value for key, value in entry.pax_headers.items() if key.startswith(prefix)
    }
    return fact


def found(root):
    """The same of a folder."""
    facts = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            facts[os.path.relpath(path, root)] = _file(path)
    return facts


def _file(path):
    status = os.lstat(path)
    fact = {"uid": status.st_uid, "gid": status.st_gid, "mode": stat.S_IMODE(status.st_mode)}
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        return {"kind": "whiteout"}
    if stat.S_ISLNK(status.st_mode):
        return {"kind": "symlink", **fact, "link": os.readlink(path)}
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as data:
            fact["data"] = hashlib.sha256(data.read()).hexdigest()
        fact |= {"kind": "file", "mtime": int(status.st_mtime), "links": status.st_nlink}
    else:
        fact["kind"] = "folder" if stat.S_ISDIR(status.st_mode) else "fifo" if stat.S_ISFIFO(status.st_mode) else "other"
    names = os.listxattr(path, follow_symlinks=False)
    fact["xattrs"] = {n: os.getxattr(path, n).decode() for n in names if n.startswith("user.")}
    if "trusted.overlay.opaque" in names:
        fact["opaque"] = True
    return fact


def differences(wanted, root):
    """What is wrong with the folder, one line each; empty if it is the layer."""
    there = found(root)
    lines = [f"{path} is missing" for path in wanted.keys() - there.keys()]
    lines += [f"{path} does not belong there" for path in there.keys() - wanted.keys()]
    for path in wanted.keys() & there.keys():
        for key in sorted(wanted[path].keys() | there[path].keys()):
            want, have = wanted[path].get(key), there[path].get(key)
            if want != have:
                lines.append(f"{path}: {key} is {have}, not {want}")
    return sorted(lines)


class Catalogue:
    """The images of a layout: what each layer holds, which documents and layers each image needs."""

    root = "tree"  # where in a layer folder the files are

    def __init__(self, layout):
        self.layers, self.images = {}, {}
        with open(f"{layout}/index.json") as index:
            manifests = json.load(index)["manifests"]
        for descriptor in manifests:
            name = descriptor["annotations"]["org.opencontainers.image.ref.name"]
            if not name.startswith("mixed_"):
                continue
            manifest = json.loads(self._blob(layout, descriptor["digest"]))
            config = json.loads(self._blob(layout, manifest["config"]["digest"]))
            diff_ids = config["rootfs"]["diff_ids"]
            self.images[name.removeprefix("mixed_")] = {
                "manifest": descriptor["digest"],
                "config": manifest["config"]["digest"],
                "layers": diff_ids,
            }
            for diff_id, layer in zip(diff_ids, manifest["layers"]):
                self.layers[diff_id] = expected(gzip.decompress(self._blob(layout, layer["digest"])))

    @staticmethod
    def _blob(layout, digest):
        with open(f"{layout}/blobs/sha256/{digest.removeprefix('sha256:')}", "rb") as blob:
            return blob.read()
