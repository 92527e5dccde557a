"""Stand-ins on PATH for systemctl, journalctl, docker, docker-compose and kubectl.

Each is a small program that keeps its state in a file, answers as the real tool does, and writes down every command line.
A test changes the state, and reads the lines. `faults` make a command fail, hang, or kill the engine's place in it.
"""

from __future__ import annotations

import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TOOLS = ("systemctl", "journalctl", "docker", "docker-compose", "kubectl")


class StandIns:
    """The folder with the stand-ins; `lines` are the recorded command lines, tool first."""

    def __init__(self, folder: Path, *tools: str) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        self._state = folder / "state.json"
        self._log = folder / "calls.jsonl"
        self._state.write_text("{}")
        for tool in tools or TOOLS:
            self.add(tool)

    def add(self, tool: str) -> None:
        """Put one tool on the path."""
        script = self.bin / tool
        here = str(Path(__file__).parent)
        script.write_text(
            f"#!{sys.executable} -SE\nimport sys\nsys.path.insert(0, {here!r})\n"
            f"from stand_ins import main\nmain({tool!r}, {str(self._state)!r}, {str(self._log)!r})\n"
        )
        script.chmod(0o755)

    @property
    def lines(self) -> list[str]:
        """Every command line so far."""
        if not self._log.exists():
            return []
        return [" ".join(json.loads(line)["argv"]) for line in self._log.read_text().splitlines()]

    def done(self, *verbs: str) -> list[str]:
        """The lines that hold one of the words: what was done, without the questions."""
        return [line for line in self.lines if set(verbs) & set(line.split())]

    @property
    def environments(self) -> list[dict[str, str]]:
        """The variables of every call."""
        return [json.loads(line)["env"] for line in self._log.read_text().splitlines()]

    def forget(self) -> None:
        """Forget the lines."""
        self._log.unlink(missing_ok=True)

    @contextmanager
    def state(self) -> Iterator[dict[str, Any]]:
        """The state, written back when the block ends."""
        state = json.loads(self._state.read_text())
        yield state
        aside = self._state.with_suffix(".new")
        aside.write_text(json.dumps(state))
        aside.replace(self._state)

    def read(self) -> dict[str, Any]:
        """The state, to look at."""
        state: dict[str, Any] = json.loads(self._state.read_text())
        return state

    def fault(
        self, match: str, *, err: str = "", out: str = "", status: int = 1, hang: bool = False, times: int = 99
    ) -> None:
        """Let commands that contain a text fail, say something, or never end."""
        with self.state() as state:
            state.setdefault("faults", []).append(
                {"match": match, "err": err, "out": out, "status": status, "hang": hang, "times": times}
            )

    def mend(self) -> None:
        """No more faults."""
        with self.state() as state:
            state["faults"] = []


# What runs as the tool ------------------------------------------------------------------------------------------------


class End(Exception):
    """The tool ends: exit status, standard output, standard error."""

    def __init__(self, status: int = 0, out: str = "", err: str = "") -> None:
        super().__init__(status)
        self.status, self.out, self.err = status, out, err


def main(tool: str, state_file: str, log: str) -> None:
    """Run as a tool."""
    argv = [tool, *sys.argv[1:]]
    with Path(log).open("a") as file:
        file.write(json.dumps({"argv": argv, "env": dict(os.environ)}) + "\n")
    before = Path(state_file).read_text()
    state = json.loads(before)
    try:
        _faults(state, " ".join(argv))
        {
            "systemctl": _systemctl,
            "journalctl": _journalctl,
            "docker": _docker,
            "docker-compose": _compose_1,
            "kubectl": _kubectl,
        }[tool](state, argv[1:])
        end = End(64, err=f"stand-in: unknown command {argv}")
    except End as reached:
        end = reached
    if "program" in state:
        _follow(state)
    if json.dumps(state) != before:  # two tools may run at once: questions change nothing
        aside = Path(f"{state_file}.{os.getpid()}")
        aside.write_text(json.dumps(state))
        aside.replace(state_file)
    sys.stdout.write(end.out)
    sys.stdout.flush()
    sys.stderr.write(end.err)
    sys.exit(end.status)


def _faults(state: dict[str, Any], line: str) -> None:
    for fault in state.get("faults", ()):
        if fault["match"] in line and fault["times"] > 0:
            fault["times"] -= 1
            if fault["hang"]:
                time.sleep(3600)
            raise End(fault["status"], fault["out"], fault["err"])


def _follow(state: dict[str, Any]) -> None:
    """Let the real program that `program` names live as long as the container or pod that stands for it."""
    program = state["program"]
    containers = [c for c in state.get("containers", {}).values() if c["Name"][1:] == program["name"]]
    ready = state["deployment"]["status"]["readyReplicas"] if "deployment" in state else 0
    if (ready > 0 or any(c["State"]["Running"] for c in containers)) == bool(program["pid"]):
        return
    if program["pid"]:
        os.kill(program["pid"], signal.SIGTERM)
        program["pid"] = 0
        return
    with Path(program["log"]).open("ab") as log:
        program["pid"] = subprocess.Popen(
            shlex.split(program["command"]), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        ).pid


# systemd


def unit(name: str, **properties: str) -> dict[str, str]:
    """A running service as `systemctl show` tells it."""
    return {
        "Id": name, "LoadState": "loaded", "ActiveState": "active", "SubState": "running", "Result": "success", "Type": "simple",
        "RemainAfterExit": "no", "MainPID": "0", "NRestarts": "0", "ExecMainStatus": "0",
        "ActiveEnterTimestampMonotonic": "12345678", "InvocationID": "1" * 32, "FragmentPath": f"/etc/systemd/system/{name}",
        "Transient": "no", "NeedDaemonReload": "no", "RefuseManualStop": "no", "RefuseManualStart": "no", "TriggeredBy": "",
        "RequiredBy": "", "BoundBy": "", "ConsistsOf": "", "ControlGroup": "", "Environment": "", **properties,
    }  # fmt: skip


def _systemctl(state: dict[str, Any], argv: list[str]) -> None:
    words = [a for a in argv if not a.startswith("-")]
    verb, names = words[0], words[1:]
    units = state.setdefault("units", {})
    if verb == "show" and state.get("replacement"):
        raise End(out="Id=shop.service\n")
    if verb == "show":
        raise End(
            out=_show(
                units, names[0], next(a for a in argv if a.startswith("--property=")).partition("=")[2].split(",")
            )
        )
    if verb == "is-active":
        active = units[names[0]]["ActiveState"]
        raise End(0 if active == "active" else 3, f"{active}\n")
    if verb == "daemon-reload":
        for found in units.values():
            found["NeedDaemonReload"] = "no"
        raise End
    for name in names:
        if name not in units:
            raise End(5, err=f"Failed to {verb} {name}: Unit {name} not loaded.\n")
        {"stop": _stop_unit, "start": _start_unit, "reset-failed": _stop_unit}[verb](units[name])
    raise End


def _show(units: dict[str, Any], name: str, wanted: list[str]) -> str:
    found = units.get(name) or unit(name, LoadState="not-found", ActiveState="inactive", SubState="dead")
    if found.get("_fails") == "flap" and found["ActiveState"] == "active":
        found.update(ActiveState="activating", SubState="auto-restart", NRestarts=str(int(found["NRestarts"]) + 1),
                     Result="exit-code", ExecMainStatus="1")  # fmt: skip
    lines = [f"{key}={found[key]}" for key in wanted if key in found]
    lines += [f"EnvironmentFiles={path} (ignore_errors=no)" for path in found.get("_files", ())]
    return "\n".join(lines) + "\n"


def _stop_unit(found: dict[str, Any]) -> None:
    if not found.get("_stays"):
        found.update(ActiveState="inactive", SubState="dead", MainPID="0")


def _start_unit(found: dict[str, Any]) -> None:
    if found["ActiveState"] == "active":
        return
    if found.get("_fails") == "exit":
        found.update(ActiveState="failed", SubState="failed", Result="exit-code", ExecMainStatus="1")
        name = found["Id"]
        raise End(1, err=f"Job for {name} failed because the control process exited with error code.\n"
                  f'See "systemctl status {name}" and "journalctl -xeu {name}" for details.\n')  # fmt: skip
    if found["Type"] == "oneshot" and found["RemainAfterExit"] == "no":
        found.update(Result="success")
        return
    found.update(ActiveState="active", SubState="running", NRestarts="0", InvocationID="2" * 32)


def _journalctl(state: dict[str, Any], argv: list[str]) -> None:
    raise End(out=state.get("journal", ""))


# docker


def docker_state(*, image: str = "sha256:" + "a" * 64, reference: str = "shop:1") -> dict[str, Any]:
    """A server with one image, here and in the registry, and a second version in the registry."""
    new = "sha256:" + "b" * 64
    return {
        "images": {image: _image(image), new: _image(new)},
        "tags": {reference: image},
        "registry": {reference: image, "shop:2": new, f"shop@{new}": new},
        "containers": {},
        "bad": [],
        "next": 1,
    }


def _image(image: str) -> dict[str, Any]:
    version = "1" if image.startswith("sha256:a") else "2"
    config = {"Env": ["PATH=/usr/bin", f"APP_VERSION={version}"], "Cmd": ["serve"], "Entrypoint": ["/entry"], "WorkingDir": "/app",
              "Labels": {"maker": f"v{version}"}, "ExposedPorts": {"80/tcp": {}}}  # fmt: skip
    return {"Id": image, "RepoTags": [], "RepoDigests": [f"shop@{image}"], "Config": config}


def container(number: str, name: str, *, image: str = "sha256:" + "a" * 64, **config: Any) -> dict[str, Any]:
    """A running container as `docker inspect` prints it."""
    own = _image(image)["Config"]
    return {
        "Id": number, "Name": f"/{name}", "Image": image, "RestartCount": 0,
        "State": {"Status": "running", "Running": True, "Paused": False, "Restarting": False, "OOMKilled": False, "Pid": 4711,
                  "ExitCode": 0, "Error": "", "StartedAt": "2026-01-02T03:04:05.123456789Z"},
        "Config": {"Hostname": number[:12], "User": "", "Image": "shop:1", **own, "Env": list(own["Env"]), **config},
        "HostConfig": {"Binds": None, "NetworkMode": "default", "PortBindings": {}, "AutoRemove": False,
                       "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "LogConfig": {"Type": "json-file", "Config": {}},
                       "ShmSize": 67108864, "IpcMode": "private", "CgroupnsMode": "private", "Runtime": "runc",
                       "ConsoleSize": [0, 0], "MaskedPaths": ["/proc/acpi"], "ReadonlyPaths": ["/proc/bus"]},
        "Mounts": [], "NetworkSettings": {"Networks": {"bridge": {"Aliases": None, "IPAMConfig": None}}},
    }  # fmt: skip


def _docker(state: dict[str, Any], argv: list[str]) -> None:
    if argv[0] == "compose":
        _compose(state, argv[1:])
    values = {o: v for o, v in zip(argv, [*argv[1:], ""], strict=True) if o.startswith("--")}
    words = argv
    if argv[0] == "inspect":
        found = {name: _container(state, name) for name in argv[3:]}
        raise _described([c for c in found.values() if c], "container", [n for n, c in found.items() if not c])
    if argv[:2] == ["image", "inspect"]:
        image = _find_image(state, argv[2])
        raise _described([image] if image else [], "image", [] if image else [argv[2]])
    if argv[:2] == ["image", "rm"]:
        state["tags"].pop(argv[-1])
        raise End(out=f"Untagged: {argv[-1]}\n")
    if argv[:2] == ["manifest", "inspect"]:
        raise (
            End(out="{}")
            if argv[2] in state["registry"]
            else End(1, err=f"no such manifest: docker.io/library/{argv[2]}\n")
        )
    if argv[0] == "pull":
        _pull(state, argv[1])
    elif argv[0] == "tag":
        image = _find_image(state, words[1])
        if image is None:
            raise End(1, err=f"Error response from daemon: No such image: {words[1]}\n")
        state["tags"][words[2]] = image["Id"]
    elif argv[0] == "create":
        raise End(out=_create(state, argv, values) + "\n")
    elif argv[0] == "logs":
        found = _container(state, argv[-1])
        raise End(out=(found or {}).get("_log", ""), err=(found or {}).get("_errors", ""))
    elif argv[:2] == ["network", "connect"]:
        raise End
    else:
        _on_container(state, argv)
    raise End(out=f"{argv[-1]}\n")


def _on_container(state: dict[str, Any], argv: list[str]) -> None:
    name = argv[1] if argv[0] == "rename" else argv[-1]
    found = _container(state, name)
    if found is None:
        raise End(1, err=f"Error response from daemon: No such container: {name}\n")
    if argv[0] == "stop":
        found["State"].update(Running=False, Status="exited", Restarting=False)
    elif argv[0] == "start":
        _run(state, found)
    elif argv[0] == "rename":
        found["Name"] = f"/{argv[2]}"
    elif argv[0] == "update":
        policy, _colon, times = argv[1].partition("=")[2].partition(":")
        found["HostConfig"]["RestartPolicy"] = {"Name": policy, "MaximumRetryCount": int(times or 0)}
    elif argv[0] == "rm":
        del state["containers"][found["Id"]]
    else:
        raise End(64, err=f"stand-in: unknown command {argv}")


def _run(state: dict[str, Any], found: dict[str, Any]) -> None:
    if found["Image"] in state["bad"]:
        found["State"].update(Running=False, Status="exited", ExitCode=1)
        found["_log"] = state["images"][found["Image"]].get("_log", found.get("_log", ""))
    else:
        found["State"].update(Running=True, Status="running", ExitCode=0)


def _described(found: list[Any], kind: str, missing: list[str]) -> End:
    """As the real one: what is there is printed even if something is missing."""
    err = "".join(f"Error response from daemon: No such {kind}: {name}\n" for name in missing)
    return End(1 if missing else 0, out=json.dumps(found) + "\n", err=err)


def _container(state: dict[str, Any], name: str) -> Any:
    return next((c for i, c in state["containers"].items() if name in (i, c["Name"][1:])), None)


def _find_image(state: dict[str, Any], reference: str) -> Any:
    image = state["tags"].get(reference, reference)
    if "@" in image:
        image = image.partition("@")[2] if image in state.get("pulled", ()) else ""
    here = {*state["tags"].values(), *state.get("pulled_ids", ()), *(c["Image"] for c in state["containers"].values())}
    return state["images"].get(image) if image in here else None


def _pull(state: dict[str, Any], reference: str) -> None:
    if reference not in state["registry"]:
        raise End(1, err=f"Error response from daemon: pull access denied for {reference}, repository does not exist or may require "
                  "'docker login': denied: requested access to the resource is denied\n")  # fmt: skip
    image = state["registry"][reference]
    state.setdefault("pulled_ids", []).append(image)
    if "@" in reference:
        state.setdefault("pulled", []).append(reference)
    else:
        state["tags"][reference] = image


def _create(state: dict[str, Any], argv: list[str], values: dict[str, str]) -> str:
    name, number = values["--name"], f"{state['next']:064x}"
    if _container(state, name):
        raise End(1, err=f'Error response from daemon: Conflict. The container name "/{name}" is already in use\n')
    state["next"] += 1
    reference = next(a for a in argv[1:] if _find_image(state, a))
    made = container(number, name, image=_find_image(state, reference)["Id"])
    made["Config"]["Env"] += Path(values["--env-file"]).read_text().splitlines()
    made["Config"]["Labels"] = dict(
        line.split("=", 1) for line in Path(values["--label-file"]).read_text().splitlines()
    )
    made["_options"] = argv
    made["_mode"] = oct(Path(values["--env-file"]).stat().st_mode & 0o777)
    made["State"].update(Running=False, Status="created")
    state["containers"][number] = made
    return number


# compose


def _compose_1(state: dict[str, Any], argv: list[str]) -> None:
    _compose(state, argv, version="docker-compose version 1.29.2, build 5becea4c")


def _compose(state: dict[str, Any], argv: list[str], version: str = "Docker Compose version v2.29.7") -> None:
    if state.get("no_compose") and version.startswith("Docker Compose"):
        raise End(1, err="docker: 'compose' is not a docker command.\nSee 'docker --help'\n")
    files, rest = [], list(argv)
    while rest and rest[0].startswith("--"):
        option, value, rest = rest[0], rest[1], rest[2:]
        if option == "--file":
            files.append(value)
    verb, words = rest[0], rest[1:]
    service = next((w for w in reversed(words) if w in state.get("services", ())), None)
    if verb == "version":
        raise End(out=version + "\n")
    if verb == "ls":
        raise End(out=json.dumps(state.get("projects", [])))
    if verb == "config" and "json" in words:
        raise End(out=json.dumps({"services": {name: {"image": image} for name, image in state["services"].items()}}))
    if verb == "config":
        raise End(out="\n".join(state["services"]) + "\n", err=state.get("warnings", ""))
    own = {
        i: c
        for i, c in state["containers"].items()
        if service in (None, c["Config"]["Labels"].get("com.docker.compose.service"))
    }
    if verb == "ps":
        raise End(out="".join(f"{i}\n" for i in own))
    if verb == "stop":
        for found in own.values():
            found["State"].update(Running=False, Status="exited")
        raise End(err=f" Container {service}  Stopped\n")
    if verb == "up":
        _up(state, files, service, words)
    raise End


def _up(state: dict[str, Any], files: list[str], service: str | None, words: list[str]) -> None:
    overrides: dict[str, Any] = {}
    for file in files[1:]:
        overrides.update(json.loads(Path(file).read_text())["services"])
    counts = dict(w.split("=") for o, w in itertools.pairwise(words) if o == "--scale")
    for name, reference in state["services"].items():
        if service not in (None, name):
            continue
        wanted = overrides.get(name, {}).get("image", reference)
        image = _find_image(state, wanted)
        if image is None:
            raise End(1, err=f"Error response from daemon: No such image: {wanted}\n")
        for number in [
            i for i, c in state["containers"].items() if c["Config"]["Labels"]["com.docker.compose.service"] == name
        ]:
            del state["containers"][number]
        for copy in range(int(counts.get(name, 1))):
            made = container(f"{state['next']:064x}", f"shop-{name}-{copy + 1}", image=image["Id"], Image=wanted)
            made["Config"]["Labels"] = compose_labels(files[0], name)
            _run(state, made)
            state["containers"][made["Id"]] = made
            state["next"] += 1


def compose_labels(file: str, service: str, *, project: str = "shop") -> dict[str, str]:
    """The labels that Compose gives a container."""
    return {
        "com.docker.compose.project": project, "com.docker.compose.service": service, "com.docker.compose.oneoff": "False",
        "com.docker.compose.project.config_files": file, "com.docker.compose.project.working_dir": str(Path(file).parent),
    }  # fmt: skip


# kubectl


def deployment(name: str = "shop", *, replicas: int = 3, image: str = "registry.example.com/shop:1") -> dict[str, Any]:
    """A deployment as `kubectl get deployment -o json` prints it."""
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [
            {"name": "web", "image": image, "env": [{"name": "DATABASE_URL", "value": "sqlite:////data/shop.db"},
             {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "shop", "key": "api"}}}, {"name": "SESSION_SECRET", "value": "s3cr3t-in-env"}],
             "envFrom": [{"configMapRef": {"name": "shop-config"}}, {"secretRef": {"name": "shop-env"}}]},
            {"name": "proxy", "image": "envoyproxy/envoy:v1.31"},
        ]},
    }  # fmt: skip
    return {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "annotations": {"deployment.kubernetes.io/revision": "7"}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
        "status": {"replicas": replicas, "readyReplicas": replicas,
                   "conditions": [{"type": "Available", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}]},
    }  # fmt: skip


def kubectl_state(**kwargs: Any) -> dict[str, Any]:
    """A cluster with one deployment."""
    found = deployment(**kwargs)
    return {
        "deployment": found,
        "revisions": {"7": found["spec"]["template"]},
        "bad": [],
        "hpa": [],
        "lingering": [],
        "logs": {},
    }


def _kubectl(state: dict[str, Any], argv: list[str]) -> None:
    words = [a for a in argv if not a.startswith("-")]
    flags = dict(a.split("=", 1) for a in argv if a.startswith("--") and "=" in a)
    if words[0] == "config":
        raise End(out="prod-cluster\n" if words[1] == "current-context" else "shop-ns")
    if words[0] == "auth":
        raise End(1, out="no\n") if state.get("forbidden") else End(out="yes\n")
    if words[:2] == ["get", "deployment"]:
        if words[2] != state["deployment"]["metadata"]["name"]:
            raise End(1, err=f'Error from server (NotFound): deployments.apps "{words[2]}" not found\n')
        raise End(out=json.dumps(state["deployment"]))
    if words[:2] == ["get", "pods"]:
        raise End(out=json.dumps({"items": _pods(state)}))
    if words[:2] == ["get", "hpa"]:
        raise End(out=json.dumps({"items": state["hpa"]}))
    if words[0] == "logs":
        key = f"{words[1]}{' previous' if '--previous' in argv else ''}"
        raise (
            End(out=state["logs"][key])
            if key in state["logs"]
            else End(1, err=f"Error from server (BadRequest): {key}\n")
        )
    spec = state["deployment"]["spec"]
    if words[0] == "scale":
        spec["replicas"] = int(flags["--replicas"])
        _settle(state)
        raise End(out=f"{words[1]} scaled\n")
    if words[:2] == ["set", "image"]:
        template = json.loads(json.dumps(spec["template"]))
        for pair in [w for w in words[3:] if "=" in w]:
            name, _equals, image = pair.partition("=")
            next(c for c in template["spec"]["containers"] if c["name"] == name)["image"] = image
        _revise(state, template)
        raise End(out=f"{words[2]} image updated\n")
    if words[:2] == ["rollout", "undo"]:
        _undo(state, flags["--to-revision"])
    if words[:2] == ["rollout", "status"]:
        if state["deployment"]["status"]["readyReplicas"] == spec["replicas"]:
            raise End(out='deployment "shop" successfully rolled out\n')
        time.sleep(3600 if state.get("slow") else 0)
        raise End(1, err="error: timed out waiting for the condition\n")


def _undo(state: dict[str, Any], revision: str) -> None:
    meta = state["deployment"]["metadata"]["annotations"]
    if revision == meta["deployment.kubernetes.io/revision"]:
        raise End(out=f"deployment.apps/shop skipped rollback (current template already matches revision {revision})\n")
    if revision not in state["revisions"]:
        raise End(1, err=f"error: unable to find specified revision {revision} in history\n")
    _revise(state, state["revisions"].pop(revision))
    raise End(out="deployment.apps/shop rolled back\n")


def _revise(state: dict[str, Any], template: Any) -> None:
    found = state["deployment"]
    if template == found["spec"]["template"]:
        return
    number = str(
        max(
            int(r) for r in (*state["revisions"], found["metadata"]["annotations"]["deployment.kubernetes.io/revision"])
        )
        + 1
    )
    state["revisions"][number] = template
    found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = number
    found["spec"]["template"] = template
    _settle(state)


def _bad(state: dict[str, Any]) -> bool:
    return any(c["image"] in state["bad"] for c in state["deployment"]["spec"]["template"]["spec"]["containers"])


def _settle(state: dict[str, Any]) -> None:
    state["deployment"]["status"]["readyReplicas"] = 0 if _bad(state) else state["deployment"]["spec"]["replicas"]


def _pods(state: dict[str, Any]) -> list[Any]:
    running = {"name": "web", "ready": True, "restartCount": 0, "state": {"running": {}}, "lastState": {}}
    crashed = {"name": "web", "ready": False, "restartCount": 3, "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
               "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}}}  # fmt: skip
    status = {"phase": "Running", "containerStatuses": [crashed if _bad(state) else running]}
    pods = [
        {"metadata": {"name": f"shop-abc-{n}", "creationTimestamp": f"2026-01-02T03:04:0{n}Z",
                      "ownerReferences": [{"kind": "ReplicaSet", "name": "shop-abc"}]}, "status": status}
        for n in range(state["deployment"]["spec"]["replicas"])
    ]  # fmt: skip
    return [*pods, *state["lingering"]]
