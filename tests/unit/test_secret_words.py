"""Which names sound secret, and that what stands beside them is hidden wherever texts are kept."""

from __future__ import annotations

import pytest

from stepflow_tui.engine.application.logs import shown_line
from stepflow_tui.engine.application.recipes.spoken import without_values
from stepflow_tui.engine.application.settings_shown import shown
from stepflow_tui.engine.facade.bundle import sieve
from stepflow_tui.engine.facade.secrets import secret_name, secrets_of
from stepflow_tui.engine.model.redact import redactor, without_named
from stepflow_tui.engine.model.secret_words import plain, sounds_secret


def _words(text: str) -> list[str]:
    return text.split()


SECRET = _words(
    "SEKRET GEHEIM APP_GEHEIMNIS PASSWORT DB_PASSWORT Kennwort PASSPHRASE SSH_PASSPHRASE CREDENTIAL AWS_CREDENTIALS SIGNING_KEY "
    "PRIVATE_KEY privateKey DSN SENTRY_DSN DB_DSN AUTH BASIC_AUTH AUTH_TOKEN OAUTH_CLIENT API_KEY apikey api-key APP_KEY "
    "STRIPE_SK_SECRET client_secret clientSecret dbpassword DBPASS smtpPass MYSQL_PWD DB_CREDS PASSCODE db.pass GITHUB_TOKEN "
    "accesstoken SESSION_COOKIE JWT TOTP PSK WIFI_PSK SALT HMAC Authorization ZUGANGSDATEN MASTER_KEY"
)
PLAIN = _words(
    "AUTHOR GIT_AUTHOR_NAME AUTHORS AUTHORITY KEYBOARD KEYMAP KEYWORDS MONKEY TURKEY PASSENGERS COMPASS BYPASS PASSED PASSIVE "
    "SECRETARY SEKRETARIAT SECRETION PINNED SALTED TOKENIZER MAX_TOKENS PUBLIC_KEY PRIMARY_KEY CACHE_KEY HOME LANG PATH DB_HOST "
    "PORT DEBUG SIDE CERTAIN PRIVATEER DSNAME COOKIECUTTER SHELL TERM journal_mode page_size"
)
VALUE = "zeer-stil-99"


@pytest.mark.parametrize("name", SECRET)
def test_names_that_sound_secret_hide_everywhere(name: str) -> None:
    assert sounds_secret(name)
    assert secret_name(name)
    assert shown(VALUE, key=name) == "***"
    for line in (
        f"{name}={VALUE}",
        f"INFO: {name}: {VALUE} x",
        f"a:{name}={VALUE}",
        f'{{"{name}": "{VALUE}"}}',
        f"export {name}='{VALUE}'",
    ):
        assert VALUE not in sieve(set())(line), "the bundle"
        assert VALUE not in shown_line(line, str), "lines of logs at findings"
    if name.isupper():
        assert VALUE not in redactor(())(f"run A={name}={VALUE} x"), "journal, report, errors"


@pytest.mark.parametrize("name", PLAIN)
def test_names_that_only_look_like_it_are_shown(name: str) -> None:
    assert not sounds_secret(name)
    for line in (f"{name}={VALUE}", f"{name}: {VALUE}"):
        assert without_named(line) == redactor(())(line) == line


def test_the_environment_is_searched_by_these_names() -> None:
    env = {"APP_GEHEIM": VALUE, "APP_AUTHOR": "ann-the-author", "X_URL": "http://h/t0ken"}
    assert VALUE in secrets_of(None, env)
    assert "ann-the-author" not in secrets_of(None, env)
    assert "http://h/t0ken" in secrets_of(None, env)


@pytest.mark.parametrize(
    "text",
    [
        "host=h sslpassword=%s x",
        "https://h/a?client_secret=%s&b=x",
        "passwort = '%s' x",
        "deploy --set SEKRET=%s x",
        "access_token=%s x",
    ],
)
def test_assignments_in_texts(text: str) -> None:
    assert VALUE not in redactor(())(text % VALUE)
    assert redactor(())(text % VALUE).endswith("x")


@pytest.mark.parametrize(
    "text", ["./go --passwort %s x", "SEKRET=%s ./go x", "./go --signing-key=%s x", "./go --credential %s x"]
)
def test_command_lines_that_are_shown(text: str) -> None:
    assert VALUE not in without_values(text % VALUE)
    assert without_values(text % VALUE).endswith("x")


def test_fingerprints_and_sql_stay() -> None:
    for text in (
        "SET USER_PASSWORD=#fp:0123456789",
        'update t set "total" = 5 where "id" = 7',
        "KEYBOARD=qwerty COUNT=3",
    ):
        assert redactor(())(text) == text


def test_long_lines_are_read_once() -> None:
    """Quadratic patterns would need minutes for these."""
    for text in ("a-" * 200_000, "a.a=" * 100_000, "A_" * 200_000, "PASS" * 100_000):
        assert redactor(())(without_named(text)) == text


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("PORT", "8977", True),
        ("WORKERS", "4", True),
        ("DEBUG", "False", True),
        ("PIN", "8977", False),
        ("DB_PASSWORD", "12345", False),
        ("PORT", "123456", False),
        ("NAME", "words", False),
        ("PORT", "\u0668000", False),
    ],
)
def test_ports_and_switches_are_plain(name: str, value: str, found: bool) -> None:
    assert plain(name, value) is found


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("password=***tail", "password=***"),
        ("DB_PASSWORD=***tail rest", "DB_PASSWORD=*** rest"),
        ('password="two words" rest', "password=*** rest"),
        ("password=***, host=h", "password=***, host=h"),
        ("?password=***&sslmode=x", "?password=***&sslmode=x"),
    ],
)
def test_a_value_that_begins_like_the_mask_is_hidden_too(text: str, hidden: str) -> None:
    assert redactor(())(text) == hidden
    assert redactor(())(hidden) == hidden
