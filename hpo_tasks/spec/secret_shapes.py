"""Recognises values and names that look like secrets. A study file is stored and shown: secrets do not belong in it."""

import itertools
import math
import re
from collections import Counter

_SHAPES: tuple[tuple[str, str], ...] = (
    ("an AWS access key", r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])"),
    ("a GitHub token", r"(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,})"),
    ("a GitLab token", r"glpat-[A-Za-z0-9_-]{16,}"),
    ("a Slack token", r"xox[abposr]-[A-Za-z0-9-]{10,}"),
    ("a private key", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY"),
    ("a JSON web token", r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\."),
    ("an API key", r"(?<![A-Za-z0-9])(?:sk|rk|pk)[-_](?:live[-_]|test[-_]|proj-|ant-)?[A-Za-z0-9_-]{20,}"),
    ("a Google API key", r"AIza[A-Za-z0-9_-]{35}"),
    (
        "an access token",
        r"(?:hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{40,}|dop_v1_[0-9a-f]{40,})",
    ),
    ("an address with a password", r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@"),
    ("an authorization header", r"(?i:\b(?:bearer|basic)\s+[A-Za-z0-9+/=._-]{16,})"),
    (
        "a password",
        r"(?i:(?:password|passwd|accountkey|secret_?key|api_?key|access_?token)\s*[=:]\s*[^\s{}]{4,})",
    ),
)
_PATTERN = re.compile("|".join(f"(?P<s{index}>{pattern})" for index, (_, pattern) in enumerate(_SHAPES)))
_RANDOM = re.compile(r"[A-Za-z0-9+/_=-]{32,}")
_SECRET_WORDS = frozenset(
    {
        "PASSWORD",
        "PASSWD",
        "PWD",
        "PASSPHRASE",
        "SECRET",
        "SECRETS",
        "TOKEN",
        "CREDENTIAL",
        "CREDENTIALS",
        "APIKEY",
    }
)
_SECRET_PAIRS = ("API_KEY", "ACCESS_KEY", "PRIVATE_KEY", "SIGNING_KEY", "ENCRYPTION_KEY", "ACCOUNT_KEY")


def secret_shape(text: str) -> str | None:
    """What kind of secret the text holds by its look ("an AWS access key"), None if none."""
    found = _PATTERN.search(text)
    return _SHAPES[int(str(found.lastgroup)[1:])][0] if found else None


def without_secrets(text: str) -> str:
    """The text with everything that looks like a secret replaced by `(secret)`."""
    return _PATTERN.sub("(secret)", text)


def random_looking(text: str) -> bool:
    """Whether the text holds a run of characters that only a generator writes.

    Shannon entropy above 4.2 bits a character over 32 or more characters, of upper and lower case and digits mixed:
    hexadecimal digests (at most 4 bits) and paths of words stay below.
    """
    return any(_entropy_bits(run) > 4.2 and _mixed(run) for run in _RANDOM.findall(text))


def secret_name(name: str) -> bool:
    """Whether a variable of this name usually holds a secret: `DB_PASSWORD` does, `TOKENIZERS_PARALLELISM` does not."""
    upper = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()
    words = re.split(r"[^A-Z0-9]+", upper)
    return not _SECRET_WORDS.isdisjoint(words) or any(pair in "_".join(words) for pair in _SECRET_PAIRS)


def _entropy_bits(run: str) -> float:
    counts = Counter(run).values()
    return -sum(count / len(run) * math.log2(count / len(run)) for count in counts)


def _mixed(run: str) -> bool:
    """Letters of both cases and digits, which change often: in `site-packages/Python3` they do not."""
    kinds = ["d" if char.isdigit() else "u" if char.isupper() else "l" for char in run if char.isalnum()]
    changes = sum(first != second for first, second in itertools.pairwise(kinds))
    return len(set(kinds)) == 3 and changes >= len(kinds) / 3
