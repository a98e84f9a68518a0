"""Values reach a program's argv untouched, whatever is in them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trials import Study

from hpo_tasks.errors import InputError
from hpo_tasks.trial.command_line import render_command

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("command", "params", "argv"),
    [
        (["t", "--lr={lr}"], {"lr": 1e-4}, ["t", "--lr=0.0001"]),
        (
            ["t", "{a}", "{b}", "{c}", "{d}"],
            {"a": 1, "b": True, "c": None, "d": "x"},
            ["t", "1", "true", "null", "x"],
        ),
        (["t", "{s}"], {"s": ""}, ["t", ""]),
        (["t", "{s}"], {"s": "None"}, ["t", "None"]),
        (["t", "{a}{b}x"], {"a": 1, "b": 2}, ["t", "12x"]),
        (["t", "--rate={rate_drop}", "end"], {}, ["t", "end"]),
        (["t", "{on}{off}"], {"on": 1}, ["t"]),
        (["t", '{{"a": 1}}'], {}, ["t", '{"a": 1}']),
        (["t", "{{lr}}"], {"lr": 1}, ["t", "{lr}"]),
        (["t", "{{{lr}}}"], {"lr": 1}, ["t", "{1}"]),
        (["t", "{lr}"], {"lr": "{lr} {{x}} {0}"}, ["t", "{lr} {{x}} {0}"]),
        (["t", "$(reboot)", "a; rm -rf /", "{{ 7*7 }}"], {}, ["t", "$(reboot)", "a; rm -rf /", "{ 7*7 }"]),
        (["t", "--x={v}"], {"v": "--help"}, ["t", "--x=--help"]),
        (["{tool}", "x"], {"tool": "./other"}, ["./other", "x"]),
    ],
)
def test_placeholders(command, params, argv):
    assert render_command(command, params) == argv


@pytest.mark.parametrize(
    "element",
    ["{", "}", "a}b", "{}", "{p.__class__}", "{0[__globals__]}", "{p!r}", "{p:>10}", "{a b}", "{a", "{{a}"],
)
def test_what_is_no_plain_placeholder_is_refused(element):
    with pytest.raises(InputError, match="lone"):
        render_command(["t", element], {"p": 1, "a": 1})


@pytest.mark.parametrize("command", [[], ["{inactive}"], [""], ["{empty}"]])
def test_a_command_must_name_a_program(command):
    with pytest.raises(InputError, match="names no program"):
        render_command(command, {"empty": ""})


def test_nul_is_refused():
    with pytest.raises(InputError, match="NUL"):
        render_command(["t", "{a}"], {"a": "x\0y"})


@settings(max_examples=500)
@given(TEXT, TEXT.map(lambda text: text.replace("{", "{{").replace("}", "}}")))
def test_any_text_arrives_as_it_is(value, literal):
    plain = literal.replace("{{", "{").replace("}}", "}")
    assert render_command(["t", literal + "={v}", "{v}"], {"v": value}) == ["t", f"{plain}={value}", value]


def test_ten_thousand_hostile_values_reach_a_real_program(tmp_path):
    """Each value is one argument; the program answers with a digest of exactly what it got."""
    pieces = ["'", '"', "$(id)", "`id`", "\n", "\r\n", "\t", ";", "|", "&", "*", "~", "-", "--help", "\\", " ", "ß", "😀",
              "\u202e", "%s", "{0}", "{{x}}", "#", "!", "<", ">", "\x01", "\x7f", "é", "é", "=", "/../"]  # fmt: skip
    values = [
        pieces[i % 32] + pieces[i // 32 % 32] + pieces[i // 1024 % 32] + str(i % 7) for i in range(10_000)
    ]
    study = Study(tmp_path)
    check = "import hashlib, json, sys; open('got', 'w').write(json.dumps(sys.argv[1:])); "
    check += "digest = hashlib.sha256('\\0'.join(sys.argv[1:]).encode()).hexdigest(); "
    check += (
        "open(__import__('os').environ['HPO_METRICS'], 'w').write('{{\"loss\": %d}}' % int(digest[:12], 16))"
    )
    names = [f"p{i}" for i in range(1000)]
    import hashlib
    import sys

    for part in range(0, 10_000, 1000):
        params = dict(zip(names, values[part : part + 1000], strict=True))
        command = [sys.executable, "-c", check, *(f"{{{name}}}" for name in names)]
        outcome = study.run(command, params=params, slot=part)
        expected = hashlib.sha256("\0".join(params.values()).encode()).hexdigest()
        assert (outcome.cls, outcome.values) == ("complete", {"loss": float(int(expected[:12], 16))})


def test_values_that_are_not_text_arrive_as_json():
    params = {"a": 0.1, "b": 10**18, "c": False, "d": None, "e": -0.0, "f": 5e-324}
    argv = render_command(["t", *(f"{{{name}}}" for name in params)], params)
    assert [json.loads(text) for text in argv[1:]] == list(params.values())
