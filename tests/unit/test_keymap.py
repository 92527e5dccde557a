"""`keymap:` of a config: other keys for actions by their ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepflow_tui.actions import ACTIONS, BY_ID
from stepflow_tui.engine.config import LoadedConfig, load_config
from stepflow_tui.engine.errors import ConfigError
from stepflow_tui.keymap import check_keymap, full_keymap, key_name, keys_of

HEAD = "version: 1\nname: shop\nkind: sqlite-to-postgres\nsource: {path: x}\ntarget: {embedded: true}\nkeymap:\n"


def load(folder: Path, *lines: str) -> LoadedConfig:
    file = folder / "stepflow.yaml"
    file.write_text(HEAD + "".join(f"  {line}\n" for line in lines), encoding="utf-8")
    return load_config(file, {}, (check_keymap,))


def problems(folder: Path, *lines: str) -> list[str]:
    with pytest.raises(ConfigError) as told:
        load(folder, *lines)
    return [line.partition("stepflow.yaml:")[2] for line in told.value.detail.splitlines()]


def test_an_action_gets_other_keys(tmp_path: Path) -> None:
    keymap = load(tmp_path, "pause: t", 'note: "f7, %"', "freeze: 9").config.keymap
    assert full_keymap(keymap) == {"pause": "t", "note": "f7,percent_sign", "freeze": "9"}
    assert keys_of(BY_ID["pause"], keymap) == ("t",)
    assert keys_of(BY_ID["abort"], keymap) == BY_ID["abort"].keys


def test_reserved_keys_stay_with_their_action() -> None:
    assert full_keymap({"quit-menu": "f9"}) == {"quit-menu": "f9,ctrl+c"}
    assert full_keymap({"close": "f8"}) == {"close": "f8,escape"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("pausee: k", "7: keymap.pausee: unknown action (did you mean pause?)"),
        ("qqqq: k", "7: keymap.qqqq: unknown action (`stepflow keys` lists all)"),
        (
            "pause: enter",
            "7: keymap.pause: enter can't be given to another action (it keeps its meaning; reserved are ctrl+c, escape, enter)",
        ),
        (
            "pause: slsh",
            "7: keymap.pause: 'slsh' is no key (such as t, f7, ctrl+t, slash; `stepflow keys --listen` shows their names)",
        ),
        (
            "pause: k",
            "7: keymap.pause: k moves in lists (choose another key; up, down, j, k, g, G, home, end, pageup, pagedown are taken everywhere)",
        ),
        ("pause: a", "7: keymap.pause: a is the key of alerts there already (choose another key, or move the other action too)"),
        ("pause: q", "7: keymap.pause: q is the key of quit-menu there already (choose another key, or move the other action too)"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_with_file_and_line(tmp_path: Path, line: str, told: str) -> None:
    assert problems(tmp_path, line) == [told]


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, "pause: f9", "note: f9") == [
        "8: keymap.note: f9 is the key of pause there already (choose another key, or move the other action too)"
    ]


def test_two_actions_may_change_places_and_screens_may_share_a_key(tmp_path: Path) -> None:
    keymap = load(tmp_path, "pause: a", "alerts: p", "demo: p").config.keymap
    assert full_keymap(keymap) == {"pause": "a", "alerts": "p", "demo": "p"}


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    assert len(problems(tmp_path, "nope: k", "pause: escape", "note: a")) == 3


def test_a_keymap_of_another_version_is_used_as_far_as_it_goes() -> None:
    assert full_keymap({"gone-action": "t", "pause": "nokey", "note": "t"}) == {"note": "t"}


def test_keys_are_named_as_the_screens_name_them() -> None:
    from textual.keys import _character_to_key

    for key in "!\"#$%&'()*+-./:;<=>?@[\\]^_`{|}~aZ5":
        assert key_name(key) == _character_to_key(key)
    assert all(key_name(key) == key for action in ACTIONS for key in action.keys)
