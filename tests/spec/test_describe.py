"""The study as Markdown: what it says, and that no text of the user becomes markup."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from small_study import document

from hpo_tasks.spec import Trust, validate
from hpo_tasks.spec.describe import describe, escaped

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HOSTILE = (
    "<script>alert(1)</script> [x](javascript:alert(1)) ![i](http://evil/x.png) **b** `c` # h | cell | ~~s~~ "
    "<https://evil> www.evil.com a@b.c &amp; \\ {{ var.value.x }} $x$ - 1. > q"
)


def shown(markdown):
    """The text that a reader sees."""
    html = MARKDOWN.render(markdown)
    text = re.sub(r"<[^>]*>", "", html)
    for entity, char in {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&amp;": "&"}.items():
        text = text.replace(entity, char)
    return text


def test_it_tells_objective_space_budget_and_program():
    spec = validate(
        document(
            description="Nightly.",
            objective=[
                {"metric": "rmse", "direction": "minimize"},
                {"metric": "r2", "direction": "maximize"},
            ],
            thresholds={"latency_ms": {"max": 50}},
            search={
                "lr": {"type": "float", "low": 0.001, "high": 0.1, "log": True},
                "depth": {"type": "int", "low": 2, "high": 12, "step": 2},
                "booster": {"type": "categorical", "choices": ["gbtree", None, *range(20)]},
                "drop": {"type": "float", "low": 0, "high": 1, "when": {"booster": "gbtree"}},
            },
            constraints=["lr * depth < 1"],
            budget={"trials": 1, "wall_clock": "1h30m"},
            trial={
                "command": ["train", "--lr={lr}"],
                "resources": {"memory": "4GiB", "gpus": 2},
                "timeout": 90,
            },
        ),
        trust=Trust.FILE,
    )

    text = shown(describe(spec))

    for line in (
        "small", "Nightly.", "Objective: minimize rmse, maximize r2", "Thresholds: latency_ms <= 50",
        "Budget: 1 trial, at most 1h30m; stops if more than 50 % fail", "Rounds: up to 4, of 1 trial",
        'Program: command "train" "--lr={lr}"', "Each trial: 1 thread, 4GiB, 2 GPUs, timeout 1m30s, up to 3 attempts",
        "0.001 to 0.1, log scale", "2 to 12, step 2", '"gbtree", null, 0, 1', "and 10 more",
        'only when booster is "gbtree"', "lr * depth < 1",
    ):  # fmt: skip
        assert line in text


FIELDS = {
    "name": lambda text: {"name": re.sub(r"[/\\]", "", text)},
    "owner": lambda text: {"owner": text[:100].strip()},
    "description": lambda text: {"description": text + "\n\n# heading\n- item\n\n    code"},
    "choice": lambda text: {"search": {"x": {"type": "categorical", "choices": [text, "y"]}}},
    "fixed": lambda text: {"search": {"x": {"type": "int", "low": 0, "high": 1}, "f": {"type": "fixed", "value": text}}},
    "command": lambda text: {"trial": {"command": ["a", "--x=" + text.replace("{", "{{").replace("}", "}}")]}},
    "input": lambda text: {"trial": {"command": ["a"], "inputs": {"d": "/" + re.sub(r"[{}\\]|://", "", text)}}},
    "constraint": lambda text: {
        "search": {"x": {"type": "categorical", "choices": ["a", "b"]}}, "constraints": [f"x != {text!r}"],
    },
}  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_no_field_becomes_markup(field):
    plain = describe(validate(document(**FIELDS[field]("plain words")), trust=Trust.FILE))
    hostile = describe(validate(document(**FIELDS[field](HOSTILE)), trust=Trust.FILE))

    assert _elements(hostile) == _elements(plain)


def _elements(markdown):
    return sorted(re.findall(r"<(\w+)", MARKDOWN.render(markdown)))


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1))
def test_an_escaped_text_reads_as_written(text):
    rendered = shown(f"x {escaped(text)} x").strip()

    assert " ".join(rendered.split()) == " ".join(f"x {text} x".split())
