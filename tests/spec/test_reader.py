"""Text → plain data: what YAML 1.2 and JSON mean here, and what is refused before anything looks at it."""

import json
import subprocess
import sys

import pytest

from hpo_tasks.errors import SpecError
from hpo_tasks.spec.limits import limit_problems
from hpo_tasks.spec.reader import read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0.0", -0.0),
        ("12", 12),
        ("+12", 12),
        ("-12", -12),
        ("010", 10),
        ("0o17", 15),
        ("0xff", 255),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("on", "on"),
        ("no", "no"),
        ("y", "y"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2026-01-31", "2026-01-31"),
        ("6h", "6h"),
        ("'12'", "12"),
        ('"true"', "true"),
        ('"a\\nb"', "a\nb"),
        ("NaN", "NaN"),
        ("=", "="),
        ("'<<'", "<<"),
    ],
)
def test_yaml_scalars_follow_the_core_schema_of_yaml_1_2(text, value):
    (found,) = read(f"[{text}]", format="yaml")

    assert (found, type(found)) == (value, type(value))


def test_yaml_nests_as_written():
    text = "a: {b: [1, {c: d}], e: }\nf:\n- g: |\n    two\n    lines\n- []\n"

    assert read(text, format="yaml") == {
        "a": {"b": [1, {"c": "d"}], "e": None},
        "f": [{"g": "two\nlines\n"}, []],
    }


def test_a_byte_order_mark_and_windows_line_ends_are_fine():
    assert read(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", format="yaml") == {"a": 1, "b": 2}
    assert read(b'\xef\xbb\xbf{"a": 1}', format="json") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" " * 1000, "is empty"),
        (" " * (257 * 1024), "is larger than 256 KiB"),
        (b"\xff\xfe", "must be UTF-8: byte 0 is 0xff"),
        (b"name: \xe9", "must be UTF-8: byte 6 is 0xe9"),
        ("a: 1\na: 2", 'line 2, column 1: the key "a" appears twice'),
        ("a: {b: 1, b: 2}", 'line 1, column 11: the key "b" appears twice'),
        ("a: &x 1\nb: *x", "line 1, column 4: anchors and aliases (& and *) are not allowed: write it out"),
        ("a: *x", "line 1, column 4: anchors and aliases (& and *) are not allowed: write it out"),
        ("<<: {a: 1}", "line 1, column 1: merge keys (<<) are not allowed: write the fields out"),
        ("a: !!python/object:os.system x", "line 1, column 4: tags (!) are not allowed: plain data only"),
        ("a: !!str 1", "line 1, column 4: tags (!) are not allowed: plain data only"),
        ("a: ! 1", "line 1, column 4: tags (!) are not allowed: plain data only"),
        ("!x {a: 1}", "line 1, column 1: tags (!) are not allowed: plain data only"),
        ("a: 1\n---\na: 2", "line 2, column 1: holds several documents: one study per file"),
        ("%YAML 1.1\n---\na: 1", "line 2, column 1: directives other than %YAML 1.2 are not allowed"),
        (
            "%TAG ! tag:x,2000:\n---\na: 1",
            "line 2, column 1: directives other than %YAML 1.2 are not allowed",
        ),
        ("1: a", "line 1, column 1: a key must be text, got 1: put it in quotes"),
        ("true: a", "line 1, column 1: a key must be text, got true: put it in quotes"),
        ("null: a", "line 1, column 1: a key must be text, got null: put it in quotes"),
        ("? [a, b]\n: c", "line 1, column 3: a key must be text"),
        ("a: [1, 2", "line 1, column 9: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: b: c", "line 1, column 5: not YAML: mapping values are not allowed here"),
        ("a:\n\t- b", "line 2, column 1: not YAML: found character '\\t' that cannot start any token"),
        ("a: 'b", "line 1, column 6: not YAML: found unexpected end of stream"),
        ("a: \x00", "not YAML: the character U+0000 at position 4 is not allowed"),
        (
            "a: " + "9" * 5000,
            "line 1, column 4: a number must have at most 18 digits (if it is text, put it in quotes)",
        ),
        ("[" * 13 + "]" * 13, "line 1, column 13: is nested deeper than 12 levels"),
    ],
)
def test_yaml_is_refused_in_one_line(text, message):
    with pytest.raises(SpecError) as caught:
        read(text, format="yaml")

    assert str(caught.value).startswith(message), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ('{"a": 1, "a": 2}', 'the key "a" appears twice in one object'),
        ('{"a": {"b": 1, "c": 2, "b": 3}}', 'the key "b" appears twice in one object'),
        ('{"a": NaN}', "must hold finite numbers only, got NaN"),
        ('{"a": [-Infinity]}', "must hold finite numbers only, got -Infinity"),
        (
            '{"a": ' + "9" * 5000 + "}",
            "a number must have at most 18 digits (if it is text, put it in quotes)",
        ),
        ('{"a": 1,}', "line 1, column "),
        ('{"a": 1} {}', "line 1, column 10: not JSON: extra data"),
        ("[" * 100_000, "is nested deeper than 12 levels"),
    ],
)
def test_json_is_refused_in_one_line(text, message):
    with pytest.raises(SpecError) as caught:
        read(text, format="json")

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_the_message_names_the_source():
    with pytest.raises(SpecError, match=r"^night\.yaml: is empty$"):
        read("", format="yaml", source="night.yaml")


HOSTILE = {
    "10 MB of text": "a: " + "x" * 10_000_000,
    "10 MB of lines": "a: 1\n" * 2_000_000,
    "100,000 brackets": "[" * 100_000,
    "100,000 braces": "{a: " * 60_000,
    "100,000 dashes": "- " * 100_000,
    "100,000 question marks": "? " * 100_000,
    "alias bomb": "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "anchors": "".join(f"- &a{index} x\n" for index in range(10_000)),
    "digits": "a: " + "1" * 200_000,
    "one long quoted text": 'a: "' + "\\n" * 100_000,
    "tabs": "\t" * 200_000,
    "comment": "#" * 200_000,
    "colons": ":" * 200_000,
    "20,000 fields": "".join(f"f{index}: 1\n" for index in range(20_000)),
    "80,000 texts": "a: [" + "'', " * 60_000 + "]",
}  # fmt: skip


READ_ALL = """
import json, resource, sys
from hpo_tasks.errors import SpecError
from hpo_tasks.spec import Trust, parse

texts = json.load(sys.stdin)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 64 * 2**20, size + 64 * 2**20))
for name, text in texts.items():
    for format in ("yaml", "json"):
        try:
            parse(text, format=format, trust=Trust.FILE)
        except SpecError as error:
            print(name, format, len(str(error)))
"""


def test_hostile_text_is_refused_briefly_and_within_64_mib():
    process = subprocess.run(
        [sys.executable, "-c", READ_ALL],
        input=json.dumps(HOSTILE),
        capture_output=True,
        text=True,
        check=False,
    )

    lines = [line.rsplit(" ", 2) for line in process.stdout.splitlines()]
    assert [(name, format_) for name, format_, _ in lines] == [
        (n, f) for n in HOSTILE for f in ("yaml", "json")
    ]
    assert max(int(length) for *_, length in lines) < 500
    assert process.stderr == ""


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ({"a": float("nan")}, ["a: must be a finite number, got nan"]),
        ({"a": [1, float("inf")]}, ["a[1]: must be a finite number, got inf"]),
        ({"a": 10**18}, ["a: must have at most 18 digits (if it is text, put it in quotes)"]),
        ({"a": "x" * 1025}, ["a: must be at most 1 KiB of text"]),
        ({"a": "ж" * 513}, ["a: must be at most 1 KiB of text"]),
        ({"a": "x\0"}, ["a: must not hold the NUL character"]),
        ({"a": "\ud800"}, ["a: holds half of a surrogate pair, which is not a character"]),
        ({"a": {1: 2}}, ["a: keys must be text, got 1: put it in quotes"]),
        ({"x" * 2000: 1}, ["a key must be at most 1 KiB of text"]),
        (
            {"a": object()},
            ["a: must be text, a number, true, false, null, a list or a mapping, got a object"],
        ),
        ({"a": [0] * 30_000}, ["is too large: more than 20000 values or 256 KiB of text"]),
        ({"a": ["x" * 1000] * 300}, ["is too large: more than 20000 values or 256 KiB of text"]),
        ({"a": {str(key): 0 for key in range(1001)}}, ["a: is too large: more than 1000 fields"]),
        ({"a": 10**18 - 1, "b": "ж" * 512, "c": [None, True, 1e308]}, []),
    ],
)
def test_limits_hold_for_data_of_any_source(data, lines):
    assert [str(problem) for problem in limit_problems(data)] == lines


def test_data_that_holds_itself_is_refused():
    data: dict = {}
    data["a"] = {"b": data}

    assert [str(problem) for problem in limit_problems(data)] == ["a.b.a: is nested deeper than 12 levels"]


def test_yaml_and_json_read_the_same_numbers():
    for number in (5e-324, 1.7976931348623157e308, 0.1 + 0.2, 2**53 - 1, -1, 1e22, 123456789012345678):
        text = json.dumps([number])

        assert read(text, format="yaml") == read(text, format="json") == [number]
