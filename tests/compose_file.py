"""docker-compose.yaml as Docker reads it: anchors resolved, variables filled in from .env."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?:(?P<operator>:-|:\?)(?P<operand>[^}]*))?\})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the file.

    Attributes:
        name: its name, also its host name.
        settings: everything that the file says about it.
        command: argv.
        environment: name → value, both text.
        volumes: path in the container → source: a path relative to the file, or a volume's name.
        replicas: how many containers of it run.
    """

    name: str
    settings: Mapping[str, Any]

    @property
    def command(self) -> list[str]:
        return [str(word) for word in self.settings.get("command", [])]

    @property
    def environment(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.settings.get("environment", {}).items()}

    @property
    def volumes(self) -> dict[str, str]:
        parts = (volume.split(":") for volume in self.settings.get("volumes", []))
        return {target: source for source, target, *_ in parts}

    @property
    def replicas(self) -> int:
        return int(self.settings.get("deploy", {}).get("replicas", 1))

    @property
    def health_check(self) -> list[str]:
        """argv of its health check."""
        kind, *words = self.settings["healthcheck"]["test"]
        return list(words) if kind == "CMD" else ["sh", "-c", *words]


def read_document(path: Path) -> dict[str, Any]:
    """The file as plain data, with its anchors resolved and its variables as they are written."""
    return YAML(typ="safe", pure=True).load(path)


def read_env(path: Path) -> dict[str, str]:
    """Variables of an .env file."""
    lines = (line for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def read_services(path: Path, variables: Mapping[str, str]) -> dict[str, Service]:
    """The services by name, with all variables filled in.

    Raises:
        LookupError: a variable that the file requires is missing; the file's own message.
    """
    services = filled_in(read_document(path), variables)["services"]
    return {name: Service(name, settings) for name, settings in services.items()}


def filled_in(value: Any, variables: Mapping[str, str]) -> Any:
    """The same data with `${NAME}`, `${NAME:-default}` and `${NAME:?message}` replaced in every text."""

    def one(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        found = variables.get(match["name"], "")
        if not found and match["operator"] == ":?":
            raise LookupError(f"{match['name']}: {match['operand']}")
        return found or (match["operand"] if match["operator"] == ":-" else "")

    if isinstance(value, str):
        return _VARIABLE.sub(one, value)
    if isinstance(value, Mapping):
        return {key: filled_in(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [filled_in(item, variables) for item in value]
    return value
