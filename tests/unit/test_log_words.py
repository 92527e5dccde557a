"""Foreign lines of a log: what looks like a secret is blotted out whatever its form, what an operator needs stays."""

from __future__ import annotations

import re

import pytest

from stepflow_tui.engine.model.redact import redactor
from stepflow_tui.engine.steps.application.log_words import secrets_in, without_secrets

SECRET = "hunter2XyZ9"
FORMS = [
    'auth: {"token": "§", "x": 1}',
    'credentials={"a": "§"}',
    "tokens: ['x', '§']",
    'auth: {"x": {"token": "§"}}',
    'postgresql://user:§@h/db',
    'postgresql://user:p@§@h/db',
    'postgresql://user:p/§@h/db',
    'redis://:§@h',
    'amqp://§@h',
    '{"password":"§"}',
    '{\\"password\\": \\"§\\"}',
    "{'password': '§'}",
    '{"password" : "a\\"§"}',
    'Authorization: Bearer §',
    'Authorization: Token §',
    'authorization: ApiKey §',
    'Authorization: Digest username="u", response="§"',
    'Authorization: Token token="§"',
    '"Authorization": "Bearer §"',
    "(b'authorization', b'Bearer §')",
    "['authorization', 'Bearer §']",
    '> Authorization: Basic §==',
    'Proxy-Authorization: Negotiate §',
    'AUTHORIZATION=Bearer §',
    'X-Api-Key: §',
    'Cookie: theme=dark; id=§',
    'Set-Cookie: sid=§; Path=/',
    'Cookie: session=abc; csrftoken=§',
    'cmd --password §',
    'cmd --password=§',
    "cmd --api-key '§'",
    'PGPASSWORD=§ psql',
    "password='a b §'",
    'DB_PASSWORD=ab,§',
    'DB_PASSWORD=ab;§',
    'DB_PASSWORD=ab&§',
    'password: "ab, §"',
    'secret=x§,user=me',
    'GET /x?access_token=§&a=1',
    'GET /x?key=§&a=1',
    'GET /x?sig=§',
    'password => §',
    'passwd -> §',
    'password=§',
    'PASSWORD: §',
    ':password=>"§"',
    'pw=§',
    'DB_PASS=§',
    'DBPASS: §',
    'MYSQL_PWD=§',
    'export SECRET_KEY_BASE=§',
    'STRIPE_KEY=§',
    'stripe sk_live_§aaaaaaaaaaaaaaaaaaaaa',
    'jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.§abcdef',
    '<password>§</password>',
    'password%3D§',
    'Password for user is: §',
    'DSN=host=x password=§',
    'ENCRYPTION_KEY_A: §',
    'password=b"§"',
    "env={'DJANGO_SECRET_KEY': '§', 'A': '1'}",
    "os.environ['API_TOKEN'] = '§'",
    "token '§' rejected",
    'Bearer §',
    '-----BEGIN PRIVATE KEY-----\n§\n-----END PRIVATE KEY-----',
    "-H 'Authorization: Bearer §'",
    'connection string: Server=x;Uid=a;Pwd=§;',
    'postgresql://h/db?user=a&password=§',
    'url=postgresql%3A%2F%2Fu%3A§%40h',
    'passphrase=§',
    "PASSWORD='§'",
    'client_secret=§',
    'ClientSecret=§',
    'apikey=§',
    'api-key: §',
    'x-auth-token: §',
    'private_key_id: §',
    '"dsn": "postgres://a:§@b"',
    'https://§@github.com/a.git',
    'ssh://git:§@h:22/',
    'user:§@host (no scheme)',
    'jdbc:postgresql://h/db?user=u&password=§',
    'mongodb+srv://u:§@c',
    'Login with password § failed',
    "password '§' wrong",
]  # fmt: skip
KEPT = [
    "KeyError: 'DATABASE_URL'",
    'FATAL: password authentication failed for user "shop"',
    'Error: secret "shop-env" not found',
    "GET http://localhost:8000/users/a@b.c 200",
    "image shop:2@sha256:abcdef0123",
    "Basic authentication required",
    "connect to postgresql://db:5432/shop failed: Connection refused",
    "max_tokens: 4096",
    "foreign_key: orders.id",
    "ssh git@github.com:org/x",
    "SECRET_KEY is not set",
    "password must not be empty",
]


@pytest.mark.parametrize("form", FORMS)
def test_no_form_gives_a_secret_away(form: str) -> None:
    """Alone, and behind the redaction that knows names and addresses only: its mask must not hide where a value begins."""
    line = form.replace("§", SECRET)
    assert SECRET in line
    for shown in (without_secrets(line), without_secrets(redactor(())(line))):
        assert SECRET[:6] not in shown


@pytest.mark.parametrize("line", KEPT)
def test_what_helps_stays(line: str) -> None:
    assert without_secrets(line) == line


@pytest.mark.parametrize(
    "piece", ["a", "a:", "a@", "password ", "http://a@", "a='", "<token>", "-----BEGIN PRIVATE KEY-----", "%3A%2F%2F"]
)
def test_a_line_without_an_end_is_read_at_once(piece: str) -> None:
    """Quadratic patterns would take minutes."""
    assert re.fullmatch(r"(?s).*", without_secrets(piece * 30_000))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("DB_PASSWORD='a b c9'\nDEBUG=true\n", {"a b c9"}),
        ("export REDIS_URL=redis://:w0rd%40x@cache:6379/0 # c\r\n", {"w0rd%40x", "w0rd@x"}),
        ('{"auth": {"token": "abc123def"}, "port": 5}', {"abc123def"}),
        ("db:\n  password: s3cr3t,with;signs\n", {"s3cr3t,with;signs"}),
        ("[mail]\npassword = p9 ; old\n", {"p9"}),
        ('API_KEY=["k1-abc", "k2-def"]', {"k1-abc", "k2-def"}),
        ("TOKEN_AUTH=true\nPOOL=5\n", set()),
        ("SECRET_KEY = 'dj-9!x'  # Python\n", {"dj-9!x"}),
    ],
)
def test_what_a_file_of_settings_holds_is_known(text: str, found: set[str]) -> None:
    """An application's log may show it bare, without any name beside it."""
    assert set(secrets_in(text)) == found
