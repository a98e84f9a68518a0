"""Inputs that lie on S3, brought to the host that runs the job: the program has no credentials, and reads plain files."""

from collections.abc import Mapping
from pathlib import Path

from hpo_tasks.errors import InputError, RefusedError
from hpo_tasks.trial.local_files import plain_errors
from hpo_tasks.trial.objects import open_objects


def fetch_inputs(inputs: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Copy objects on S3 into the folder, which is made for the first one. What is not on S3, and prefixes (`s3://bucket/prefix/`), stay as they are.

    Returns: name → local path or address.

    Raises:
        InputError: an object is not there or not to be read, or its address is none.
        UnavailableError: S3, or this host's disk.
    """
    found = dict(inputs)
    for number, (name, uri) in enumerate(inputs.items()):
        if not uri.startswith("s3://") or uri.endswith("/"):
            continue
        parent, _, file = uri.rpartition("/")
        target = folder / str(number) / file
        with plain_errors(folder):
            target.parent.mkdir(parents=True)
        try:
            is_there = open_objects(parent).download(file, target)
        except RefusedError as error:  # the same in every attempt
            raise InputError(f"input {name}: {error}") from None
        if not is_there:
            raise InputError(f"input {name}: there is no {uri}, or the job's role may not read it")
        found[name] = str(target)
    return found
