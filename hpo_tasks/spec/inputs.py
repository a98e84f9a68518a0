"""`trial.inputs`: where a study's data lies, with the run's data interval filled in."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from hpo_tasks.errors import Problem, SpecError
from hpo_tasks.spec.model import StudySpec
from hpo_tasks.spec.placeholders import Placeholder, PlaceholderError, fill
from hpo_tasks.spec.sentences import did_you_mean, listed, shown

BUNDLED_DATA = ("iris", "wine", "breast_cancer", "diabetes", "digits")
"""Data sets that ship with scikit-learn: `sklearn:<name>`."""

_INTERVAL = ("data_interval_start", "data_interval_end")
_DIRECTIVES = "YmdHMSyjGVu%"  # numbers only: names of months depend on the machine's language
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SAMPLE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def render_inputs(
    spec: StudySpec,
    *,
    data_interval_start: datetime,
    data_interval_end: datetime,
    data_root: Path | None = None,
) -> dict[str, str]:
    """Fill the run's data interval into the study's inputs.

    Args:
        spec: the study.
        data_interval_start: begin of the interval, with a time zone; filled in as the study's `timezone` has it.
        data_interval_end: its end.
        data_root: folder below which relative paths lie (`HPO_DATA`).

    Returns: input name → absolute path, `file://` or `s3://` address, or `sklearn:<name>`.

    Raises:
        SpecError: relative paths without a `data_root`.
        ValueError: a moment without a time zone.
    """
    if data_interval_start.tzinfo is None or data_interval_end.tzinfo is None:
        raise ValueError("data_interval_start and data_interval_end need a time zone")
    zone = ZoneInfo(spec.timezone)
    moments = {
        "data_interval_start": data_interval_start.astimezone(zone),
        "data_interval_end": data_interval_end.astimezone(zone),
    }
    rendered = {name: _filled(template, moments) for name, template in spec.trial.inputs.items()}
    relative = [name for name, uri in rendered.items() if _is_relative(uri)]
    if relative and data_root is None:
        raise SpecError(
            [
                Problem(
                    f"trial.inputs.{name}",
                    f"{shown(rendered[name])} is a relative path, and HPO_DATA is not set: set it to the folder that "
                    "holds the data, or write an absolute path",
                )
                for name in relative
            ]
        )
    return {
        name: str(data_root / uri) if data_root and name in relative else uri
        for name, uri in rendered.items()
    }


def input_misfit(template: str) -> str:
    """Why the text cannot be an input's address, as a sentence; "" if it can."""
    try:
        uri = _filled(template, dict.fromkeys(_INTERVAL, _SAMPLE))
    except PlaceholderError as error:
        return str(error)
    return uri_misfit(uri)


def uri_misfit(uri: str) -> str:
    """Why the text is not an address of data, as a sentence; "" if it is."""
    if not uri.strip() or not uri.isprintable():
        return f"must be an address of printable characters, got {shown(uri)}"
    if uri.startswith("s3://"):
        return s3_misfit(uri)
    if uri.startswith("sklearn:"):
        name = uri.removeprefix("sklearn:")
        unknown = f"unknown data set {shown(name)}{did_you_mean(name, BUNDLED_DATA)}"
        return "" if name in BUNDLED_DATA else unknown
    if uri.startswith("arn:") or ("://" in uri and not uri.startswith("file:///")):
        return f"must be a path, file:///…, s3://bucket/key or sklearn:name ({listed(BUNDLED_DATA)}), got {shown(uri)}"
    return _path_misfit(uri.removeprefix("file://"))


def s3_misfit(uri: str) -> str:
    """Why the text is not an address on S3, as a sentence; "" if it is."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    numeric = re.fullmatch(r"[0-9.]+", bucket)
    if not _BUCKET.fullmatch(bucket) or ".." in bucket or numeric:
        return f"must name a bucket: s3://bucket/key, got {shown(uri)}"
    if re.search(r"[?#;\\]", key) or _climbs(key) or "//" in key:
        return f"must be a plain key: no `..`, empty part, `?`, `#`, `;` or backslash, got {shown(uri)}"
    return ""


def _path_misfit(path: str) -> str:
    if "\\" in path:
        return f"must be a path with `/`, got {shown(path)}"
    if path.startswith("~"):
        return f"must not start with `~`: whose home it means depends on the machine, got {shown(path)}"
    return f"must not leave its folder with `..`, got {shown(path)}" if ".." in path.split("/") else ""


def _climbs(key: str) -> bool:
    return any(part in (".", "..") for part in key.split("/"))


def _is_relative(uri: str) -> bool:
    return not uri.startswith(("/", "s3://", "file://", "sklearn:"))


def _filled(template: str, moments: Mapping[str, datetime]) -> str:
    def moment(placeholder: Placeholder) -> str:
        name, format_ = placeholder.name, placeholder.format
        if name not in moments:
            raise PlaceholderError(f"unknown placeholder `{name[:60]}`{did_you_mean(name, moments)}")
        if not format_:
            raise PlaceholderError(f"`{{{name}}}` needs a format, e.g. {{{name}:%Y-%m-%d}}")
        for directive in re.findall(r"%.?", format_):
            if directive[1:] not in tuple(_DIRECTIVES):
                known = " ".join(f"%{letter}" for letter in _DIRECTIVES)
                raise PlaceholderError(f"`{directive}` is not supported: use {known}")
        return moments[name].strftime(format_)

    return fill(template, moment)
