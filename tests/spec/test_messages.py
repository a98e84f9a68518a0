"""A mistake in a study file and the very line that its user sees."""

import pytest

STUDY = """
name: small
objective: {metric: loss, direction: minimize}
search:
  x: {type: float, low: 0, high: 1}
  mode: {type: categorical, choices: [fast, slow, "--dry-run"]}
  depth: {type: int, low: 1, high: 9}
  seed: {type: fixed, value: 3}
budget: {trials: 8}
trial: {command: [train, "--x={x}"]}
"""

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
    ("max_rounds: 51", "max_rounds: must be at most 50, got 51"),
    ("batch_size: 0", "batch_size: must be at least 1, got 0"),
    ("batch_size: 1025", "batch_size: must be at most 1000, got 1025"),
    ("batch_size: true", "batch_size: must be a whole number, got true"),
    ("keep: {days: 0}", "keep.days: must be at least 1, got 0"),
    ("keep: {models: bset}", 'keep.models: must be one of best, all, none, got "bset", did you mean `best`?'),
    ("keep: {day: 3}", "keep.day: unknown field, did you mean `days`?"),
    ("backend: {type: 'aws_batch; drop'}", 'backend.type: must be local, got "aws_batch; drop"'),
    ("backend: {slots: 2}", "backend.type: missing: must be local"),
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

PARAMETER = [
    ("{type: float, low: 0, high: 1, log: true}", "search.p.low: must be > 0 on a log scale, got 0"),
    ("{type: float, low: 2, high: 1}", "search.p.low: must be below high = 1, got 2"),
    (
        "{type: float, low: 1, high: 1}",
        "search.p.low: must be below high, got 1 for both: write {type: fixed, value: 1}",
    ),
    ("{type: float, low: .nan, high: .nan}", "search.p.low: must be a finite number, got nan\nsearch.p.high: must be a finite number, got nan"),
    ("{type: float, low: 0, high: .inf}", "search.p.high: must be a finite number, got inf"),
    ("{type: float, low: 0, high: 1e400}", "search.p.high: must be a finite number, got inf"),
    ("{type: float, low: -1e308, high: 1e308}", "search.p.low: the range from -1e+308 to 1e+308 is too wide to compute with"),
    ("{type: float, low: true, high: 2}", "search.p.low: must be a number, got true"),
    ("{type: float, low: NaN, high: 2}", 'search.p.low: must be a number, got "NaN"'),
    ("{type: float, low: '0', high: 2}", 'search.p.low: must be a number, got "0"'),
    ("{type: float, high: 2}", "search.p.low: missing"),
    ("{type: float, low: 1, high: 9, log: true, step: 1}", "search.p.step: cannot be used with log"),
    ("{type: float, low: 0, high: 1, step: 0}", "search.p.step: must be > 0, got 0"),
    ("{type: float, low: 0, high: 1, step: 2}", "search.p.step: must be at most high - low = 1, got 2"),
    ("{type: float, low: 0, high: 1, step: 1e-320}", "search.p.step: is too small for the range: more than 1e+09 steps, got 1e-320"),
    ("{type: float, low: 0, high: 1, step: .1, points: 3}", "search.p.points: cannot be used with step: give one of them"),
    ("{type: float, low: 0, high: 1, points: 1}", "search.p.points: must be at least 2, got 1"),
    ("{type: int, low: 0.5, high: 3}", "search.p.low: must be a whole number, got 0.5"),
    ("{type: int, low: true, high: 3}", "search.p.low: must be a whole number, got true"),
    ("{type: int, low: 0, high: 3, log: true}", "search.p.low: must be > 0 on a log scale, got 0"),
    ("{type: int, low: 1, high: 9, log: true, step: 2}", "search.p.step: cannot be used with log"),
    ("{type: int, low: 1, high: 9, step: 0}", "search.p.step: must be at least 1, got 0"),
    ("{type: int, low: 1, high: 9, step: 9}", "search.p.step: must be at most high - low = 8, got 9"),
    (
        "{type: int, low: 0, high: 9007199254740993}",
        "search.p.high: must be within ±2^53 = 9007199254740992, got 9007199254740993: larger numbers are not stored exactly",
    ),
    ("{type: int, low: 0, high: 1000000000000000000}", "search.p.high: must have at most 18 digits (if it is text, put it in quotes)"),
    ("{type: categorical, choices: []}", "search.p.choices: must hold at least 1, got 0"),
    ("{type: categorical, choices: fast}", 'search.p.choices: must be a list, got "fast"'),
    ("{type: categorical, choices: [a, a]}", 'search.p.choices[1]: "a" is there already, as choices[0]'),
    ("{type: categorical, choices: [1, 1.0]}", "search.p.choices[1]: 1 is there already, as choices[0]"),
    (
        "{type: categorical, choices: [1, true]}",
        "search.p.choices[1]: true cannot be told from 1 (choices[0]) by the sampler: use text",
    ),
    (
        "{type: categorical, choices: [0, x, false]}",
        "search.p.choices[2]: false cannot be told from 0 (choices[0]) by the sampler: use text",
    ),
    (
        "{type: categorical, choices: [a, {b: 1}]}",
        "search.p.choices[1]: must be text, a finite number, true, false or null, got a mapping",
    ),
    (
        "{type: categorical, choices: [a, [b]]}",
        "search.p.choices[1]: must be text, a finite number, true, false or null, got a list",
    ),
    ("{type: categorical, choice: [a]}", "search.p.choices: missing\nsearch.p.choice: unknown field, did you mean `choices`?"),
    ("{type: fixed}", "search.p.value: missing"),
    ("{type: fixed, value: [1]}", "search.p.value: must be text, a finite number, true, false or null, got a list"),
    ("{type: flaot, low: 0}", 'search.p.type: must be one of float, int, categorical, fixed, got "flaot", did you mean `float`?'),
    ("{type: 3}", "search.p.type: must be one of float, int, categorical, fixed, got 3"),
    ("{type: unread}", 'search.p.type: must be one of float, int, categorical, fixed, got "unread"'),
    ("{low: 0, high: 1}", "search.p.type: missing: must be one of float, int, categorical, fixed"),
    ("0.1", "search.p: must be a mapping with a type (float, int, categorical, fixed), got 0.1"),
    ("{type: float, low: 0, high: 1, loog: true}", "search.p.loog: unknown field, did you mean `log`?"),
    ("{type: float, low: 0, high: 1, choices: [1]}", "search.p.choices: unknown field; known: when, type, low, high, log, step, points"),
    ("{type: fixed, value: 1, when: {moed: fast}}", "search.p.when.moed: unknown parameter, did you mean `mode`?"),
    ("{type: fixed, value: 1, when: {p: 1}}", "search.p.when.p: a parameter cannot depend on itself"),
    (
        "{type: fixed, value: 1, when: {x: 0.5}}",
        "search.p.when.x: a condition can look at categorical, int and fixed parameters, not at a float",
    ),
    ("{type: fixed, value: 1, when: {mode: fsat}}", 'search.p.when.mode: must be one of "fast", "slow", "--dry-run"; got "fsat"'),
    ("{type: fixed, value: 1, when: {mode: [fast, 3]}}", 'search.p.when.mode: must be one of "fast", "slow", "--dry-run"; got 3'),
    ("{type: fixed, value: 1, when: {mode: []}}", "search.p.when.mode: must name at least one value"),
    ("{type: fixed, value: 1, when: {depth: 10}}", "search.p.when.depth: must be between 1 and 9, got 10"),
    ("{type: fixed, value: 1, when: {depth: 2.0}}", "search.p.when.depth: must be a whole number, got 2"),
    ("{type: fixed, value: 1, when: {depth: true}}", "search.p.when.depth: must be a whole number, got true"),
    (
        "{type: fixed, value: 1, when: {mode: fast, depth: 2}}",
        "search.p.when: depth, mode do not depend on one another: a condition may name one chain of parents only",
    ),
    ("{type: fixed, value: 1, when: [mode]}", "search.p.when: must be a mapping (key: value), got a list"),
]  # fmt: skip

CONSTRAINT = [
    ("depht <= 3", "constraints[0]: unknown parameter `depht`, did you mean `depth`?"),
    ("x + depth", 'constraints[0]: must compare something, e.g. "x + depth <= 1"'),
    ("x <", 'constraints[0]: is not an expression: "x <"; write e.g. x + y <= 1'),
    ("x = 1", 'constraints[0]: is not an expression: "x = 1"; write e.g. x + y <= 1'),
    ("", 'constraints[0]: is not an expression: ""; write e.g. x + y <= 1'),
    ("1 < 2", "constraints[0]: must name at least one parameter"),
    ("mode < 3", "constraints[0]: mode is text, not a number"),
    ("mode == 3", "constraints[0]: mode is text and 3 is a number: they are never equal"),
    ("x == 'a'", "constraints[0]: x is a number and 'a' is text: they are never equal"),
    ("x and depth > 1", "constraints[0]: x is a number: compare it with something"),
    ("pow(x, 2) < 1", "constraints[0]: unknown function `pow`; known: min, max, abs, log, exp, sqrt"),
    ("max(x) < 1", "constraints[0]: max takes two or more values, got 1"),
    ("log(x, 2) < 1", "constraints[0]: log takes one value, got 2"),
    ("x < 1e999", "constraints[0]: a number is beyond 1e+300"),
    ("x < 1j", "constraints[0]: a complex is not allowed: use numbers and text"),
    ("x" + " + x" * 200 + " < 1", "constraints[0]: must be at most 500 characters"),
]

REST_OF_STUDY = [
    ("budget: {trials: 0}", "budget.trials: must be at least 1, got 0"),
    ("budget: {trials: -1}", "budget.trials: must be at least 1, got -1"),
    ("budget: {trials: 10.5}", "budget.trials: must be a whole number, got 10.5"),
    ('budget: {trials: "10"}', 'budget.trials: must be a whole number, got "10"'),
    ("budget: {trials: 1000000000}", "budget.trials: must be at most 100000, got 1000000000"),
    (
        "budget: {trials: 100}",
        "budget.trials: must be at most 50 (50 rounds of batch_size 1), got 100: raise batch_size",
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

TRIAL = [
    ("{}", "trial: must have exactly one of trainer, entry_point, command, got none"),
    ("{timeout: 5m}", "trial: must have exactly one of trainer, entry_point, command, got none"),
    (
        "{command: [a], entry_point: 'm:f'}",
        "trial: must have exactly one of trainer, entry_point, command, got entry_point and command",
    ),
    (
        '{command: "python t.py --lr {lr}"}',
        'trial.command: must be a list such as [python, train.py, "--lr={lr}"], got "python t.py --lr {lr}": no shell reads it',
    ),
    ("{command: []}", "trial.command: must hold at least 1, got 0"),
    ("{command: ['']}", "trial.command[0]: must be the program to run, without placeholders"),
    ("{command: ['{mode}']}", "trial.command[0]: must be the program to run, without placeholders"),
    ("{command: [a, 1]}", "trial.command[1]: must be text, got 1 (put it in quotes)"),
    ('{command: [a, "x\\0"]}', "trial.command[1]: must not hold the NUL character"),
    ("{command: [a, '{depht}']}", "trial.command[1]: unknown parameter `depht`, did you mean `depth`?"),
    ("{command: [a, '{x']}", "trial.command[1]: has a lone `{`: write {{ for a literal brace"),
    ("{command: [a, 'x}']}", "trial.command[1]: has a lone `}`: write }} for a literal brace"),
    ("{command: [a, '{}']}", "trial.command[1]: `{}` is not a placeholder: write {name}, or {{ and }} for literal braces"),
    (
        "{command: [a, '{x.__class__}']}",
        "trial.command[1]: `{x.__class__}` is not a placeholder: write {name}, or {{ and }} for literal braces",
    ),
    (
        "{command: [a, '{x[__globals__]}']}",
        "trial.command[1]: `{x[__globals__]}` is not a placeholder: write {name}, or {{ and }} for literal braces",
    ),
    ("{command: [a, '{x!r}']}", "trial.command[1]: `{x!r}` is not a placeholder: write {name}, or {{ and }} for literal braces"),
    ("{command: [a, '{x:>9}']}", "trial.command[1]: `{x:>9}` is not a placeholder: write {x}"),
    (
        "{command: [a, '{mode}']}",
        ('trial.command[1]: {mode} can be "--dry-run", which the program would take for an option: '
        'write "--mode={mode}", or put "--" before it'),
    ),
    ("{entry_point: train}", 'trial.entry_point: must be module:callable, got "train"'),
    ("{entry_point: 'm:f()'}", 'trial.entry_point: must be module:callable, got "m:f()"'),
    ("{command: [a], options: {target: y}}", "trial.options: are the trainers' options: a command has none"),
    (
        "{entry_point: 'm:f', metrics: [{name: loss, regex: 'l=(.*)'}]}",
        "trial.metrics: read the output of a command: a entry_point reports its metrics itself",
    ),
    ("{command: [a], metrics: [{name: loss, regex: 'l=.*'}]}", "trial.metrics[0].regex: must have one group, the metric's value, e.g. rmse=([0-9.]+), got 0"),
    ("{command: [a], metrics: [{name: loss, regex: '(l)=(.*)'}]}", "trial.metrics[0].regex: must have one group, the metric's value, e.g. rmse=([0-9.]+), got 2"),
    ("{command: [a], metrics: [{name: loss, regex: '(l'}]}", "trial.metrics[0].regex: is not an RE2 pattern: missing ): (l"),
    ("{command: [a], metrics: [{name: loss, regex: '(?=a)(l)'}]}", "trial.metrics[0].regex: is not an RE2 pattern: invalid perl operator: (?="),
    (
        "{command: [a], metrics: [{name: loss, regex: '(a+)+$'}]}",
        "trial.metrics[0].regex: repeats a group: put the repetition inside it, e.g. ([0-9.]+), or the group keeps its last part only",
    ),
    ("{command: [a], metrics: [{name: loss, regex: '" + "a" * 300 + "(b)'}]}", "trial.metrics[0].regex: must be at most 256 characters, got 303"),
    ("{command: [a], metrics: [{name: loss}]}", "trial.metrics[0].regex: missing"),
    (
        "{command: [a], metrics: [{name: l, regex: (b)}, {name: l, regex: (b)}]}",
        "trial.metrics[1].name: `l` has a pattern already",
    ),
    ("{command: [a], timeout: 0}", "trial.timeout: must be between 1s and 365d, got 0"),
    ("{command: [a], timeout: 400d}", 'trial.timeout: must be between 1s and 365d, got "400d"'),
    ("{command: [a], timeout: ''}", 'trial.timeout: must be a duration such as 6h, 30m, 1h30m or a number of seconds, got ""'),
    ("{command: [a], timeout: true}", "trial.timeout: must be a duration such as 6h, 30m, 1h30m or a number of seconds, got true"),
    ("{command: [a], timeout: 30m6h}", 'trial.timeout: must be a duration such as 6h, 30m, 1h30m or a number of seconds, got "30m6h"'),
    ("{command: [a], timeout_s: 60}", "trial.timeout_s: unknown field, did you mean `timeout`?"),
    ("{command: [a], attempts: 11}", "trial.attempts: must be at most 10, got 11"),
    ("{command: [a], resources: {memory: 4}}", "trial.resources.memory: must be between 16MiB and 64TiB, got 4 bytes (write a unit, e.g. 4GiB)"),
    ("{command: [a], resources: {memory: 4Gi}}", 'trial.resources.memory: must be a size such as 4GiB, 512MiB or 2GB, got "4Gi"'),
    ("{command: [a], resources: {threads: 0}}", "trial.resources.threads: must be at least 1, or -1 for all processors of the slot, got 0"),
    ("{command: [a], resources: {cpus: 1}}", "trial.resources.cpus: unknown field, did you mean `gpus`?"),
    ("{command: [a], model_dir: ../x}", 'trial.model_dir: must be a folder below the working directory, got "../x"'),
    ("{command: [a], model_dir: /x}", 'trial.model_dir: must be a folder below the working directory, got "/x"'),
    ("{command: [a], clean_model_dir: true}", "trial.clean_model_dir: needs model_dir: it says which folder to empty"),
    ("{command: [a], env: {OMP_NUM_THREADS: 1}}", "trial.env.OMP_NUM_THREADS: must be text, got 1 (put it in quotes)"),
    ("{command: [a], env: {'A B': x}}", "trial.env.A B: an environment variable's name must be letters, digits and _, not begin with a digit"),
    ("{command: [a], env: {HPO_SEED: '1'}}", "trial.env.HPO_SEED: names that begin with HPO_ are set by the runner"),
    ("{command: [a], secrets: {A: {connection: 'a b'}}}", "trial.secrets.A.connection: must be the id of an Airflow connection"),
    ("{command: [a], secrets: {A: my_conn}}", 'trial.secrets.A: must be a mapping (key: value), got "my_conn"'),
    ("{command: [a], env: {A: x}, secrets: {A: {connection: c}}}", "trial.secrets.A: is under trial.env too: keep one of them"),
    ("{command: [a], inputs: {a-b: x, a_b: y}}", "trial.inputs.a_b: and `a-b` would both be HPO_INPUT_A_B: rename one"),
    ("{command: [a], inputs: {'a b': x}}", "trial.inputs.a b: a name must be letters, digits and _ . - (at most 64)"),
    ("{command: [a], inputs: {a: ''}}", 'trial.inputs.a: must be an address of printable characters, got ""'),
    ("{command: [a], inputs: {a: ../x}}", 'trial.inputs.a: must not leave its folder with `..`, got "../x"'),
    ("{command: [a], inputs: {a: ~/x}}", 'trial.inputs.a: must not start with `~`: whose home it means depends on the machine, got "~/x"'),
    (
        "{command: [a], inputs: {a: 'https://[::ffff:7f00:1]/'}}",
        ("trial.inputs.a: must be a path, file:///…, s3://bucket/key or sklearn:name (iris, wine, breast_cancer, diabetes, "
        'digits), got "https://[::ffff:7f00:1]/"'),
    ),
    ("{command: [a], inputs: {a: 'sklearn:irsi'}}", 'trial.inputs.a: unknown data set "irsi", did you mean `iris`?'),
    ("{command: [a], inputs: {a: '{ds}/x'}}", "trial.inputs.a: unknown placeholder `ds`; known: data_interval_start, data_interval_end"),
    (
        "{command: [a], inputs: {a: '{data_interval_start}/x'}}",
        "trial.inputs.a: `{data_interval_start}` needs a format, e.g. {data_interval_start:%Y-%m-%d}",
    ),
    (
        "{command: [a], inputs: {a: '{data_interval_start:%B}'}}",
        "trial.inputs.a: `%B` is not supported: use %Y %m %d %H %M %S %y %j %G %V %u %%",
    ),
    ("{command: [a], inputs: {a: '{data_interval_start:../%Y}'}}", 'trial.inputs.a: must not leave its folder with `..`, got "../2026"'),
    ("{command: [a], code: {}}", "trial.code: must have exactly one of dir, git, archive"),
    ("{command: [a], code: {dir: ''}}", "trial.code.dir: must be a folder's path, got \"\""),
    ("{command: [a], code: {dir: x, ref: y}}", "trial.code.ref: belongs to git: a folder is copied as it is"),
    ("{command: [a], code: {archive: 's3://bucket/c.zip'}}", "trial.code.archive: the local backend takes `dir` only in this release"),
]  # fmt: skip


def changed(text: str) -> str:
    """The small study with a top-level line replaced or added."""
    fields = {line.split(":")[0] for line in text.splitlines()}
    kept = [block for block in _blocks(STUDY) if block.split(":")[0].strip() not in fields]
    return "".join(kept) + text + "\n"


def _blocks(text: str) -> list[str]:
    blocks: list[str] = []
    for line in text.strip().splitlines(keepends=True):
        if line.startswith(" "):
            blocks[-1] += line
        else:
            blocks.append(line)
    return [block if block.endswith("\n") else block + "\n" for block in blocks]


CASES = [
    *TOP_LEVEL,
    *REST_OF_STUDY,
    *((f"schedule: {value}", line) for value, line in SCHEDULE),
    *((f"objective: {value}", line) for value, line in OBJECTIVE),
    *((f"thresholds: {value}", line) for value, line in THRESHOLDS),
    *((f"trial: {value}", line) for value, line in TRIAL),
    *((f'constraints: ["{value}"]', line) for value, line in CONSTRAINT),
]


def test_the_small_study_is_good(problems_of_text):
    assert problems_of_text(STUDY) == []


@pytest.mark.parametrize(("text", "lines"), CASES, ids=[text[:60] for text, _ in CASES])
def test_a_mistake_gives_exactly_these_lines(text, lines, problems_of_text):
    assert problems_of_text(changed(text)) == lines.split("\n")


@pytest.mark.parametrize(("parameter", "lines"), PARAMETER, ids=[text for text, _ in PARAMETER])
def test_a_wrong_parameter_gives_exactly_these_lines(parameter, lines, problems_of_text):
    text = STUDY.replace("  x:", f"  p: {parameter}\n  x:")

    assert problems_of_text(text) == lines.split("\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a b;rm", "a name must be letters, digits and _ (at most 64), not begin with a digit"),
        ("hpo:key", "a name must be letters, digits and _ (at most 64), not begin with a digit"),
        ("1x", "a name must be letters, digits and _ (at most 64), not begin with a digit"),
        ("é", "a name must be letters, digits and _ (at most 64), not begin with a digit"),
        ("e\u0301", "a name must be letters, digits and _ (at most 64), not begin with a digit"),
        ("n" * 65, "a name must be letters, digits and _ (at most 64), not begin with a digit"),
        ("X", "differs from `x` only by case: both would be HPO_PARAM_X"),
        ("true", "is a value in constraints, not a name: use another one"),
    ],
)
def test_parameter_names_are_refused(name, message, problems):
    float_ = {"type": "float", "low": 0, "high": 1}

    assert problems(search={"x": float_, name: float_}) == [f"search.{name}: {message}"]


def test_a_search_without_anything_to_search_is_refused(problems):
    nothing = "search: has nothing to search: at least one parameter must be float, int or categorical"

    assert problems(search={}, trial={"command": ["a"]}) == [nothing]
    assert problems(search={"x": {"type": "fixed", "value": 1}}) == [nothing]
    many = {f"p{index}": {"type": "int", "low": 0, "high": 1} for index in range(201)}
    assert problems(search=many, trial={"command": ["a"]}) == ["search: must hold at most 200, got 201"]
    choices = {"x": {"type": "categorical", "choices": list(range(1001))}}
    assert problems(search=choices) == ["search.x.choices: must hold at most 1000, got 1001"]


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
