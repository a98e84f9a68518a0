"""Hostile but legal: what looks dangerous and must pass, unchanged."""

import json
from itertools import chain

import pytest

from hpo_tasks.spec import Trust, canonical, parse, validate


@pytest.mark.parametrize(
    "name",
    [
        "<img src=x onerror=alert(1)> & \"quotes\" 'x'",
        "Цены на жильё",
        "أسعار المنازل",
        "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301",
        "家" * 200,
        "{{ conn.aws_default.password }} {{ var.value.x }} {% raw %}",
        "%s {0} $(reboot) `id` ; rm -rf",
        "..",
        "None",
    ],
)
def test_names_of_all_scripts_pass_unchanged(name, study):
    assert study(name=name).name == name


@pytest.mark.parametrize(
    "choices",
    [
        [
            "$(reboot)",
            "; rm -rf /",
            "a\nb",
            "--help",
            "{{ 7*7 }}",
            "%s{0}",
            "",
            " ",
            "{x}",
            "\t\r\x1b[2J",
            "ж👍",
        ],
        [None, True, 2, 3.5, "text", "None", "True", "2"],
        [False, True],
        [None, "None"],
        [1e307, -1e-308, 5e-324, 0.1 + 0.2, -0.0],
        ["x" * 1024],
        list(range(1000)),
        ["only one"],
    ],
)
def test_choices_arrive_as_they_are_written(choices, study):
    spec = study(search={"x": {"type": "categorical", "choices": choices}})
    again = parse(json.dumps(canonical(spec)), format="json", trust=Trust.FILE)

    assert [repr(choice) for choice in again.search["x"].choices] == [repr(choice) for choice in choices]


@pytest.mark.parametrize(
    "parameter",
    [
        {"type": "float", "low": 5e-324, "high": 1, "log": True},
        {"type": "float", "low": 0, "high": 1, "step": 0.3},
        {"type": "float", "low": -1e300, "high": 1e300},
        {"type": "float", "low": 0.1, "high": 0.30000000000000004},
        {"type": "int", "low": -(2**53), "high": 2**53},
        {"type": "int", "low": 1, "high": 10, "step": 4},
    ],
)
def test_odd_bounds_pass(parameter, problems):
    assert problems(search={"x": parameter}) == []


def test_200_parameters_and_large_batches_pass(study):
    search = {f"p{index}": {"type": "float", "low": 0, "high": 1} for index in range(200)}

    spec = study(search=search, trial={"command": ["a"]}, batch_size=512, budget={"trials": 25_600})

    assert (len(spec.search), spec.batch_size) == (200, 512)


def test_names_that_are_keywords_or_functions_are_parameters(problems):
    names = ["lambda", "class", "log", "min", "x", "X1", "_", "n" * 64]
    search = {name: {"type": "int", "low": 0, "high": 1} for name in names}

    assert problems(search=search, constraints=["log + min < 2"], trial={"command": ["a", "{lambda}"]}) == []


def test_a_command_may_hold_anything_that_is_no_placeholder(study):
    command = ["python", "-c", 'print({{"a": 1}})', "a b", "", "$HOME", "*", "\n", "{x}", "日本語", "-"]

    assert study(trial={"command": command}).trial.command == tuple(command)


@pytest.mark.parametrize(
    "schedule",
    [
        "0 2 * * *",
        "*/15 9-17 * * 1-5",
        "0 0 1,15 * *",
        "@daily",
        "@quarterly",
        "0 3 L * *",
        "0 0 * * MON#1",
        "  0   2 * * *",
    ],
)
def test_schedules_that_airflow_reads_pass(schedule, problems):
    assert problems(schedule=schedule) == []


@pytest.mark.parametrize(
    "patterns",
    [
        ["rmse=([0-9.]+)"],
        ["(?:foo )+rmse=(.*)"],
        [r"\)+(a)"],
        ["[)+]+(?P<value>a)"],
        ["(?i)loss: (\\S+)$"],
        ["(?i:x)*(a)?"],
    ],
)
def test_patterns_may_repeat_what_is_not_the_group(patterns, problems):
    metrics = [{"name": f"m{index}", "regex": regex} for index, regex in enumerate(patterns)]

    assert problems(trial={"command": ["a"], "metrics": metrics}) == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6h", 21600), ("30m", 1800), ("90", 90), ("'90'", 90), ("90.5", 90.5), ("1h30m", 5400), ("1.5h", 5400), ("1d", 86400),
     ("1d2h3m4s", 93784), ("365d", 31536000), ("1", 1)],
)  # fmt: skip
def test_durations(text, seconds):
    data = parse(STUDY_WITH.replace("TIMEOUT", text), format="yaml", trust=Trust.FILE)

    assert data.trial.timeout_s == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GiB", 4 << 30), ("512MiB", 512 << 20), ("2GB", 2 * 10**9), ("1.5GiB", 3 << 29), ("4 GiB", 4 << 30), (1 << 30, 1 << 30)],
)  # fmt: skip
def test_memory(text, size, study):
    assert study(trial={"command": ["a"], "resources": {"memory": text}}).trial.resources.memory_bytes == size


STUDY_WITH = """
name: s
objective: {metric: m, direction: minimize}
search: {x: {type: int, low: 0, high: 1}}
budget: {trials: 1}
trial: {command: [a], timeout: TIMEOUT}
"""


def test_optional_fields_may_be_empty(study):
    optional = ["owner", "description", "schedule", "start_date", "max_rounds", "store"]

    assert study(**dict.fromkeys(optional)) == study()


def test_every_sampler_and_option_that_is_offered_is_one_that_optuna_takes(study):
    import inspect
    from importlib.util import find_spec

    from optuna import samplers

    from hpo_tasks.spec.rules.optimizer import SAMPLERS

    classes = {
        "qmc": samplers.QMCSampler, "tpe": samplers.TPESampler, "gp": samplers.GPSampler,
        "cmaes": samplers.CmaEsSampler, "nsga2": samplers.NSGAIISampler,
    }  # fmt: skip
    for name, options in SAMPLERS.items():
        if name in classes:
            assert options.keys() <= inspect.signature(classes[name]).parameters.keys()
        if name != "gp" or find_spec("torch"):
            spec = study(search={"x": {"type": "int", "low": 0, "high": 9}}, optimizer={"sampler": name})
            assert spec.optimizer.sampler == name
    assert set(chain(classes, ["random", "grid"])) == SAMPLERS.keys()


def test_gp_without_pytorch_names_the_command_that_installs_it(problems, monkeypatch):
    from hpo_tasks.spec.rules import optimizer

    monkeypatch.setattr(optimizer, "find_spec", lambda _: None)

    assert problems(optimizer={"sampler": "gp"}) == [
        "optimizer.sampler: gp needs PyTorch: pip install 'hpo-tasks[gp]'"
    ]


@pytest.mark.parametrize(
    ("search", "good"),
    [
        ({"x": {"type": "float", "low": 0, "high": 1, "step": 0.1}}, True),
        ({"x": {"type": "float", "low": 0.001, "high": 1, "log": True, "points": 4}}, True),
        ({"x": {"type": "float", "low": 0, "high": 1}}, False),
        ({"x": {"type": "int", "low": 1, "high": 100_000}}, True),
        ({"x": {"type": "int", "low": 1, "high": 100_001}}, False),
        ({"x": {"type": "int", "low": 1, "high": 1000}, "y": {"type": "int", "low": 1, "high": 101}}, False),
        ({"x": {"type": "int", "low": 1, "high": 10**6, "step": 1000}}, True),
    ],
)
def test_a_grid_has_a_finite_number_of_configurations(search, good, problems):
    assert (problems(search=search, optimizer={"sampler": "grid"}) == []) is good


def test_data_of_any_mapping_type_is_read():
    from types import MappingProxyType

    data = MappingProxyType(json.loads('{"name": "s", "objective": {"metric": "m", "direction": "minimize"}, "search": '
        '{"x": {"type": "int", "low": 0, "high": 1}}, "budget": {"trials": 1}, "trial": {"command": ["a"]}}'))  # fmt: skip

    assert validate(data, trust=Trust.FILE).name == "s"
