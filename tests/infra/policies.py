"""Whether IAM policies allow a call, as IAM decides within one account: one Allow, and no Deny.

Knows what the policies of this project use, and refuses everything else instead of guessing: a policy that it half
understands would pass tests that mean nothing.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

Context = Mapping[str, "str | bool | int | Iterable[str]"]

KNOWN_FIELDS = {"Sid", "Effect", "Action", "Resource", "Condition", "Principal"}


def allows(
    policy_documents: Iterable[Mapping], action: str, resource: str, context: Context | None = None
) -> bool:
    """Whether the documents together allow an action on a resource.

    Args:
        policy_documents: identity policies of the caller, and policies of the resource that hold for everybody.
        action: such as `s3:PutObject`; case does not matter.
        resource: ARN, or `*` for actions that know no resources.
        context: condition keys of the call → value or values; a key that is left out is absent. Case of keys does not
            matter.

    Raises:
        ValueError: a document uses something that is not known here.
    """
    given = {key.lower(): _texts(value) for key, value in (context or {}).items()}
    effects = {
        statement["Effect"]
        for statement in statements(policy_documents)
        if _applies(statement, action, resource, given)
    }
    return effects == {"Allow"}


def statements(policy_documents: Iterable[Mapping]) -> Iterator[Mapping]:
    """All statements of the documents.

    Raises:
        ValueError: one uses a field that is not known here.
    """
    for document in policy_documents:
        for statement in as_list(document["Statement"]):
            if unknown := set(statement) - KNOWN_FIELDS:
                raise ValueError(f"{statement}: {unknown} is not understood")
            if statement.get("Principal", "*") != "*":
                raise ValueError(f"{statement}: only policies for everybody are understood")
            yield statement


def as_list(value) -> list:
    """IAM writes a single value without its list."""
    return list(value) if isinstance(value, list) else [value]


def _applies(statement: Mapping, action: str, resource: str, given: Mapping[str, list[str]]) -> bool:
    # All conditions are looked at, so that one that is not understood is never skipped.
    conditions = [
        _holds(operator, given.get(key.lower()), _texts(as_list(wanted)))
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    ]
    return (
        any(_glob(pattern.lower(), action.lower()) for pattern in as_list(statement["Action"]))
        and any(_glob(pattern, resource) for pattern in as_list(statement["Resource"]))
        and all(conditions)
    )


def _holds(operator: str, values: list[str] | None, wanted: list[str]) -> bool:
    """Whether a condition holds for the values of its key, None if the call has no such key."""
    if operator == "Null":
        return (values is None) == (wanted == ["true"])
    quantifier, _, name = operator.rpartition(":")
    positive = name.removesuffix("IfExists")
    negated = positive in _NEGATED
    test = _OPERATORS.get(_NEGATED.get(positive, positive))
    if test is None or quantifier not in {"", "ForAllValues", "ForAnyValue"}:
        raise ValueError(f"condition operator {operator} is not understood")

    def fits(value: str) -> bool:
        return any(test(value, each) for each in wanted) != negated

    if quantifier == "ForAllValues":
        return all(fits(value) for value in values or ())
    if quantifier == "ForAnyValue":
        return any(fits(value) for value in values or ())
    if values is None:
        return negated or name.endswith("IfExists")
    if len(values) != 1:
        raise ValueError(f"condition operator {operator} compares one value, got {values}")
    return fits(values[0])


def _glob(pattern: str, text: str) -> bool:
    if "${" in pattern:
        raise ValueError(f"policy variables are not understood: {pattern}")
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _texts(value) -> list[str]:
    values = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    return [str(each).lower() if isinstance(each, bool) else str(each) for each in values]


_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}
_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringLike": lambda value, wanted: _glob(wanted, value),
    "ArnEquals": lambda value, wanted: _glob(wanted, value),  # IAM treats both alike
    "ArnLike": lambda value, wanted: _glob(wanted, value),
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
    "NumericEquals": lambda value, wanted: float(value) == float(wanted),
    "NumericLessThanEquals": lambda value, wanted: float(value) <= float(wanted),
}
