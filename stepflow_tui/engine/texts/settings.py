"""Texts of what is found about the application's settings."""

from __future__ import annotations

from stepflow_tui.engine.texts import Words

FINDINGS: dict[str, Words] = {
    "application_recipe": Words(
        "{object}: {message}",
        "The application could not be switched, or not be put back. {detail}",
        "{hint}",
    ),
    "recipe_moves_data": Words(
        "The folder {object} gives way to its new version, but {what} lies in it: {path}.",
        "It would be moved aside with the old version, and the application would begin with an empty one.",
        "Put it beside that folder, or use a link `current` that names the version.",
    ),
    "application_switch": Words(
        "{message}",
        "The switch changes all settings or none, so it would fail when it is time.",
        "{hint}",
    ),
    "application_switches": Words(
        "Settings of {object} that will change ({count}): {names}.",
        "All files are changed as one group at the switch, and put back on the way back.",
        "Nothing has to be done.",
    ),
    "env_checked": Words(
        "{object} was held against its rules: {count} variables.",
        "As it will be after the switch.",
        "Nothing has to be done.",
    ),
    "env_not_readable": Words(
        "{object} can't be held against its rules: {reason}",
        "Nobody knows whether the application has what it needs.",
        "Correct `application.env` in the config, or make the file.",
    ),
    "env_missing": Words(
        "{object} lacks variables ({count}): {names}.",
        "The application may not start, or start with a default that nobody chose.",
        "Add them.",
    ),
    "env_placeholder": Words(
        "{object} has variables that were never filled in ({count}): {names}.",
        "They are empty, or hold a template's words such as changeme or <…>.",
        "Give them their real values.",
    ),
    "env_weak": Words(
        "{object} has secrets that are easily guessed ({count}): {names}.",
        "They are words that everybody tries first.",
        "Make new ones, for example with `openssl rand -hex 32`.",
    ),
    "env_short": Words(
        "{object} has secrets that are too short ({count}): {names}.",
        "Those named by `secrets`, and keys of the application's own, need {minimum} characters; passwords 12.",
        "Make longer ones, for example with `openssl rand -hex 32`; `min_secret` sets the length.",
    ),
    "env_not_demanded": Words(
        "{object} has other values than `demand` asks for ({count}): {names}.",
        "The config says what they must be in this environment.",
        "Correct them, in the file or in `demand`.",
    ),
    "env_twice": Words(
        "{object} has variables more than once ({count}): {names}.",
        "Some programs take the first, some the last.",
        "Remove all but one.",
    ),
    "env_empty": Words(
        "{object} has empty variables ({count}): {names}.",
        "None of them is required.",
        "Nothing has to be done if that is meant.",
    ),
    "env_only_there": Words(
        "{other} has variables that {object} lacks ({count}): {names}.",
        "The application was made with them.",
        "Add them, unless they are for development only.",
    ),
    "env_differences": Words(
        "{object} and {other} differ. Only here: {here}. Other values: {different}.",
        "Values are not shown.",
        "Nothing has to be done.",
    ),
    "env_rebuild": Words(
        "Variables that are built into the application get other values ({count}): {names}.",
        "A restart is not enough; the recipe builds it again.",
        "Nothing has to be done.",
    ),
    "env_rebuild_missing": Words(
        "Variables that are built into the application get other values ({count}): {names}.",
        "A restart is not enough, and no recipe has a `build`: the application would go on with the old ones.",
        "Add `build` to a recipe, or build the application with the new values yourself.",
    ),
}
