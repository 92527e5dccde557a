"""The options of `docker create` that make a container like another one, of another image. Pure.

What the old container only has from its old image is left out: the new image has its own. What can't be said by options is
refused by name, so that no setting gets lost silently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stepflow_tui.engine.application.recipes.calls import pairs
from stepflow_tui.engine.errors import StepFailed

Described = Mapping[str, Any]
"""What `docker inspect` prints of one container or image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Like:
    """`options` and `command` stand around the image; `variables` and `labels` go through files, they may be secret.

    `networks`: options of `docker network connect` for those besides the first.
    """

    options: tuple[str, ...]
    command: tuple[str, ...]
    variables: Mapping[str, str]
    labels: Mapping[str, str]
    networks: tuple[tuple[str, ...], ...]


_TEXTS = {
    "IpcMode": ("--ipc", ("private", "shareable")), "PidMode": ("--pid", ()), "UTSMode": ("--uts", ()),
    "UsernsMode": ("--userns", ()), "CgroupnsMode": ("--cgroupns", ("host", "private")), "CgroupParent": ("--cgroup-parent", ()),
    "Runtime": ("--runtime", ("runc",)), "Isolation": ("--isolation", ("default",)), "VolumeDriver": ("--volume-driver", ()),
    "CpusetCpus": ("--cpuset-cpus", ()), "CpusetMems": ("--cpuset-mems", ()),
}  # fmt: skip
_NUMBERS = {
    "Memory": "--memory", "MemoryReservation": "--memory-reservation", "MemorySwap": "--memory-swap", "CpuShares": "--cpu-shares",
    "CpuPeriod": "--cpu-period", "CpuQuota": "--cpu-quota", "PidsLimit": "--pids-limit", "ShmSize": "--shm-size",
    "OomScoreAdj": "--oom-score-adj", "BlkioWeight": "--blkio-weight", "CpuRealtimePeriod": "--cpu-rt-period",
    "CpuRealtimeRuntime": "--cpu-rt-runtime", "MemorySwappiness": "--memory-swappiness",
}  # fmt: skip
_LISTS = {
    "Binds": "--volume", "VolumesFrom": "--volumes-from", "CapAdd": "--cap-add", "CapDrop": "--cap-drop", "Dns": "--dns",
    "DnsOptions": "--dns-option", "DnsSearch": "--dns-search", "ExtraHosts": "--add-host", "GroupAdd": "--group-add",
    "SecurityOpt": "--security-opt", "DeviceCgroupRules": "--device-cgroup-rule",
}  # fmt: skip
_MAPS = {"Sysctls": "--sysctl", "StorageOpt": "--storage-opt", "Annotations": "--annotation"}
_FLAGS = {
    "Privileged": "--privileged", "ReadonlyRootfs": "--read-only", "PublishAllPorts": "--publish-all", "Init": "--init",
    "OomKillDisable": "--oom-kill-disable",
}  # fmt: skip
_ELSEWHERE = frozenset(
    {"PortBindings", "RestartPolicy", "NetworkMode", "Mounts", "Tmpfs", "LogConfig", "NanoCpus", "Ulimits", "Devices"}
)
_DERIVED = frozenset({"ContainerIDFile", "ConsoleSize", "MaskedPaths", "ReadonlyPaths", "AutoRemove", "Cgroup"})
"""Not settings of the container, or made of others."""


def like(old: Described, image: Described, extra: Mapping[str, str]) -> Like:
    """Options for a container like `old`, whose own image is `image`; `extra` variables are set besides.

    Raises:
        StepFailed: `recipe_not_recreatable`, with the settings that can't be said by options.
    """
    host, config, own = old.get("HostConfig") or {}, old.get("Config") or {}, image.get("Config") or {}
    unknown = [*_unknown(host), *_unsayable(config, own)]
    if unknown:
        raise _not_recreatable(str(old.get("Name", "")).lstrip("/"), unknown)
    first, networks = _networks(old)
    entrypoint, command = _command(config, own)
    inherited = set(own.get("Env") or ())
    own_labels = own.get("Labels") or {}
    return Like(
        options=(
            *_simple(host),
            *_composite(host),
            *_anonymous(old),
            *first,
            *_identity(old, config, own),
            *entrypoint,
        ),
        command=command,
        variables={**pairs([e for e in config.get("Env") or () if e not in inherited]), **extra},
        labels={k: v for k, v in (config.get("Labels") or {}).items() if own_labels.get(k) != v},
        networks=networks,
    )


def restart_option(old: Described) -> str:
    """`on-failure:5`."""
    policy = (old.get("HostConfig") or {}).get("RestartPolicy") or {}
    name, times = str(policy.get("Name") or "no"), int(policy.get("MaximumRetryCount") or 0)
    return f"{name}:{times}" if name == "on-failure" and times else name


def _simple(host: Described) -> Iterator[str]:
    for key, (option, defaults) in _TEXTS.items():
        if host.get(key) and host[key] not in defaults:
            yield f"{option}={host[key]}"
    for key, option in _NUMBERS.items():
        if (host.get(key) and host[key] != -1) or (key == "MemorySwap" and host.get(key) == -1):
            yield f"{option}={host[key]}"
    for key, option in _LISTS.items():
        yield from (f"{option}={value}" for value in host.get(key) or ())
    for key, option in _MAPS.items():
        yield from (f"{option}={name}={value}" for name, value in (host.get(key) or {}).items())
    yield from (option for key, option in _FLAGS.items() if host.get(key))


def _composite(host: Described) -> Iterator[str]:
    yield f"--restart={restart_option({'HostConfig': host})}"
    for port, bindings in (host.get("PortBindings") or {}).items():
        outside: list[Described] = list(bindings or ()) or [{}]
        for binding in outside:
            yield f"--publish={_published(port, binding)}"
    for mount in host.get("Mounts") or ():
        yield f"--mount={_mount(mount)}"
    for path, options in (host.get("Tmpfs") or {}).items():
        yield f"--tmpfs={path}:{options}" if options else f"--tmpfs={path}"
    log = host.get("LogConfig") or {}
    if log.get("Type"):
        yield f"--log-driver={log['Type']}"
    yield from (f"--log-opt={k}={v}" for k, v in (log.get("Config") or {}).items())
    if host.get("NanoCpus"):
        yield f"--cpus={host['NanoCpus'] / 1e9:g}"
    for limit in host.get("Ulimits") or ():
        yield f"--ulimit={limit['Name']}={limit['Soft']}:{limit['Hard']}"
    for device in host.get("Devices") or ():
        yield f"--device={device['PathOnHost']}:{device['PathInContainer']}:{device.get('CgroupPermissions') or 'rwm'}"


def _published(port: str, binding: Described) -> str:
    ip, outside = str(binding.get("HostIp") or ""), str(binding.get("HostPort") or "")
    shown = f"[{ip}]" if ":" in ip else ip
    return f"{shown}:{outside}:{port}" if ip else f"{outside}:{port}" if outside else port


def _mount(mount: Described) -> str:
    parts = [f"type={mount.get('Type', 'volume')}"]
    if mount.get("Source"):
        parts.append(f"source={mount['Source']}")
    parts.append(f"target={mount['Target']}")
    if mount.get("ReadOnly"):
        parts.append("readonly")
    propagation = (mount.get("BindOptions") or {}).get("Propagation")
    if propagation:
        parts.append(f"bind-propagation={propagation}")
    return ",".join(f'"{part}"' if "," in part else part for part in parts)


def _anonymous(old: Described) -> Iterator[str]:
    """Volumes without a name of their own hold data as well: the new container gets the same ones."""
    host = old.get("HostConfig") or {}
    named = {str(b).split(":")[1] for b in host.get("Binds") or () if ":" in str(b)}
    named |= {str(m.get("Target")) for m in host.get("Mounts") or () if m.get("Source")}
    for mount in old.get("Mounts") or ():
        if mount.get("Type") == "volume" and mount.get("Name") and mount.get("Destination") not in named:
            yield f"--volume={mount['Name']}:{mount['Destination']}{'' if mount.get('RW', True) else ':ro'}"


def _networks(old: Described) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    mode = str((old.get("HostConfig") or {}).get("NetworkMode") or "default")
    connected = (old.get("NetworkSettings") or {}).get("Networks") or {}
    first: tuple[str, ...] = () if mode in ("default", "bridge") else (f"--network={mode}",)
    if mode in connected and mode not in ("default", "bridge"):
        first += tuple(o.replace("--alias=", "--network-alias=") for o in _endpoint(old, connected[mode]))
    others = [n for n in connected if n != mode and not (mode == "default" and n == "bridge")]
    return first, tuple((*_endpoint(old, connected[n]), n) for n in others)


def _endpoint(old: Described, endpoint: Described) -> Iterator[str]:
    short = str(old.get("Id", ""))[:12]
    for alias in dict.fromkeys(endpoint.get("Aliases") or ()):
        if alias != short:
            yield f"--alias={alias}"
    fixed = endpoint.get("IPAMConfig") or {}
    if fixed.get("IPv4Address"):
        yield f"--ip={fixed['IPv4Address']}"
    if fixed.get("IPv6Address"):
        yield f"--ip6={fixed['IPv6Address']}"


def _identity(old: Described, config: Described, own: Described) -> Iterator[str]:
    host = str((old.get("HostConfig") or {}).get("NetworkMode") or "")
    if (
        config.get("Hostname")
        and config["Hostname"] != str(old.get("Id", ""))[:12]
        and not host.startswith(("host", "container:"))
    ):
        yield f"--hostname={config['Hostname']}"
    if config.get("Domainname"):
        yield f"--domainname={config['Domainname']}"
    for key, option in (("User", "--user"), ("WorkingDir", "--workdir"), ("StopSignal", "--stop-signal")):
        if config.get(key) and config[key] != own.get(key):
            yield f"{option}={config[key]}"
    if config.get("StopTimeout") is not None:
        yield f"--stop-timeout={config['StopTimeout']}"
    yield from (option for key, option in (("Tty", "--tty"), ("OpenStdin", "--interactive")) if config.get(key))
    bound = (old.get("HostConfig") or {}).get("PortBindings") or {}
    for port in config.get("ExposedPorts") or {}:
        if port not in (own.get("ExposedPorts") or {}) and port not in bound:
            yield f"--expose={port}"
    yield from _health(config.get("Healthcheck") or {}, own.get("Healthcheck") or {})


def _health(check: Described, own: Described) -> Iterator[str]:
    if not check or check == own:
        return
    test = list(check.get("Test") or ())
    if test == ["NONE"]:
        yield "--no-healthcheck"
        return
    if test[:1] == ["CMD-SHELL"]:
        yield f"--health-cmd={test[1]}"
    for key, option in (("Interval", "interval"), ("Timeout", "timeout"), ("StartPeriod", "start-period"), ("StartInterval", "start-interval")):  # fmt: skip
        if check.get(key):
            yield f"--health-{option}={check[key]}ns"
    if check.get("Retries"):
        yield f"--health-retries={check['Retries']}"


def _command(config: Described, own: Described) -> tuple[tuple[str, ...], tuple[str, ...]]:
    entry, command = list(config.get("Entrypoint") or ()), [str(c) for c in config.get("Cmd") or ()]
    if entry == list(own.get("Entrypoint") or ()):
        return (), () if command == list(own.get("Cmd") or ()) else tuple(command)
    return (f"--entrypoint={entry[0] if entry else ''}",), (*entry[1:], *command)


def _unknown(host: Described) -> Iterator[str]:
    known = {*_TEXTS, *_NUMBERS, *_LISTS, *_MAPS, *_FLAGS, *_ELSEWHERE, *_DERIVED}
    for key, value in host.items():
        if key not in known and value not in (None, "", 0, False, -1, [], {}):
            yield key


def _unsayable(config: Described, own: Described) -> Iterator[str]:
    check = config.get("Healthcheck") or {}
    if (check.get("Test") or [""])[0] == "CMD" and check != (own.get("Healthcheck") or {}):
        yield "Healthcheck (a command without a shell)"
    if any("\n" in str(v) or "\n" in k for k, v in (config.get("Labels") or {}).items()):
        yield "Labels (a label with a line end)"


def _not_recreatable(name: str, settings: Sequence[str]) -> StepFailed:
    return StepFailed(
        f"The container {name} has settings that a new one can't be given by `docker create`.",
        detail=", ".join(sorted(settings)),
        hint="Run the application by Docker Compose (`kind: compose`), or make the new container by `kind: command`.",
        code="recipe_not_recreatable",
    )
