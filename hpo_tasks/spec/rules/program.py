"""What a trial runs: exactly one program, its argv template, its metrics, its code, its inputs."""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from hpo_tasks.errors import Problem
from hpo_tasks.spec.inputs import input_misfit, s3_misfit
from hpo_tasks.spec.model import CategoricalParameter, Code, FixedParameter, MetricPattern, StudySpec
from hpo_tasks.spec.placeholders import Placeholder, PlaceholderError, split
from hpo_tasks.spec.rules.objective import metric_misfit
from hpo_tasks.spec.rules.optimizer import IMPORT_PATH
from hpo_tasks.spec.search_space import Search
from hpo_tasks.spec.sentences import did_you_mean, listed, shown

MAX_REGEX_CHARACTERS = 256

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def program_problems(spec: StudySpec) -> Iterator[Problem]:
    """Exactly one program, and only the fields that belong to it."""
    trial = spec.trial
    given = [kind for kind in ("trainer", "entry_point", "command") if getattr(trial, kind) is not None]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        yield Problem("trial", f"must have exactly one of trainer, entry_point, command, got {got}")
        return
    kind = given[0]
    if kind != "trainer" and trial.options:
        yield Problem("trial.options", f"are the trainers' options: a {kind} has none")
    if kind != "command" and trial.metrics:
        yield Problem("trial.metrics", f"read the output of a command: a {kind} reports its metrics itself")
    if kind == "trainer" and trial.code is not None:
        yield Problem("trial.code", "a trainer needs no code of yours")
    if kind == "trainer" and trial.model_dir is not None:
        yield Problem("trial.model_dir", "a trainer keeps its model by itself")
    if trial.entry_point is not None and not IMPORT_PATH.fullmatch(trial.entry_point):
        yield Problem("trial.entry_point", f"must be module:callable, got {shown(trial.entry_point)}")
    yield from _preload_problems(trial.preload, kind)
    yield from _model_dir_problems(trial.model_dir, clean=trial.clean_model_dir)
    if trial.resources.threads == 0:
        yield Problem(
            "trial.resources.threads", "must be at least 1, or -1 for all processors of the slot, got 0"
        )


def _preload_problems(modules: tuple[str, ...], kind: str) -> Iterator[Problem]:
    if modules and kind == "command":
        yield Problem("trial.preload", "loads modules for an entry_point: a command is a program of its own")
    if modules and kind == "trainer":
        yield Problem(
            "trial.preload", "is not needed: the libraries of a trainer are loaded before its trials"
        )
    for name in modules:
        if not _MODULE.fullmatch(name):
            yield Problem("trial.preload", f"must be names of modules, got {shown(name)}")


def _model_dir_problems(folder: str | None, *, clean: bool) -> Iterator[Problem]:
    if folder is not None and (message := _relative_misfit(folder)):
        yield Problem("trial.model_dir", message)
    if clean and folder is None:
        yield Problem("trial.clean_model_dir", "needs model_dir: it says which folder to empty")


def _relative_misfit(path: str) -> str:
    """Why the text is not a folder below the working directory."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith(("/", "~")) or ".." in parts or "\\" in path or not path.isprintable():
        return f"must be a folder below the working directory, got {shown(path)}"
    return ""


def command_problems(spec: StudySpec) -> Iterator[Problem]:
    """The argv template: placeholders of known parameters, and no value that could pass for an option."""
    after_dashes = False
    for index, element in enumerate(spec.trial.command or ()):
        field = f"trial.command[{index}]"
        try:
            parts = split(element)
        except PlaceholderError as error:
            yield Problem(field, str(error))
            continue
        names = [part.name for part in parts if isinstance(part, Placeholder)]
        if index == 0 and (not element.strip() or names):
            yield Problem(field, "must be the program to run, without placeholders")
            continue
        yield from _placeholder_problems(field, parts, spec.search)
        if not after_dashes and (problem := _option_injection(parts, spec.search)):
            yield Problem(field, problem)
        after_dashes = after_dashes or element == "--"


def _placeholder_problems(
    field: str, parts: Sequence[str | Placeholder], search: Search
) -> Iterator[Problem]:
    for part in parts:
        if isinstance(part, str):
            continue
        if part.format:
            yield Problem(
                field, f"`{{{part.name}:{part.format}}}` is not a placeholder: write {{{part.name}}}"
            )
        elif part.name not in search:
            yield Problem(field, f"unknown parameter `{part.name[:60]}`{did_you_mean(part.name, search)}")


def _option_injection(parts: Sequence[str | Placeholder], search: Search) -> str:
    """An element that begins with a value: the program would take a text such as `--help` for an option."""
    for part in parts:
        if isinstance(part, str):
            return ""
        texts = _texts(search, part.name)
        if dashed := next((text for text in texts if text.startswith("-")), None):
            return (
                f"{{{part.name}}} can be {shown(dashed)}, which the program would take for an option: "
                f'write "--{part.name}={{{part.name}}}", or put "--" before it'
            )
        if "" not in texts:
            return ""
    return ""


def _texts(search: Search, name: str) -> list[str]:
    match search.get(name):
        case CategoricalParameter(choices=choices):
            return [choice for choice in choices if isinstance(choice, str)]
        case FixedParameter(value=str() as value):
            return [value]
    return []


def pattern_problems(spec: StudySpec) -> Iterator[Problem]:
    """Patterns that read metrics from the output: RE2, one group, one for each metric."""
    names: list[str] = []
    for index, pattern in enumerate(spec.trial.metrics):
        field = f"trial.metrics[{index}]"
        if message := metric_misfit(pattern.name):
            yield Problem(f"{field}.name", message)
        elif pattern.name in names:
            yield Problem(f"{field}.name", f"`{pattern.name}` has a pattern already")
        names.append(pattern.name)
        if message := _regex_misfit(pattern):
            yield Problem(f"{field}.regex", message)


def _regex_misfit(pattern: MetricPattern) -> str:
    import re2  # noqa: PLC0415 - only the few studies with patterns need it

    if len(pattern.regex) > MAX_REGEX_CHARACTERS:
        return f"must be at most {MAX_REGEX_CHARACTERS} characters, got {len(pattern.regex)}"
    options = re2.Options()
    options.log_errors = False
    try:
        groups: int = re2.compile(pattern.regex, options).groups
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        return f"is not an RE2 pattern: {reason[:100]}"
    if groups != 1:
        return f"must have one group, the metric's value, e.g. rmse=([0-9.]+), got {groups}"
    if _repeats_its_group(pattern.regex):
        return "repeats a group: put the repetition inside it, e.g. ([0-9.]+), or the group keeps its last part only"
    return ""


def _repeats_its_group(regex: str) -> bool:
    """Whether the one capturing group is inside a repetition, as in `(a+)+`. The regex is known to compile."""
    capturing: list[bool] = []  # for each open group: whether it captures, or holds a group that does
    for token in re.finditer(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?:\?P?<\w+>|\?[\w-]*:?)?|\)[*+{]?", regex):
        if token[0].startswith("("):
            capturing.append(token[0] == "(" or "<" in token[0])
        elif token[0].startswith(")"):
            holds_group = capturing.pop() if capturing else False
            if holds_group and len(token[0]) > 1:
                return True
            if holds_group and capturing:
                capturing[-1] = True
    return False


_HOST = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_GIT = re.compile(r"https://(?P<host>[^/?#]+)(?P<path>/[A-Za-z0-9._~/-]+)")


def code_problems(spec: StudySpec) -> Iterator[Problem]:
    """Where the program comes from: exactly one source, well-formed, and one that the backend can fetch."""
    code = spec.trial.code
    if code is None:
        return
    source = "git" if code.git is not None else "archive" if code.archive is not None else "dir"
    if (code.git is not None and code.archive is not None) or (
        code.git is None and code.archive is None and code.dir is None
    ):
        yield Problem("trial.code", "must have exactly one of dir, git, archive")
        return
    found = {"git": _git_problems, "archive": _archive_problems, "dir": _dir_problems}[source](code)
    yield from (Problem(f"trial.code.{problem.field}", problem.message) for problem in found)
    if source != "dir":
        yield Problem(
            f"trial.code.{source}", f"the {spec.backend.type} backend takes `dir` only in this release"
        )


def _git_problems(code: Code) -> Iterator[Problem]:
    found = _GIT.fullmatch(code.git or "")
    if found is None or not _HOST.fullmatch(found["host"]) or "xn--" in found["host"]:
        yield Problem(
            "git",
            "must be https://host/path with a plain host name: no user, port, query, or address of numbers",
        )
    elif ".." in found["path"].split("/") or "/-" in found["path"]:
        yield Problem("git", "must be a plain path to a repository")
    if not re.fullmatch(r"[0-9a-f]{40}", code.ref or ""):
        yield Problem("ref", "must be a full commit id of 40 hexadecimal digits: a branch or tag can move")
    if code.dir is not None and (message := _relative_misfit(code.dir)):
        yield Problem("dir", message.replace("the working directory", "the repository"))
    if code.install is not None and (not code.install or not code.install[0].strip()):
        yield Problem("install", "must be a list such as [bash, install.sh]")


def _archive_problems(code: Code) -> Iterator[Problem]:
    if not (code.archive or "").startswith("s3://"):
        yield Problem("archive", "must be s3://bucket/key")
    elif message := s3_misfit(code.archive or ""):
        yield Problem("archive", message)
    for field in ("dir", "ref", "install"):
        if getattr(code, field) is not None:
            yield Problem(field, "belongs to git: an archive is unpacked as it is")


def _dir_problems(code: Code) -> Iterator[Problem]:
    if not (code.dir or "").strip() or "\\" in (code.dir or "") or not (code.dir or "").isprintable():
        yield Problem("dir", f"must be a folder's path, got {shown(code.dir)}")
    for field in ("ref", "install"):
        if getattr(code, field) is not None:
            yield Problem(field, "belongs to git: a folder is copied as it is")


def input_problems(spec: StudySpec) -> Iterator[Problem]:
    """Addresses of the inputs, with the data interval filled in."""
    for name, template in spec.trial.inputs.items():
        if message := input_misfit(template):
            yield Problem(f"trial.inputs.{name}", message)


def trainer_input_problems(spec: StudySpec) -> Iterator[Problem]:
    """A trainer reads `train`, and `valid` if there is one."""
    if spec.trial.trainer is None:
        return
    if "train" not in spec.trial.inputs:
        yield Problem("trial.inputs.train", "missing: the table to train on, e.g. train.parquet")
    for name in spec.trial.inputs:
        if name not in ("train", "valid"):
            yield Problem(f"trial.inputs.{name}", f"a trainer reads {listed(('train', 'valid'))} only")
