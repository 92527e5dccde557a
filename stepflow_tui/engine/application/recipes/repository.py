"""A git repository with its working files: what is asked of it, and the checkout.

Nothing of others is lost: files that git does not know are never overwritten on the way forward, and what stands in the way on
the way back is copied aside first. git never asks for a password here, and what it says is shown without those in addresses.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from stepflow_tui.engine.application.recipes.calls import until
from stepflow_tui.engine.application.recipes.folders import free_name
from stepflow_tui.engine.application.recipes.tools import Output, failed, run_tool
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.redact import Redact

LOCK_SECONDS = 5.0
"""How long another git may take to end: that of an engine that was killed goes on to its end."""
_NAMED = 10
_PASSED = ("SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "GIT_CONFIG_GLOBAL", "XDG_CONFIG_HOME", "http_proxy", "https_proxy",
           "HTTPS_PROXY", "no_proxy", "NO_PROXY")  # fmt: skip
"""Where git finds its logins and its way out, as in the operator's own shell."""

_NAME = re.compile(r"[\w./\-]+")
_LOGIN = re.compile(r"\b([a-z][a-z0-9+.-]*://)[^\s/@]+@", re.IGNORECASE)


class Repository:
    """One repository.

    Args:
        folder: its top folder.
        env: variables of the recipe.
        seconds: how long a command may take.
        redact: blots secrets out of what git says.
    """

    def __init__(self, folder: Path, *, env: Mapping[str, str], seconds: float, redact: Redact) -> None:
        self.folder = folder
        passed = {k: os.environ[k] for k in _PASSED if k in os.environ}
        self._env = {**passed, **env, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "false", "GIT_OPTIONAL_LOCKS": "0"}
        self._seconds = seconds
        self._redact: Redact = lambda text: _LOGIN.sub(r"\1***@", redact(text))

    async def usable(self) -> None:
        """Refuse a folder that is not the top of a repository of its own.

        Raises:
            StepFailed: `recipe_git_missing`, `recipe_git_locked`, `recipe_tool_missing`.
        """
        if not self.folder.is_dir():
            raise _missing(self.folder, "there is no such folder")
        output = await self._run("rev-parse", "--show-toplevel")
        if not output.ok:
            raise _missing(self.folder, output.said or output.ending)
        top = output.text.rstrip("\n")
        if not top or not self.folder.samefile(top):
            raise _missing(self.folder, f"it lies within the repository {top}, all of which a checkout would change")
        await self.unlocked(0.0)

    async def unlocked(self, seconds: float | None = None) -> None:
        """Wait for another git's lock to go.

        Raises:
            StepFailed: `recipe_git_locked`.
        """
        lock = self.folder / (
            await self._must("rev-parse", "--git-path", "index.lock", what="Looking for git's lock")
        ).rstrip("\n")

        async def free() -> bool:
            return not lock.exists()

        if not await until(free, LOCK_SECONDS if seconds is None else seconds):
            raise _locked(str(lock))

    async def head(self) -> tuple[str, str | None]:
        """The commit that is checked out, and its branch; None when there is none.

        Raises:
            StepFailed: `recipe_git_missing`, nothing was ever committed.
        """
        output = await self._run("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if not output.ok:
            raise _missing(self.folder, "it has no commit yet")
        branch = await self._run("symbolic-ref", "--quiet", "--short", "HEAD")
        return output.text.strip(), branch.text.strip() if branch.ok else None

    async def clean(self) -> None:
        """Refuse files that were changed since they were committed; files git does not know are no matter.

        Raises:
            StepFailed: `recipe_git_dirty`, with their names.
        """
        names = await self._names("status", "--porcelain=v1", "-z", "--untracked-files=no", "--ignore-submodules=untracked", "--no-renames")  # fmt: skip
        if names:
            raise StepFailed(
                f"Files in {self.folder} were changed and not committed: {len(names)}.",
                detail=_listed([name[3:] for name in names]),
                hint="Commit them, or put them away with `git stash`; nothing of yours is to be lost.",
                code="recipe_git_dirty",
            )

    async def commit(self, revision: str) -> str:
        """The commit a revision means. `origin` is fetched if it is unknown here.

        Raises:
            StepFailed: `recipe_git_revision`; `recipe_failed`, origin could not be fetched.
        """
        if revision.startswith("-") or not revision.strip():
            raise _unknown(revision, "a revision does not begin with a hyphen")
        found = await self._known(revision)
        if found is None and (await self._run("remote", "get-url", "origin")).ok:
            await self._must("fetch", "--quiet", "--tags", "origin", what=f"Fetching origin for {revision}")
            found = await self._known(revision) or await self._known(f"refs/remotes/origin/{revision}")
            # A shallow clone, or one of a single branch, follows no other: it has to be asked for by name.
            if (
                found is None
                and _NAME.fullmatch(revision)
                and (await self._run("fetch", "--quiet", "origin", revision)).ok
            ):
                found = await self._known("FETCH_HEAD")
        if found is None:
            raise _unknown(revision, f"neither {self.folder} nor its origin has it")
        return found

    async def room_for(self, commit: str) -> None:
        """Refuse a commit with files that lie there already and are nobody's: a checkout would overwrite them.

        Raises:
            StepFailed: `recipe_git_untracked`, with their names.
        """
        added = await self._added("HEAD", commit)
        names = [n for n in added if os.path.lexists(self.folder / n)] + await self._above(added)
        if names:
            raise StepFailed(
                f"Files in {self.folder} that git does not know would be overwritten: {len(names)}.",
                detail=_listed(names),
                hint="Move them away, or remove them from the new revision.",
                code="recipe_git_untracked",
            )

    async def checkout(self, commit: str, *, force: bool) -> None:
        """Put a commit's files in place, with its submodules.

        Args:
            commit: its full id.
            force: over changed files.

        Raises:
            StepFailed: `recipe_git_locked`, `recipe_failed`.
        """
        options = ("--force",) if force else ("--no-overwrite-ignore",)
        await self._must("checkout", "--quiet", *options, "--detach", commit, what=f"The checkout in {self.folder}")
        if (self.folder / ".gitmodules").exists():
            more = ("--force",) if force else ()
            await self._must(
                "submodule", "--quiet", "update", "--init", "--recursive", *more, what="Updating the submodules"
            )

    async def attach(self, branch: str, commit: str) -> None:
        """Be on a branch again, if it still means that commit; nothing is moved. Else the commit stays without a branch."""
        name = f"refs/heads/{branch}"
        if await self._known(name) == commit:
            await self._must("symbolic-ref", "HEAD", name, what=f"Going back to the branch {branch}")

    async def save_changes(self, commit: str) -> Path | None:
        """Copy what a forced checkout would overwrite: files that are not as committed, and unknown ones in its way.

        Args:
            commit: what is to be checked out.

        Returns:
            The folder they are in, beside the repository; None if there were none.
        """
        changed = await self._names("status", "--porcelain=v1", "-z", "--untracked-files=no", "--ignore-submodules=all", "--no-renames")  # fmt: skip
        names = [name[3:] for name in changed] + await self._added("HEAD", commit)
        return await asyncio.to_thread(_copy_all, self.folder, names)

    async def _above(self, added: Sequence[str]) -> list[str]:
        """Files nobody committed, where the new ones need a folder."""
        above = {str(p) for name in added for p in Path(name).parents if p != Path()}
        files = sorted(n for n in above if (self.folder / n).is_symlink() or (self.folder / n).is_file())
        known = set(await self._names("ls-files", "-z", "--", *(f":(literal){n}" for n in files))) if files else set()
        return [n for n in files if n not in known]

    async def _known(self, revision: str) -> str | None:
        output = await self._run("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        return output.text.strip() if output.ok else None

    async def _added(self, old: str, new: str) -> list[str]:
        return await self._names("diff", "--name-only", "-z", "--no-renames", "--diff-filter=A", old, new, "--")

    async def _names(self, *arguments: str) -> list[str]:
        text = await self._must(*arguments, what=f"Asking git about {self.folder}")
        return [name for name in text.split("\0") if name]

    async def _run(self, *arguments: str) -> Output:
        return await run_tool(
            ("git", *arguments), folder=self.folder, env=self._env, seconds=self._seconds, redact=self._redact
        )

    async def _must(self, *arguments: str, what: str) -> str:
        output = await self._run(*arguments)
        if output.ok:
            return output.text
        if "index.lock" in output.said:
            raise _locked(output.said)
        raise failed(("git", *arguments), what, output, self._redact, hint=_HINT)


_HINT = "Correct what git says (try the same by hand in that folder), then `stepflow run` again: it is done once more."


def _copy_all(source: Path, names: Sequence[str]) -> Path | None:
    files = [n for n in names if (source / n).is_file() and not (source / n).is_symlink()]
    if not files:
        return None
    folder = free_name(source, "changes")
    for name in files:
        kept = folder / name
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy2(source / name, kept)
        kept.chmod(0o600)
    return folder


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _missing(folder: Path, why: str) -> StepFailed:
    return StepFailed(
        f"{folder} is no git repository that can be used.",
        detail=why,
        hint="Name the top folder of the application's own repository in `directory`.",
        code="recipe_git_missing",
    )


def _unknown(revision: str, why: str) -> StepFailed:
    return StepFailed(
        f"The revision {revision} is not known.",
        detail=why,
        hint="Name a commit, a tag or a local branch in `revision`; `git fetch origin` brings what others pushed.",
        code="recipe_git_revision",
    )


def _locked(lock: str) -> StepFailed:
    return StepFailed(
        "Another git works in the repository, or was killed in it.",
        detail=lock,
        hint="Wait until it has ended. If none runs (`ps -C git`), remove that index.lock, then run the command again.",
        code="recipe_git_locked",
    )
