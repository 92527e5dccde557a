"""What the questions about an application's recipe say: kinds, and the keys each has."""

from __future__ import annotations

from stepflow_tui.engine.texts.language import N_

KINDS: dict[str, str] = {
    "": N_("Nobody here: stopping, switching and starting are items of the checklist."),
    "systemd": N_("A unit of systemd: systemctl stops and starts it."),
    "compose": N_("A service of docker compose: stopped and started with its file."),
    "docker": N_("A container that was started with docker run."),
    "kubectl": N_("A deployment in Kubernetes: scaled to nothing, and back to as many as it had."),
    "git": N_("A working copy: another revision is checked out and built. Something else starts it."),
    "image": N_("The tag of a container image: pulled, or put on a digest. Something else runs it."),
    "directory": N_("A folder whose place the new release takes; the old one is kept. Something else starts it."),
    "command": N_("A command that runs in the foreground; stopped by its process id."),
}
"""Each kind in one sentence."""
KEYS: dict[str, tuple[str, str]] = {
    "unit": (N_("Unit"), "shop.service"),
    "file": (N_("Compose file"), "./compose.yaml"),
    "service": (N_("Service"), "web"),
    "container": (N_("Container"), "shop"),
    "deployment": (N_("Deployment"), "shop"),
    "namespace": (N_("Namespace"), "default"),
    "directory": (N_("Folder"), "./app"),
    "revision": (N_("Revision"), "v2.0"),
    "image": (N_("Image"), "registry.example.com/shop:2"),
    "release": (N_("New release"), "./app-2"),
    "command": (N_("Command"), "./serve.sh"),
    "pid_file": (N_("Pid file"), "./shop.pid"),
}
"""Label and example of each key."""
