"""Functional probes: a record is created through the application, read, and deleted again.

Deleting is always tried: when reading failed, when the run is cancelled, and, for what stayed behind, before the next probe.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from stepflow_tui.engine.application.asking import NoAnswer, Reply, hides, request, short, shown
from stepflow_tui.engine.application.health import at_path, plain
from stepflow_tui.engine.application.records import Book, Record, RecordState, known
from stepflow_tui.engine.model.config_application import Probe, Request
from stepflow_tui.engine.model.finding import Finding, warning
from stepflow_tui.engine.model.redact import Redact

GONE = (404, 410)
"""Answers to a DELETE that prove as well that the record is not there."""
KEY_CHARACTERS = 500
"""A longer key is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """How a probe went. `reason` is "" when everything was as it should be; `findings` tell what was left behind."""

    name: str
    ok: bool
    reason: str
    seconds: float
    findings: tuple[Finding, ...] = ()


class _Fault(Exception):
    """A request's answer was not as expected."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def run_probes(probes: Sequence[Probe], *, run_dir: Path, redact: Redact) -> tuple[Probed, ...]:
    """One after the other, all of them, whatever the others say.

    Args:
        probes: what to try.
        run_dir: the run's folder, where records that were made are listed.
        redact: blots the run's secrets out.

    Raises:
        StepFailed: `probe_book_unreadable`.
    """
    return tuple([await run_probe(probe, run_dir=run_dir, redact=redact) for probe in probes])


async def run_probe(probe: Probe, *, run_dir: Path, redact: Redact) -> Probed:
    """Delete what this probe left the last time, then create, read and delete.

    Raises:
        StepFailed: `probe_book_unreadable`.
    """
    return await _Run(probe, Book(run_dir), redact).run()


class _Run:
    def __init__(self, probe: Probe, book: Book, redact: Redact) -> None:
        self._probe = probe
        self._book = book
        self._redact = redact
        self._seconds = 0.0

    async def run(self) -> Probed:
        await self._tidy()
        reason = ""
        try:
            await self._try()
        except _Fault as fault:
            reason = fault.reason
        return Probed(
            name=self._probe.name, ok=not reason, reason=reason, seconds=round(self._seconds, 3), findings=self._left(reason)
        )  # fmt: skip

    async def _tidy(self) -> None:
        """Records of before: one whose key is known is deleted; one that was asked for when an engine died is unknown."""
        for record in self._mine():
            if record.state is RecordState.ASKED:
                self._book.put(replace(record, state=RecordState.UNKNOWN))
            elif record.state is RecordState.STANDS:
                with contextlib.suppress(_Fault):  # it stays in the book, and is told
                    await self._delete(record)

    async def _try(self) -> None:
        token = secrets.token_hex(12)
        if self._probe.create is None:
            await self._read(Record(probe=self._probe.name, token=token))
            return
        record = await self._create(self._probe.create, token)
        try:
            await self._read(record)
        finally:
            # a task of its own: whoever cancels the probe does not cancel the cleaning up
            deleting = asyncio.create_task(self._delete(record))
            await _to_its_end(deleting)
        deleting.result()

    async def _create(self, create: Request, token: str) -> Record:
        """The record with its key, written down. An outcome that is not known is written down too."""
        table, column = self._probe.table, self._probe.column
        record = Record(probe=self._probe.name, token=token, table=table, column=column)
        self._book.put(record)
        try:
            reply = await self._send(create, record)
        except NoAnswer as error:
            if error.sent:
                self._book.put(replace(record, state=RecordState.UNKNOWN))
            else:
                self._book.drop(token)
            raise self._fault("create", create, error.reason) from error
        except asyncio.CancelledError:
            self._book.put(replace(record, state=RecordState.UNKNOWN))
            raise
        if reply.status != create.status and _refused(reply.status):
            self._book.drop(token)
            raise self._fault("create", create, f"status {reply.status}, not {create.status}")
        key = _key(reply, self._probe.key)
        record = known(record, key) if key else replace(record, state=RecordState.UNKNOWN)
        self._book.put(record)
        wrong = self._judge(create, reply, record) or ("" if key else f"its answer lacks the key {self._probe.key}")
        if wrong:
            if key:
                await _to_its_end(asyncio.create_task(self._delete_quietly(record)))
            raise self._fault("create", create, wrong)
        return record

    async def _read(self, record: Record) -> None:
        if self._probe.read is not None:
            await self._expect("read", self._probe.read, record)

    async def _delete(self, record: Record) -> None:
        """Raises _Fault when it may still be there."""
        delete = self._probe.delete
        assert delete is not None  # the config sees to it
        try:
            reply = await self._send(delete, record)
        except NoAnswer as error:
            raise self._fault("delete", delete, error.reason) from error
        if reply.status not in (delete.status, *GONE):
            raise self._fault("delete", delete, f"status {reply.status}, not {delete.status}")
        self._book.drop(record.token)

    async def _delete_quietly(self, record: Record) -> None:
        with contextlib.suppress(_Fault):  # the probe has failed already, and the book keeps the record
            await self._delete(record)

    async def _expect(self, action: str, wanted: Request, record: Record) -> None:
        try:
            reply = await self._send(wanted, record)
        except NoAnswer as error:
            raise self._fault(action, wanted, error.reason) from error
        if wrong := self._judge(wanted, reply, record):
            raise self._fault(action, wanted, wrong)

    def _judge(self, wanted: Request, reply: Reply, record: Record) -> str:
        if reply.status != wanted.status:
            return f"status {reply.status}, not {wanted.status}"
        if wanted.body is not None and _filled(wanted.body, record) not in reply.text:
            return "the body lacks the expected text"
        if wanted.max_latency is not None and reply.seconds > wanted.max_latency:
            return f"took {reply.seconds:.2f} s, at most {wanted.max_latency:g} s are allowed"
        return ""

    async def _send(self, wanted: Request, record: Record) -> Reply:
        content = None if wanted.send is None else _filled(wanted.send, record, escape=_in_json)
        headers = {k.lower(): v.get_secret_value() for k, v in wanted.headers.items()}
        if content is not None and content.lstrip()[:1] in ("{", "["):
            headers.setdefault("content-type", "application/json")
        reply = await request(
            _filled(wanted.http, record, escape=_in_url), seconds=self._probe.timeout, method=wanted.method,
            headers=headers, content=content,
        )  # fmt: skip
        self._seconds += reply.seconds
        return reply

    def _fault(self, action: str, wanted: Request, reason: str) -> _Fault:
        place = wanted.http.replace("{key}", "KEY").replace("{token}", "TOKEN")
        clean = hides(wanted.http, self._redact, *(v.get_secret_value() for v in wanted.headers.values()))
        return _Fault(short(f"{action} ({wanted.method} {shown(place)}): {reason}", clean))

    def _mine(self) -> tuple[Record, ...]:
        return tuple(r for r in self._book.read() if r.probe == self._probe.name)

    def _left(self, reason: str) -> tuple[Finding, ...]:
        name = self._probe.name
        found = [warning("probe_failed", name, probe=name, reason=reason)] if reason else []
        for record in self._mine():
            if record.key:
                key = short(record.key, self._redact)
                found.append(warning("probe_left_record", name, probe=name, key=key, table=record.table or "not named"))
            else:
                found.append(warning("probe_unknown", name, probe=name, token=record.token))
        return tuple(found)


async def _to_its_end(task: asyncio.Task[None]) -> None:
    """Wait for a task whose requests are bounded, also when we are cancelled meanwhile. Its error is the caller's to raise."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    task.exception()  # looked at: where another error goes on, the book tells of this one
    if cancelled is not None:
        raise cancelled


def _refused(status: int) -> bool:
    """Whether the answer means that nothing was made. Forms answer 302 or 303 after they made something."""
    return status in (304, 305, 307, 308) or (400 <= status < 500 and status != 408)


def _key(reply: Reply, path: str) -> str:
    try:
        found = plain(at_path(json.loads(reply.text), path))
    except (ValueError, LookupError, RecursionError):
        return ""
    return found if 0 < len(found) <= KEY_CHARACTERS and found != "null" else ""


def _as_is(text: str) -> str:
    return text


def _in_url(text: str) -> str:
    return quote(text, safe="")


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _filled(text: str, record: Record, escape: Callable[[str], str] = _as_is) -> str:
    """`{key}` and `{token}` in a text; other braces stay."""
    return text.replace("{token}", record.token).replace("{key}", escape(record.key))
