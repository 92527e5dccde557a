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
    """Where a path lives. `kind` is "" where the system does not tell (no /proc).

    `device` is `8:1`, `root` what of the file system is mounted there, `options` those of mount and file system.
    """

    kind: str = ""
    mount_point: str = ""
    read_only: bool = False
    device: str = ""
    root: str = ""
    options: frozenset[str] = frozenset()

    @property
    def known(self) -> bool:
        """Whether the system told the type."""
        return bool(self.kind)

    @property
    def layered(self) -> bool:
        """Whether it is the writable layer of a container (or a live system): what is written there ends with it."""
        return self.kind in ("overlay", "aufs", "fuse.overlayfs", "fuse.fuse-overlayfs")

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
        mounts.append(
            FileSystem(
                kind=tail[0],
                mount_point=_unescape(fields[4]),
                read_only="ro" in options,
                device=fields[2],
                root=_unescape(fields[3]),
                options=frozenset(options),
            )
        )
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


def other_mounts(path: Path, *, mountinfo: Path = MOUNTINFO, root: Path = Path("/")) -> tuple[str, ...]:
    """Where else this very file is mounted: whoever opens it there has side files of another name.

    Args:
        path: the real path.
        mountinfo: of the process that is asked about.
        root: that process's root, so that a container's mounts are found.
    """
    try:
        status = path.stat()
        mounts = parse_mountinfo(mountinfo.read_text("utf-8", "surrogateescape"))
    except OSError:
        return ()
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    # never a stat on a network mount that may hang; layered file systems show another device than their files do
    near = [m for m in mounts if not m.network and (m.device == device or Path(m.root).name == path.name)]
    same = (status.st_dev, status.st_ino)
    points = dict.fromkeys(m.mount_point for m in near if _identity(root / m.mount_point.lstrip("/")) == same)
    return tuple(p for p in points if root != Path("/") or p != os.path.realpath(path))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
