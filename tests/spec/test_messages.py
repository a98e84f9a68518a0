"""A mistake in a study file and the very line that its user sees."""

import pytest
from small_study import STUDY, changed

TOP_LEVEL = [
    ("comand: [x]", "comand: unknown field, did you mean `trial.command`?"),
    ("timeout: 6h", "timeout: unknown field, did you mean `trial.timeout`?"),
    ("serach: {}", "serach: unknown field, did you mean `search`?"),
    ("xyzzy: 1", "xyzzy: unknown field"),
    ("name: 7", "name: must be text, got 7 (put it in quotes)"),
    ("name:", "name: must be text, got null"),
    ("name: ''", "name: must not be empty"),
    ("name: ' x'", 'name: must not begin or end with a space, got " x"'),
    ("name: a/b", 'name: must not hold / or \\, got "a/b"'),
    (r"name: C:\x", 'name: must not hold / or \\, got "C:\\\\x"'),
    (r'name: "a\nb"', "name: must not hold control characters, got U+000A"),
    (r'name: "a\u202eb"', "name: must not hold control characters, got U+202E"),
    (f"name: {'x' * 513}", "name: must be at most 200 characters, got 513"),
    ("owner: ''", "owner: must not be empty"),
    (r'description: "\e[2J"', "description: must not hold control characters, got U+001B"),
    ("tags: {team: 5}", "tags.team: must be text, got 5 (put it in quotes)"),
    ("tags: {'aws:x': y}", "tags.aws:x: tags that begin with aws: or hpo: are reserved"),
    ("tags: {a: 'b<c'}", "tags.a: a tag may hold letters, digits, spaces and _ . : / = + - @ only"),
    (
        f"tags: {{a: {'b' * 120}}}",
        "tags.a: must be at most 99 characters, key and value together, got 121",
    ),
    ("paused: yes", 'paused: must be true or false, got "yes"'),
    ("catchup: true", "catchup: needs a schedule and a start_date: it runs every interval since then"),
    ("max_active_runs: 0", "max_active_runs: must be at least 1, got 0"),
    ("pool: ''", "pool: must not be empty"),
    ("pool: 3", "pool: must be text, got 3 (put it in quotes)"),
    (f"pool: {'x' * 257}", "pool: must be at most 256 characters, got 257"),
    (r'pool: "a\tb"', "pool: must not hold control characters, got U+0009"),
    ("max_rounds: 1001", "max_rounds: must be at most 1000, got 1001"),
    ("batch_size: 0", "batch_size: must be at least 1, got 0"),
    ("batch_size: 1025", "batch_size: must be at most 1000, got 1025"),
    ("batch_size: true", "batch_size: must be a whole number, got true"),
    ("keep: {days: 0}", "keep.days: must be at least 1, got 0"),
    ("keep: {models: bset}", 'keep.models: must be one of best, all, none, got "bset", did you mean `best`?'),
    ("keep: {day: 3}", "keep.day: unknown field, did you mean `days`?"),
    ("backend: {type: 'aws_batch; drop'}", 'backend.type: must be one of local, batch, got "aws_batch; drop"'),
    ("backend: {slots: 2}", "backend.type: missing: must be one of local, batch"),
    ("backend: local", 'backend: must be a mapping (key: value), got "local"'),
    ("backend: {type: local, slots: 0}", "backend.slots: must be at least 1, got 0"),
    ("store: hpo", 'store: must be an absolute path, file:///… or s3://bucket/prefix, got "hpo"'),
    ("store: s3://B/../x", 'store: must name a bucket: s3://bucket/key, got "s3://B/../x"'),
    (
        "store: s3://bucket/../x",
        'store: must be a plain key: no `..`, empty part, `?`, `#`, `;` or backslash, got "s3://bucket/../x"',
    ),
    ("store: https://bucket", 'store: must be an absolute path, file:///… or s3://bucket/prefix, got "https://bucket"'),
    ("store: 5", "store: must be a mapping (key: value), got 5"),
    ("store: {uri: /data, connection: c}", "store.connection: is for stores on S3: a folder needs none"),
    ("store: {url: /data}", "store.uri: missing\nstore.url: unknown field, did you mean `uri`?"),
]  # fmt: skip

SCHEDULE = [
    (
        '"0 2 * *"',
        (
            'schedule: must have 5 fields, got 4; write five fields such as "0 2 * * *" (minute, hour, day of month, '
            "month, day of week)"
        ),
    ),
    (
        "'@dayly'",
        'schedule: must be one of @hourly, @daily, @weekly, @monthly, @quarterly, @yearly, got "@dayly"',
    ),
    (
        '"99 2 * * *"',
        (
            'schedule: "99 2 * * *" never comes; write five fields such as "0 2 * * *" (minute, hour, day of month, '
            "month, day of week)"
        ),
    ),
    (
        '"0 0 30 2 *"',
        (
            'schedule: "0 0 30 2 *" never comes; write five fields such as "0 2 * * *" (minute, hour, day of month, '
            "month, day of week)"
        ),
    ),
    (
        '"R 2 * * *"',
        (
            'schedule: has the field "R"; write five fields such as "0 2 * * *" (minute, hour, day of month, month, '
            "day of week)"
        ),
    ),
]

OBJECTIVE = [
    ("{metric: rmse, direction: min}", 'objective.direction: must be one of minimize, maximize, got "min"'),
    ("{metric: rmse}", "objective.direction: missing"),
    ("rmse", 'objective: must be a list, got "rmse"'),
    ("[]", "objective: must hold at least 1, got 0"),
    ("{metric: step, direction: minimize}", "objective.metric: `step` is reserved for the step of a report: use another name"),
    (
        "{metric: 'a b', direction: minimize}",
        'objective.metric: must be letters, digits and _ . @ % / - (at most 100), beginning with a letter, got "a b"',
    ),
    (
        "[{metric: a, direction: minimize}, {metric: a, direction: maximize}]",
        "objective[1].metric: `a` is an objective already: name each metric once",
    ),
    (
        "[{metric: a, direction: minimize}, {direction: maximize}]",
        "objective[1].metric: missing",
    ),
]  # fmt: skip

THRESHOLDS = [
    ("{latency: {}}", "thresholds.latency: needs min or max"),
    ("{latency: {max: .nan}}", "thresholds.latency.max: must be a finite number, got nan"),
    ("{latency: {min: 2, max: 1}}", "thresholds.latency.min: must be at most max = 1, got 2"),
    ("{latency: 50}", "thresholds.latency: must be a mapping (key: value), got 50"),
    ("{latency: {maximum: 50}}", "thresholds.latency.maximum: unknown field, did you mean `max`?"),
    (
        "{loss: {max: 50}}",
        "thresholds.loss: is an objective: it is optimised already; thresholds hold other metrics in bounds",
    ),
]

REST_OF_STUDY = [
    ("budget: {trials: 0}", "budget.trials: must be at least 1, got 0"),
    ("budget: {trials: -1}", "budget.trials: must be at least 1, got -1"),
    ("budget: {trials: 10.5}", "budget.trials: must be a whole number, got 10.5"),
    ('budget: {trials: "10"}', 'budget.trials: must be a whole number, got "10"'),
    ("budget: {trials: 1000000000}", "budget.trials: must be at most 100000, got 1000000000"),
    (
        "budget: {trials: 1001}",
        "budget.trials: must be at most 1000 (1000 rounds of batch_size 1), got 1001: raise batch_size",
    ),
    (
        "budget: {trials: 9}\nmax_rounds: 4\nbatch_size: 2",
        "budget.trials: must be at most 8 (4 rounds of batch_size 2), got 9: raise max_rounds or batch_size",
    ),
    ("budget: {}", "budget.trials: missing: say how many trials to run"),
    ("budget: 8", "budget: must be a mapping (key: value), got 8"),
    ("budget: {trials: 8, wall_clock: 0}", "budget.wall_clock: must be between 1s and 365d, got 0"),
    (
        "budget: {trials: 8, wall_clock: 6 hours}",
        'budget.wall_clock: must be a duration such as 6h, 30m, 1h30m or a number of seconds, got "6 hours"',
    ),
    ("budget: {trials: 8, wall_clock_s: 60}", "budget.wall_clock_s: unknown field, did you mean `wall_clock`?"),
    ("budget: {trials: 8, max_failed_share: 1.5}", "budget.max_failed_share: must be at most 1, got 1.5"),
    ("optimizer: {sampler: tpee}", 'optimizer.sampler: unknown sampler "tpee", did you mean `tpe`?'),
    ("optimizer: {sampler: 'os:'}", 'optimizer.sampler: must be module:Class, got "os:"'),
    ("optimizer: {seed: -1}", "optimizer.seed: must be at least 0, got -1"),
    ("optimizer: {seed: 4294967296}", "optimizer.seed: must be at most 4294967295, got 4294967296"),
    (
        "optimizer: {options: {n_startup_trails: 3}}",
        "optimizer.options.n_startup_trails: unknown option of tpe, did you mean `n_startup_trials`?",
    ),
    ("optimizer: {options: {n_startup_trials: 1.5}}", "optimizer.options.n_startup_trials: must be a whole number, got 1.5"),
    ("optimizer: {options: {n_startup_trials: -1}}", "optimizer.options.n_startup_trials: must be at least 0, got -1"),
    ("optimizer: {options: {group: 1}}", "optimizer.options.group: must be true or false, got 1"),
    ("optimizer: {options: {group: true, multivariate: false}}", "optimizer.options.group: needs multivariate: true"),
    (
        "optimizer: {options: {seed: 3}}",
        "optimizer.options.seed: belongs under optimizer.seed: each round gets its own seed of it",
    ),
    ("optimizer: {sampler: random, options: {n: 1}}", "optimizer.options.n: unknown option of random; random has no options"),
    ("optimizer: {sampler: qmc, options: {qmc_type: halto}}", 'optimizer.options.qmc_type: must be one of sobol, halton, got "halto"'),
    (
        "optimizer: {sampler: cmaes, options: {lr_adapt: true, with_margin: true}}",
        "optimizer.options.with_margin: cannot be used with lr_adapt",
    ),
    ("optimizer: {sampler: grid}", "search.x: a float in a grid needs step or points"),
    (
        "optimizer: {sampler: cmaes}\nobjective: [{metric: a, direction: minimize}, {metric: b, direction: minimize}]",
        "optimizer.sampler: cmaes cannot optimise several objectives: use nsga2, tpe or gp",
    ),
    ("initial: {x: 1}", "initial: must be a list, got a mapping"),
    ("initial: [previous]", 'initial[0]: must be previous_best or a mapping of parameters, got "previous"'),
    ("initial: [previous_best, previous_best]", "initial[1]: previous_best is in the list already"),
    ("initial: [{}]", "initial[0]: must name at least one parameter"),
    ("initial: [{x: 2}]", "initial[0].x: must be between 0 and 1, got 2"),
    ("initial: [{x: '1'}]", 'initial[0].x: must be a number, got "1"'),
    ("initial: [{depth: 1.0}]", "initial[0].depth: must be a whole number, got 1"),
    ("initial: [{y: 2}]", "initial[0].y: unknown parameter; known: x, mode, depth, seed"),
    ("initial: [{mode: slwo}]", 'initial[0].mode: must be one of "fast", "slow", "--dry-run"; got "slwo"'),
    ("initial: [{seed: 4}]", "initial[0].seed: is fixed to 3, got 4"),
    ("initial: [{x: 0.5, depth: 9}]\nconstraints: [x * depth < 1]", "initial[0]: violates the constraint x * depth < 1"),
    ("initial: [{x: [1]}]", "initial[0]: must be text, a finite number, true, false or null, got a list"),
    ("start_date: tomorrow", 'start_date: must be a date such as 2026-01-31, got "tomorrow"'),
    ("start_date: 0001-01-01", 'start_date: must be between 1970 and 2100, got "0001-01-01"'),
    ("timezone: Europe/Berln", 'timezone: unknown time zone "Europe/Berln", did you mean `Europe/Berlin`?'),
    ("timezone: ../../etc/passwd", 'timezone: unknown time zone "../../etc/passwd": write a name such as Europe/Berlin'),
    ("timezone: Mars", 'timezone: unknown time zone "Mars": write a name such as Europe/Berlin'),
]  # fmt: skip

CASES = [
    *TOP_LEVEL,
    *REST_OF_STUDY,
    *((f"schedule: {value}", line) for value, line in SCHEDULE),
    *((f"objective: {value}", line) for value, line in OBJECTIVE),
    *((f"thresholds: {value}", line) for value, line in THRESHOLDS),
]


def test_the_small_study_is_good(problems_of_text):
    assert problems_of_text(STUDY) == []


@pytest.mark.parametrize(("text", "lines"), CASES, ids=[text[:60] for text, _ in CASES])
def test_a_mistake_gives_exactly_these_lines(text, lines, problems_of_text):
    assert problems_of_text(changed(text)) == lines.split("\n")


@pytest.mark.parametrize("data", [None, [], "text", 5, True])
def test_a_study_is_a_mapping(data, problems):
    (line,) = problems([] if data is None else data)

    assert line.startswith("must be a mapping of fields (key: value), got ")


def test_an_empty_study_names_everything_that_is_missing(problems):
    assert problems({}) == [
        "name: missing: give the study a name",
        "objective: missing: say what to optimise, e.g. {metric: rmse, direction: minimize}",
        (
            "search: missing: say what to search, e.g. "
            "{learning_rate: {type: float, low: 0.001, high: 0.1, log: true}}"
        ),
        "budget: missing: say how long to search, e.g. {trials: 64}",
        "trial: missing: say what to run: a trainer, an entry_point or a command",
    ]


def test_all_problems_are_told_at_once_in_the_order_of_the_fields(problems_of_text):
    text = """
        name: a/b
        comand: x
        search:
          lr: {type: float, low: 0, high: 1, log: true}
          x: {type: flaot}
          y: {type: int, low: 0.5, high: true}
          z: {type: fixed, value: 1, when: {x: 3, w: 1}}
        objective: {metric: rmse, direction: min}
        budget: {trials: "10"}
        trial: {command: [train, "{lrr}", "{x}"], timeout: 0, env: {LD_PRELOAD: x}}
        constraints: ["lrr < 1", "x < y"]
        initial: [{lr: 3, x: anything}]
    """

    assert problems_of_text(text) == [
        'name: must not hold / or \\, got "a/b"',
        'objective.direction: must be one of minimize, maximize, got "min"',
        'search.x.type: must be one of float, int, categorical, fixed, got "flaot", did you mean `float`?',
        "search.y.low: must be a whole number, got 0.5",
        "search.y.high: must be a whole number, got true",
        "search.lr.low: must be > 0 on a log scale, got 0",
        "search.z.when.w: unknown parameter; known: lr, x, y, z",
        "constraints[0]: unknown parameter `lrr`, did you mean `lr`?",
        'budget.trials: must be a whole number, got "10"',
        "trial.timeout: must be between 1s and 365d, got 0",
        "trial.command[1]: unknown parameter `lrr`, did you mean `lr`?",
        "trial.env.LD_PRELOAD: is set by the runner or would change how it runs: it cannot be set here",
        "comand: unknown field, did you mean `trial.command`?",
    ]
