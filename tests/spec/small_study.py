"""A study to change one thing in."""


def document(**changes) -> dict:
    """A small valid study; keyword arguments replace its top-level fields, `...` removes one."""
    data = {
        "name": "small",
        "objective": {"metric": "loss", "direction": "minimize"},
        "search": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
        "budget": {"trials": 8},
        "trial": {"command": ["train", "--x={x}"]},
        **changes,
    }
    return {key: value for key, value in data.items() if value is not ...}


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
"""A study with a parameter of each kind."""


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
