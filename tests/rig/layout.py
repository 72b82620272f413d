"""Writes OCI image layouts, so that a test knows every byte of the images it uses.

Layers are tar files made here, in a fixed order with fixed times and owners; the same inputs give the same digests.
"""

import gzip
import hashlib
import io
import json
import os
import tarfile

MTIME = 1_700_000_000  # any fixed time in the past: what differs between two runs must not be the clock
CHUNK = 1 << 20


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class TarLayer:
    """One layer, entry by entry. Parents come before children, as in layers of real builders."""

    def __init__(self):
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.PAX_FORMAT)

    def _add(self, name, kind, data=b"", mode=0o644, uid=0, gid=0, link="", xattrs=None):
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.uid, entry.gid = kind, mode, uid, gid
        entry.mtime, entry.linkname, entry.size = MTIME, link, len(data)
        entry.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in (xattrs or {}).items()}
        self._tar.addfile(entry, io.BytesIO(data) if data else None)
        return self

    def dir(self, name, **more):
        return self._add(name, tarfile.DIRTYPE, **{"mode": 0o755, **more})

    def file(self, name, data, **more):
        return self._add(name, tarfile.REGTYPE, data, **more)

    def symlink(self, name, target):
        return self._add(name, tarfile.SYMTYPE, link=target, mode=0o777)

    def hardlink(self, name, target):
        return self._add(name, tarfile.LNKTYPE, link=target)

    def fifo(self, name, **more):
        return self._add(name, tarfile.FIFOTYPE, **more)

    def bytes(self):
        self._tar.close()
        return self._buffer.getvalue()


class Layout:
    """An image layout in a folder. Images are added under names; what is written once is reused."""

    def __init__(self, path):
        self.path = path
        self.blobs = os.path.join(path, "blobs", "sha256")
        os.makedirs(self.blobs, exist_ok=True)
        with open(os.path.join(path, "oci-layout"), "w") as out:
            out.write('{"imageLayoutVersion":"1.0.0"}')
        self._index = {}

    def blob(self, data, media_type):
        """Stores `data` and returns its descriptor."""
        digest = digest_of(data)
        path = os.path.join(self.blobs, digest.removeprefix("sha256:"))
        if not os.path.exists(path):
            with open(path + ".part", "wb") as out:
                out.write(data)
            os.rename(path + ".part", path)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def layer(self, tar):
        """Stores an uncompressed tar as a gzip layer: (descriptor, diff id)."""
        packed = gzip.compress(tar, 6, mtime=0)
        return self.blob(packed, "application/vnd.oci.image.layer.v1.tar+gzip"), digest_of(tar)

    def layer_file(self, path):
        """The same for a tar file too large for comfort; the result is remembered beside it."""
        note = path + ".layer.json"
        if os.path.exists(note):
            with open(note) as known:
                descriptor, diff_id = json.load(known)
            if os.path.exists(os.path.join(self.blobs, descriptor["digest"].removeprefix("sha256:"))):
                return descriptor, diff_id
        with open(path, "rb") as tar:
            made = self.layer(tar.read())
        with open(note, "w") as out:
            json.dump(made, out)
        return made

    def image(self, name, layers, config, architecture="amd64"):
        """Adds an image of `layers` (pairs from `layer`) whose defaults are `config`; returns the manifest's digest."""
        image_config = {
            "created": "2023-11-14T22:13:20Z",
            "architecture": architecture,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
            "history": [{"created_by": f"layer {n}"} for n, _ in enumerate(layers)],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.blob(_json(image_config), "application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor for descriptor, _ in layers],
        }
        self._index[name] = self.blob(_json(manifest), manifest["mediaType"])
        return self._index[name]["digest"]

    def finish(self):
        """Writes the index; skopeo finds the images as oci:FOLDER:NAME."""
        manifests = [
            {**descriptor, "annotations": {"org.opencontainers.image.ref.name": name}}
            for name, descriptor in sorted(self._index.items())
        ]
        with open(os.path.join(self.path, "index.json"), "wb") as out:
            out.write(_json({"schemaVersion": 2, "manifests": manifests}))


def _json(value):
    return json.dumps(value, separators=(",", ":")).encode()
