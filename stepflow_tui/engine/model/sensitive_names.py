"""Which column names say that a column is sensitive. A rule over the words of a name: `mailbox_id` is no mail address.

The rule leans to the careful side: a column that is taken for sensitive by mistake only looks a little poorer in a report.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_VALUES = _set(
    "password passwd passwort pwd passphrase passcode pass pw kennwort contrasena senha motdepasse secret token jwt otp totp"
    " credential apikey accesskey privatekey authtoken accesstoken refreshtoken sessiontoken sessionid cookie userpass passwordhash"
    " email mail emailid emailaddress mailaddress emailaddr courriel correo"
    " phone mobile tel telephone telefon telefono telefone fax phonenumber mobilenumber telno phoneno cellphone mobilephone msisdn"
    " card cardno cardnumber creditcard ccnumber ccnum cvv cvc iban ssn passport bankaccount accountnumber"
)
"""Words that name the value itself; a plural counts as its singular."""

_PAIRS = frozenset(
    tuple(pair.split("-"))
    for pair in _set(
        "e-mail email-id mail-id api-key access-key private-key encryption-key session-id session-key cell-number account-number"
        " bank-account social-security tax-id national-id cc-number cc-num"
    )
)

_ABOUT = _set(
    "at on date time id type kind brand status state count verified confirmed confirmation enabled disabled required changed"
    " expires expiry expired length size version attempts sent valid validated optin optout allowed visible subject template"
)
"""Last words of names that say something about a value and don't hold it: `token_type`, `email_verified_at`, `card_id`."""

_FLAGS = _set(
    "is has use uses can needs wants send sends show shows allow allows receive receives num max min total count"
)
"""First words of flags and counts: `is_mobile`, `has_password`, `max_tokens`."""

_HAN = _set("密码 口令 邮箱 电邮 邮件地址 手机 电话 身份证 银行卡 信用卡 卡号 令牌 密钥 护照")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def words(name: str) -> list[str]:
    """The words of a snake_case, camelCase or spaced name: lower case, without digits and accents."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return [w.lower() for w in _WORD.findall(plain)]


def proposed(name: str) -> bool:
    """Whether a column's name says that it holds passwords, tokens, secrets, mail addresses, phone or card numbers."""
    if any(han in name for han in _HAN):
        return True
    found = words(name)
    if not found or found[0] in _FLAGS:
        return False
    pairs = list(pairwise(found))
    if found[-1] in _ABOUT and pairs[-1:] and pairs[-1] not in _PAIRS:
        return False
    return any(p in _PAIRS for p in pairs) or any(map(_names_value, (*found, "".join(found))))


def _names_value(word: str) -> bool:
    return word in _VALUES or (word.endswith("s") and word[:-1] in _VALUES)
