"""docs/reliability.md names tests that exist, and leaves no row of today's product without one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
TABLES, _ = PAGE.split("## Larger trials of the whole")


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_named_test_exists(file, test):
    """In the file that the page names."""
    assert re.search(rf"^def {test}\(", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_every_row_names_a_test_or_says_when():
    """But for what comes with the AWS backends."""
    rows = [line for line in TABLES.splitlines() if line.startswith("| ") and not line.startswith("|---")]
    headings = [row for row in rows if row.rstrip(" |").endswith(" test")]
    without = [row for row in rows if "::" not in row and "with the AWS backends" not in row]
    assert len(NAMED) > 40
    assert without == headings


def test_modules_that_are_named_exist():
    """Each mechanism says where it is."""
    modules = set(re.findall(r"`(\w+(?:/\w+)+\.py)`", PAGE))
    assert modules
    assert [module for module in sorted(modules) if not (ROOT / "hpo_tasks" / module).exists()] == []
