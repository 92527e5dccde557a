"""The bucket function: published vectors, and what routing by it promises."""

from __future__ import annotations

import subprocess
import sys
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow_tui.client import BUCKETS, VECTORS, Lease, bucket, key_bytes, side_of

KEYS = 200_000


@pytest.mark.parametrize(("salt", "raw", "expected"), VECTORS)
def test_published_vectors(salt: str, raw: str, expected: int) -> None:
    assert bucket(salt, bytes.fromhex(raw)) == expected


def test_the_vectors_are_in_the_page_for_applications(pytestconfig: pytest.Config) -> None:
    page = (pytestconfig.rootpath / "docs" / "client.md").read_text("utf-8")
    for salt, raw, expected in VECTORS:
        shown = raw if len(raw) < 100 else f"{raw[:2]} × {len(raw) // 2}"
        cells = (f"`{text}`" if text else "(empty)" for text in (salt, shown))
        assert f"| {' | '.join(cells)} | {expected} |\n" in page


@pytest.mark.parametrize("share", [100, 500, 2_500, 5_000, 9_900])
def test_shares_are_within_two_thousandths(share: int) -> None:
    new = sum(bucket("2c7f19ab", n) < share for n in range(KEYS))
    assert abs(new / KEYS - share / BUCKETS) < 0.002


def test_nobody_at_0_and_everybody_at_100() -> None:
    buckets = [bucket("2c7f19ab", n) for n in range(KEYS)]
    assert (min(buckets), max(buckets)) == (0, BUCKETS - 1)  # so both ends are tried
    assert not any(b < 0 for b in buckets)
    assert all(b < BUCKETS for b in buckets)


@given(st.text(max_size=20), st.one_of(st.text(), st.integers(), st.binary(), st.uuids()), st.data())
def test_rising_only_adds_and_falling_only_removes(
    salt: str, key: str | int | bytes | UUID, data: st.DataObject
) -> None:
    low = data.draw(st.integers(0, BUCKETS))
    high = data.draw(st.integers(low, BUCKETS))
    if side_of(salt, low, key) == "postgresql":
        assert side_of(salt, high, key) == "postgresql"
    assert side_of(salt, 0, key) == "sqlite"
    assert side_of(salt, BUCKETS, key) == "postgresql"
    assert side_of(salt, low, key) == side_of(salt, low, key)


@given(st.text(max_size=9), st.binary(max_size=9), st.text(max_size=9), st.binary(max_size=9))
def test_salt_and_key_cant_run_into_each_other(salt: str, key: bytes, other: str, more: bytes) -> None:
    def hashed(s: str, k: bytes) -> bytes:
        raw = s.encode()
        return b"%d:%b%b" % (len(raw), raw, k)

    assert (hashed(salt, key) == hashed(other, more)) == ((salt, key) == (other, more))


def test_every_process_says_the_same() -> None:
    code = "from stepflow_tui.client import bucket; print([bucket('s', f'user-{n}') for n in range(50)])"
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(said) == 1


def test_keys_have_one_form() -> None:
    assert key_bytes(42) == key_bytes("42") == key_bytes(b"42") == b"42"
    assert key_bytes(-7) == b"-7"
    assert key_bytes("ë") == b"\xc3\xab"
    assert key_bytes(UUID("6F9619FF-8B86-D011-B42D-00C04FC964FF")) == b"6f9619ff-8b86-d011-b42d-00c04fc964ff"
    for odd in (1.5, True, None, (1, 2), ["x"]):
        with pytest.raises(TypeError):
            key_bytes(odd)  # type: ignore[arg-type]


def test_named_users_keys_and_groups_go_first() -> None:
    lease = Lease(owner="sqlite", share=0, salt="s", groups=frozenset({"beta", "42"}))
    assert lease.side("x") == "sqlite"
    assert lease.side("x", groups=["alpha", "beta"]) == "postgresql"
    assert lease.side(42) == lease.side("x", user=42) == "postgresql"


def test_once_postgresql_owns_writes_everybody_reads_it() -> None:
    lease = Lease(owner="postgresql", share=0, salt="s")
    assert {lease.side(n) for n in range(100)} == {"postgresql"}


def test_the_package_loads_the_standard_library_alone() -> None:
    code = (
        "import sys, stepflow_tui.client; "
        "print([m for m in sys.modules if m.partition('.')[0] not in sys.stdlib_module_names"
        " and not m.startswith(('stepflow_tui.client', '__')) and m != 'stepflow_tui'])"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, '.'); {code}"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == "[]"
