"""A mistake in what a trial runs, and the very line that its user sees."""

import pytest
from small_study import changed

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


@pytest.mark.parametrize(("trial", "line"), TRIAL, ids=[trial[:60] for trial, _ in TRIAL])
def test_a_wrong_trial_gives_exactly_this_line(trial, line, problems_of_text):
    assert problems_of_text(changed(f"trial: {trial}")) == [line]
