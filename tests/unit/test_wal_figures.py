"""What the bytes of a log's index and the system's lock table mean, and what many looks at them tell together."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from stepflow_tui.engine.sqlite.wal_course import SHARE_SECONDS, Course, Glimpse, Process
from stepflow_tui.engine.sqlite.wal_index import Index, parse_index, pinning
from stepflow_tui.engine.sqlite.wal_locks import Lock, Named, held_slots, locks_in
from stepflow_tui.engine.sqlite.wal_sampler import Ages, Pin, WalSample


def index_bytes(frames: int, checkpointed: int, *marks: int, ready: int = 1, page_size: int = 4096) -> bytes:
    header = struct.pack("=IIIBBHII", 3007000, 0, 17, ready, 0, page_size, frames, 9) + bytes(8)
    header += struct.pack(">I", 42) + bytes(12)
    return header * 2 + struct.pack("=6I", checkpointed, *marks) + bytes(16)


def test_an_index_is_read_whole_or_not_at_all() -> None:
    sound = index_bytes(751, 151, 0, 151, 751, 0xFFFFFFFF, 0xFFFFFFFF)
    marks = (0, 151, 751, 0xFFFFFFFF, 0xFFFFFFFF)
    assert parse_index(sound) == Index(frames=751, checkpointed=151, marks=marks, salt=42, change=17, page_size=4096)
    assert parse_index(sound[:-1]) is None
    assert parse_index(index_bytes(7, 1, 0, 0, 0, 0, 0, ready=0)) is None
    torn = bytearray(sound)
    torn[16] += 1  # a writer is between the two copies
    assert parse_index(bytes(torn)) is None


def test_the_largest_page_size_is_written_as_one() -> None:
    found = parse_index(index_bytes(1, 0, 0, 0, 0, 0, 0, page_size=1))
    assert found is not None
    assert found.page_size == 65_536


TABLE = """\
1: POSIX  ADVISORY  READ 11 fe:00:77 124 124
2: POSIX  ADVISORY  READ 12 fe:00:77 123 125
3: POSIX  ADVISORY  WRITE 13 fe:00:77 120 120
4: -> POSIX  ADVISORY  READ 14 fe:00:77 124 124
5: POSIX  ADVISORY  READ 15 fe:00:78 124 124
6: POSIX  ADVISORY  READ 16 08:01:77 124 124
7: FLOCK  ADVISORY  WRITE 17 fe:00:77 0 EOF
8: POSIX  ADVISORY  READ 18 fe:00:77 128 128
9: OFDLCK ADVISORY  READ -1 fe:00:77 126 126
10: POSIX  ADVISORY  WRITE 19 fe:00:77 123 EOF
"""


def test_locks_that_count() -> None:
    def slots(inode: int, *devices: str) -> list[tuple[int, int]]:
        return held_slots(locks_in(TABLE, Named(devices=frozenset(devices), inode=inode)))

    assert slots(77, "fe:00") == [(-1, 3), (11, 1), (12, 0), (12, 1), (12, 2)]
    assert slots(78, "fe:00", "08:01") == [(15, 1)]
    writers = [k for k in locks_in(TABLE, Named(devices=frozenset({"fe:00"}), inode=77)) if k.write]
    assert [(k.pid, k.covers(120), k.covers(127)) for k in writers] == [(13, True, False), (19, False, True)]
    assert Lock(pid=1, write=False, first=5, last=6).covers(7) is False


def test_who_pins() -> None:
    index = Index(frames=751, checkpointed=151, marks=(0, 151, 751, 0xFFFFFFFF, 0xFFFFFFFF))
    held = [(1, 0), (2, 1), (3, 2), (4, 3)]
    assert [(r["pid"], r["mark"]) for r in pinning(index, held)] == [(1, 151), (2, 151)]
    done = Index(frames=751, checkpointed=751, marks=index.marks)
    assert [r["pid"] for r in pinning(done, held)] == [2]


def test_ages_are_those_of_the_mark() -> None:
    def reader(pid: int, slot: int, mark: int) -> dict[str, object]:
        return {"pid": pid, "slot": slot, "mark": mark, "command": f"app{pid}"}

    ages = Ages()
    assert [p.age_seconds for p in ages.pins([reader(1, 1, 5)], 10.0)] == [0.0]
    two = ages.pins([reader(2, 2, 7), reader(1, 1, 5), reader(1, 3, 9)], 14.0)
    assert [(p.pid, p.age_seconds, p.command) for p in two] == [(1, 4.0, "app1"), (2, 0.0, "app2")]
    assert [p.age_seconds for p in ages.pins([reader(1, 1, 6)], 20.0)] == [0.0]  # another transaction
    assert ages.pins([], 21.0) == ()
    assert [p.age_seconds for p in ages.pins([reader(1, 1, 6)], 30.0)] == [0.0]


START = Glimpse(t=0.0, at_ms=1_000, mode="wal", salt=5, change=10, frames=100, checkpointed=0)


def course(*looks: Glimpse) -> Course:
    """What these looks tell, 0.05 s apart."""
    made = Course()
    made.add(replace(look, t=0.05 * n, at_ms=1_000 + 50 * n) for n, look in enumerate(looks))
    return made


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (replace(START, frames=140), None),
        (replace(START, checkpointed=100), (100, 100, True)),
        (replace(START, checkpointed=60), (100, 60, False)),
        (replace(START, frames=130, checkpointed=60), (130, 60, False)),
        (replace(START, frames=130, checkpointed=120), (120, 120, True)),  # 10 frames came after it
        (replace(START, salt=6, frames=3), (100, 100, True)),  # begun anew: all before is in the database
        (replace(START, salt=None, change=None, frames=0), (100, 100, True)),  # emptied
        (replace(START, frames=None, checkpointed=None), None),
    ],
)
def test_a_checkpoint_is_seen_by_what_it_moves(after: Glimpse, told: tuple[int, int, bool] | None) -> None:
    found = course(START, after).checkpoint
    assert (found and (found.frames, found.checkpointed, found.complete)) == told
    assert found is None or found.at_ms == 1_050


def test_a_log_begun_anew_after_a_checkpoint_that_was_seen_is_no_second_one() -> None:
    done = replace(START, checkpointed=100)
    found = course(START, done, done, replace(START, salt=6, frames=2)).checkpoint
    assert found is not None
    assert found.at_ms == 1_050
    twice = course(START, done, replace(START, salt=7, frames=2)).checkpoint  # one more came in between
    assert twice is not None
    assert twice.at_ms == 1_100


def test_the_rate_counts_frames_also_of_a_log_that_is_begun_anew() -> None:
    steady = [replace(START, frames=100 + 20 * n, change=10 + 10 * n) for n in range(11)]
    assert (course(*steady).rate, course(*steady).transactions) == (400.0, 200.0)
    anew = [*steady, replace(START, salt=6, change=120, frames=4)]
    found = course(*anew)
    assert found.transactions == 200.0
    assert found.rate is not None
    assert 380 < found.rate <= 400  # 10 transactions, about 2 frames each: 4 of them are still to be seen


@pytest.mark.parametrize("other", [replace(START, mode="rollback"), replace(START, t=60.0), replace(START, change=9)])
def test_what_does_not_follow_is_no_rate(other: Glimpse) -> None:
    made = Course()
    made.add([START, replace(other, t=max(other.t, 0.05))])
    assert made.rate in (None, 0.0)
    assert made.transactions in (None, 0.0)


def test_the_write_lock_is_counted_and_its_holder_named() -> None:
    writer = Process(pid=7, command="app")
    made = course(START, replace(START, writer=writer), replace(START, writer=writer))
    assert (made.write_busy, made.in_a_row, made.writer) == (0.667, 2, writer)
    made.add([replace(START, t=1.0)])
    assert (made.write_busy, made.in_a_row, made.writer) == (0.5, 0, writer)
    made.add([replace(START, t=2 * SHARE_SECONDS)])
    assert (made.write_busy, made.writer) == (0.0, None)


def test_the_gauge_keeps_what_the_contract_names() -> None:
    pin = Pin(pid=42, age_seconds=1.5, command="app")
    sample = WalSample(mode="wal", bytes=4_152, frames=1, checkpointed=0, pinned_by=(pin,), course=course(START).plain)
    assert {
        "mode": "wal",
        "bytes": 4_152,
        "frames": 1,
        "checkpointed": 0,
        "pinned_by": [{"pid": 42, "age_seconds": 1.5, "command": "app"}],
    }.items() <= sample.gauge.items()
    wanted = {"rate", "transactions", "checkpoint", "write_busy", "busy_in_a_row", "writer", "checkpointer", "users"}
    assert wanted <= sample.gauge.keys()
    assert WalSample().gauge.keys() == sample.gauge.keys()
