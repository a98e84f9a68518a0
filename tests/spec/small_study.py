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
