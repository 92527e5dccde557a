"""Owns what is known about file systems: type, mount point, network or not, file-level bind mounts."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")

_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "afs", "ncpfs", "ncp", "gpfs", "beegfs",
     "ocfs2", "gfs", "gfs2", "orangefs", "pvfs2", "coda", "davfs", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "drvfs", "acfs"}
)  # fmt: skip
_LOCAL_FUSE = frozenset(
    {"fuseblk", "fuse.overlayfs", "fuse.fuse-overlayfs", "fuse.ntfs-3g", "fuse.exfat", "fuse.bindfs", "fuse.mergerfs"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem:
    """Where a path lives. `kind` is "" where the system does not tell (no /proc)."""

    kind: str = ""
    mount_point: str = ""
    read_only: bool = False

    @property
    def known(self) -> bool:
        """Whether the system told the type."""
        return bool(self.kind)

    @property
    def network(self) -> bool:
        """Whether locks and shared memory may be unreliable: a network file system, or FUSE that is not known to be local."""
        if self.kind in _NETWORK:
            return True
        return self.kind.startswith("fuse") and self.kind not in _LOCAL_FUSE


def parse_mountinfo(text: str) -> list[FileSystem]:
    """The mounts of a `mountinfo` file, in its order (later ones cover earlier ones)."""
    mounts = []
    for line in text.splitlines():
        left, separator, right = line.partition(" - ")
        fields, tail = left.split(" "), right.split(" ")
        if not separator or len(fields) < 6:
            continue
        options = set(fields[5].split(",")) | set(tail[2].split(",") if len(tail) > 2 else ())
        mounts.append(FileSystem(kind=tail[0], mount_point=_unescape(fields[4]), read_only="ro" in options))
    return mounts


def _unescape(text: str) -> str:
    """Spaces, tabs, newlines and backslashes are octal escapes in `mountinfo`."""
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text)


def mount_of(real: str, mounts: list[FileSystem]) -> FileSystem:
    """The mount that covers a real path: the longest mount point, the last of equal ones."""
    best = FileSystem()
    for mount in mounts:
        point = mount.mount_point.rstrip("/")
        covers = real == point or real.startswith(point + "/")
        if covers and len(mount.mount_point) >= len(best.mount_point):
            best = mount
    return best


def filesystem_of(path: Path, *, mountinfo: Path = MOUNTINFO) -> FileSystem:
    """The file system of a folder (or file); unknown where `mountinfo` can't be read. The nearest existing parent decides."""
    real = os.path.realpath(path)
    try:
        text = mountinfo.read_text("utf-8", "surrogateescape")
    except OSError:
        return FileSystem()
    return mount_of(real, parse_mountinfo(text))


def is_file_mount(path: Path, *, mountinfo: Path = MOUNTINFO) -> bool:
    """Whether this very file is a mount point (a single-file bind mount): its side files live elsewhere for others."""
    if path.is_dir():
        return False
    return filesystem_of(path, mountinfo=mountinfo).mount_point == os.path.realpath(path)
