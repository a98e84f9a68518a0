"""Constraints between parameters: a small expression grammar, read once and walked without ever running Python code.

    expression  a or b, a and b, not a, comparisons with chains (0 < x <= y), == and != and in for text
    arithmetic  + - * / **, unary minus, parentheses, min max abs log exp sqrt, in floating point
    operands    numbers, names of parameters, "text", true or false, null

What cannot be computed (division by zero, overflow, logarithm of 0) does not hold. A constraint that names an inactive
parameter holds.
"""

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from hpo_tasks.errors import Problem, SpecError
from hpo_tasks.spec.model import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Scalar,
    UnreadParameter,
    same,
)
from hpo_tasks.spec.secret_shapes import secret_shape
from hpo_tasks.spec.sentences import did_you_mean, shown

MAX_CHARACTERS = 500
MAX_DEPTH = 100
MAX_NUMBER = 1e300
MAX_SHOWN = 60

WORDS: Mapping[str, Scalar] = {"true": True, "false": False, "null": None}
"""Names that a constraint reads as values, so no parameter may have them."""

Kind = Literal["number", "text", "truth", "any"]
Values = Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Constraint:
    """One constraint, ready to be checked.

    Attributes:
        text: as the user wrote it.
        names: parameters that it mentions.
    """

    text: str
    names: frozenset[str]
    _expression: "_Expression"

    def holds(self, params: Values) -> bool:
        """Whether the configuration satisfies the constraint.

        Args:
            params: values of the active parameters by name. A name without a value is inactive: the constraint holds.
        """
        if not self.names <= params.keys():
            return True
        try:
            return self._expression.value(params) is True
        except (ArithmeticError, ValueError, TypeError):
            return False


@dataclass(frozen=True, slots=True)
class _Expression:
    kind: Kind
    value: Callable[[Values], Scalar]


class _Refused(Exception):  # noqa: N818 - a message on its way to a SpecError, never seen outside
    """The text is outside the grammar."""


def compile_constraint(text: str, kinds: Mapping[str, Kind] | None = None) -> Constraint:
    """Read a constraint.

    Args:
        text: e.g. `learning_rate * 100 + rate_drop <= 20`.
        kinds: kind of every parameter that may be named (see `kind_of`); None: any name of any kind.

    Raises:
        SpecError: outside the grammar, an unknown name, or text where a number belongs.
    """
    try:
        reader = _Reader(kinds)
        expression = reader.whole(text)
        return Constraint(text, frozenset(reader.names), expression)
    except _Refused as error:
        raise SpecError([Problem("", str(error))]) from None


def kind_of(
    parameter: FloatParameter | IntParameter | CategoricalParameter | FixedParameter | UnreadParameter,
) -> Kind:
    """What a constraint may do with the parameter: compute with a number, compare a text, ask a truth."""
    match parameter:
        case FloatParameter() | IntParameter():
            return "number"
        case CategoricalParameter(choices=choices):
            kinds = {_kind_of_scalar(choice) for choice in choices}
            return kinds.pop() if len(kinds) == 1 else "any"
        case FixedParameter(value=value):
            return _kind_of_scalar(value)
    return "any"


def _kind_of_scalar(value: Scalar) -> Kind:
    if value is None:
        return "any"
    if isinstance(value, bool):
        return "truth"
    return "text" if isinstance(value, str) else "number"


def _parsed(text: str) -> ast.expr:
    if len(text) > MAX_CHARACTERS:
        raise _Refused(f"must be at most {MAX_CHARACTERS} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns about what we refuse anyway, e.g. `1 is 2`
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _Refused(f"is not an expression: {shown(text)}; write e.g. x + y <= 1") from None


def _number(value: Scalar) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise OverflowError
    return value


# math.pow, not **: it stays in floating point and raises where ** would make a complex number or fill the memory.
_BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
}
_FUNCTIONS: Mapping[str, tuple[Callable[..., float], int]] = {
    "min": (min, 2),
    "max": (max, 2),
    "abs": (abs, 1),
    "log": (math.log, 1),
    "exp": (math.exp, 1),
    "sqrt": (math.sqrt, 1),
}
_ORDER: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def _source(node: ast.expr) -> str:
    """Part of the expression for a message: short, and never a secret."""
    text = ast.unparse(node)
    return shown(text) if secret_shape(text) or len(text) > MAX_SHOWN else text


def _not_allowed(node: ast.expr) -> _Refused:
    return _Refused(
        f"{_source(node)} is not allowed: use numbers, parameters, + - * / **, comparisons, "
        f"and, or, not, in, {', '.join(_FUNCTIONS)}"
    )


class _Reader:
    """Turns Python's syntax tree into closures, refusing every node that is not in the grammar."""

    def __init__(self, kinds: Mapping[str, Kind] | None) -> None:
        self.kinds = kinds
        self.names: set[str] = set()

    def whole(self, text: str) -> _Expression:
        """The expression of a constraint: something that is true or false."""
        expression = self.read(_parsed(text), depth=0)
        if expression.kind not in ("truth", "any"):
            raise _Refused(f"must compare something, e.g. {shown(text + ' <= 1')}")
        return expression

    def read(self, node: ast.expr, depth: int) -> _Expression:
        if depth > MAX_DEPTH:
            raise _Refused(f"is nested deeper than {MAX_DEPTH} levels")
        match node:
            case ast.Constant(value=value):
                found = self._constant(value)
            case ast.Name(id=name):
                found = self._name(name)
            case ast.UnaryOp(op=op, operand=operand):
                found = self._unary(op, operand, depth)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                found = self._binary(_BINARY[type(op)], left, right, depth)
            case ast.BoolOp(op=op, values=operands):
                found = self._joined(op, operands, depth)
            case ast.Compare(left=left, ops=ops, comparators=rest):
                found = self._chain([left, *rest], ops, depth)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                found = self._call(name, arguments, depth)
            case _:
                raise _not_allowed(node)
        return found

    def _constant(self, value: object) -> _Expression:
        if isinstance(value, bool | str) or value is None:
            return _Expression(_kind_of_scalar(value), lambda _: value)
        if not isinstance(value, int | float):
            raise _Refused(f"a {type(value).__name__} is not allowed: use numbers and text")
        if abs(value) > MAX_NUMBER:
            raise _Refused(f"a number is beyond {MAX_NUMBER:g}")
        constant = float(value)
        return _Expression("number", lambda _: constant)

    def _name(self, name: str) -> _Expression:
        if name in WORDS:
            word = WORDS[name]
            return _Expression(_kind_of_scalar(word), lambda _: word)
        if self.kinds is None or name in self.kinds:
            self.names.add(name)
            return _Expression("any" if self.kinds is None else self.kinds[name], lambda values: values[name])
        raise _Refused(f"unknown parameter `{name[:60]}`{did_you_mean(name, self.kinds)}")

    def _arithmetic(self, node: ast.expr, depth: int) -> Callable[[Values], float]:
        inner = self.read(node, depth + 1)
        if inner.kind not in ("number", "any"):
            raise _Refused(f"{_source(node)} is {_KIND_WORDS[inner.kind]}, not a number")
        return lambda values: _number(inner.value(values))

    def _truth(self, node: ast.expr, depth: int) -> Callable[[Values], bool]:
        inner = self.read(node, depth + 1)
        if inner.kind not in ("truth", "any"):
            raise _Refused(f"{_source(node)} is {_KIND_WORDS[inner.kind]}: compare it with something")

        def value(values: Values) -> bool:
            found = inner.value(values)
            if not isinstance(found, bool):
                raise TypeError
            return found

        return value

    def _unary(self, op: ast.unaryop, operand: ast.expr, depth: int) -> _Expression:
        if isinstance(op, ast.Not):
            truth = self._truth(operand, depth)
            return _Expression("truth", lambda values: not truth(values))
        if isinstance(op, ast.Invert):
            raise _not_allowed(operand)
        sign = -1.0 if isinstance(op, ast.USub) else 1.0
        inner = self._arithmetic(operand, depth)
        return _Expression("number", lambda values: sign * inner(values))

    def _joined(self, op: ast.boolop, operands: list[ast.expr], depth: int) -> _Expression:
        truths = [self._truth(operand, depth) for operand in operands]
        join = all if isinstance(op, ast.And) else any
        return _Expression("truth", lambda values: join(truth(values) for truth in truths))

    def _binary(
        self, function: Callable[[float, float], float], left: ast.expr, right: ast.expr, depth: int
    ) -> _Expression:
        first, second = self._arithmetic(left, depth), self._arithmetic(right, depth)
        return _Expression("number", lambda values: _finite(function(first(values), second(values))))

    def _call(self, name: str, arguments: list[ast.expr], depth: int) -> _Expression:
        if name not in _FUNCTIONS:
            raise _Refused(f"unknown function `{name[:60]}`{did_you_mean(name, _FUNCTIONS)}")
        function, least = _FUNCTIONS[name]
        if len(arguments) < least or (least == 1 and len(arguments) > 1):
            raise _Refused(
                f"{name} takes {'one value' if least == 1 else 'two or more values'}, got {len(arguments)}"
            )
        inner = [self._arithmetic(argument, depth) for argument in arguments]
        return _Expression(
            "number", lambda values: _finite(float(function(*(value(values) for value in inner))))
        )

    def _chain(self, operands: list[ast.expr], ops: list[ast.cmpop], depth: int) -> _Expression:
        links = [
            self._comparison(left, op, right, depth)
            for left, op, right in zip(operands, ops, operands[1:], strict=False)
        ]
        return _Expression("truth", lambda values: all(link(values) for link in links))

    def _comparison(
        self, left: ast.expr, op: ast.cmpop, right: ast.expr, depth: int
    ) -> Callable[[Values], bool]:
        if type(op) in _ORDER:
            compare = _ORDER[type(op)]
            first, second = self._arithmetic(left, depth), self._arithmetic(right, depth)
            return lambda values: compare(first(values), second(values))
        if isinstance(op, ast.Eq | ast.NotEq):
            return self._equality(left, [right], depth, wanted=isinstance(op, ast.Eq))
        if isinstance(op, ast.In | ast.NotIn) and isinstance(right, ast.Tuple | ast.List):
            return self._equality(left, right.elts, depth, wanted=isinstance(op, ast.In))
        raise _Refused(f"{_source(left)} … {_source(right)}: compare with < <= > >= == != or in [a, b]")

    def _equality(
        self, left: ast.expr, rights: list[ast.expr], depth: int, *, wanted: bool
    ) -> Callable[[Values], bool]:
        first = self.read(left, depth + 1)
        others = [self.read(right, depth + 1) for right in rights]
        for other, node in zip(others, rights, strict=True):
            if "any" not in (first.kind, other.kind) and first.kind != other.kind:
                raise _Refused(
                    f"{_source(left)} is {_KIND_WORDS[first.kind]} and {_source(node)} is "
                    f"{_KIND_WORDS[other.kind]}: they are never equal"
                )

        def holds(values: Values) -> bool:
            value = first.value(values)
            return any(same(value, other.value(values)) for other in others) is wanted

        return holds


_KIND_WORDS: Mapping[Kind, str] = {
    "number": "a number",
    "text": "text",
    "truth": "true or false",
    "any": "anything",
}
