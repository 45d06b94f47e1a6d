"""Mutants made by rule: correct functions that are planted, each changed at a single place of its source.

Planted faults are chosen by people, who may choose what the harness finds. Mutants are chosen by nobody: the source of
a correct function is parsed, and every rule is applied at every place that it fits, one change at a time:

    operator          + for -, * for /, a minus or a `not` dropped, `and` for `or`
    constant          0, 1, one more, one less; the other bool
    comparison        < for <=, == for !=, > for >=
    branches          the branches of a conditional, or of `np.where`, swapped
    cast              an `astype`, an `asarray` or a `dtype.type` dropped
    statement         an assignment, a guard, a loop or a call dropped
    argument          `axis`, `dtype` or any other keyword argument dropped
    extremum          max for min, argmax for argmin

The originals have no `while` loop, so that no mutant runs for ever. A mutant may equal its original, or raise always;
`logitmus.checking.mutant_score` leaves these out.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from logitmus.cases.planted.numpy import correct, loss
from logitmus.cases.planted.zoo import Planted

_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}
_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
_MAX_MIN: Final = {"max": "min", "maximum": "minimum", "argmax": "argmin"}
_EXTREMA: Final = _MAX_MIN | {least: greatest for greatest, least in _MAX_MIN.items()}
# Annotations compute nothing, and decorators only declare.
_NOT_CHANGED: Final = ("annotation", "returns", "decorator_list")


@dataclass(frozen=True, kw_only=True)
class Original:
    """A correct function whose source is changed.

    Attributes:
        module: where its source is, with the functions of that module that it uses.
        function: its name there.
        planted: the same function as it is planted, which states its targets and its convention.
    """

    module: ModuleType
    function: str
    planted: Planted


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A function that is changed at one place.

    Attributes:
        planted: the changed function; its name ends in the number of the mutant.
        rule: what was changed; see the module. place: the file and the line of the change, "loss.py:112".
        before, after: the changed line, without its indentation.
    """

    planted: Planted
    original: Original
    rule: str
    place: str
    before: str
    after: str

    @property
    def name(self) -> str:
        """The id of the changed function: "numpy:online_softmax_mutant_7"."""
        return self.planted.id


def _original(name: str, module: ModuleType = correct, function: str = "") -> Original:
    planted = next(planted for planted in correct.ZOO.planted if planted.name == name)
    return Original(module=module, function=function or name, planted=planted)


ORIGINALS: Final = (
    _original("textbook", loss, "cross_entropy"),
    _original("confident_rows_by_log1p"),
    _original("online_softmax"),
    _original("chunks_of_the_vocabulary"),
    _original("two_passes_in_base_2"),
    _original("float64_inside"),
    _original("of_target_probabilities"),
    _original("zero_targets_are_skipped"),
)


@cache
def all_mutants() -> tuple[Mutant, ...]:
    """The mutants of all `ORIGINALS`, always in the same order."""
    return tuple(mutant for original in ORIGINALS for mutant in mutants(original))


def mutants(original: Original) -> Iterator[Mutant]:
    """Every mutant of a function: of its own source, and of the functions of its module that it uses.

    Raises:
        ValueError: if that source has a `while` loop, of which a mutant could run for ever.
    """
    tree = ast.parse(inspect.getsource(original.module))
    path = str(original.module.__file__)
    seen: set[str] = set()
    for function in _used(tree, original.function):
        if any(isinstance(node, ast.While) for node in ast.walk(function)):
            raise ValueError(f"{function.name} has a while loop, of which a mutant could run for ever; use a for loop")
        before = ast.unparse(function)
        for place in list(_places(function)):
            for rule, changed in alternatives(place.node):
                place.put(changed)
                after = ast.unparse(function)
                if after not in seen | {before}:
                    seen.add(after)
                    yield Mutant(
                        planted=replace(
                            original.planted,
                            name=f"{original.planted.name}_mutant_{len(seen)}",
                            function=_compiled(tree, path, original.function),
                            kind="forward",
                            incident=rule,
                        ),
                        original=original,
                        rule=rule,
                        place=f"{Path(path).name}:{place.line}",
                        **_changed_line(before, after),
                    )
                place.put(place.node)


def alternatives(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What each rule makes of a node, with the name of the rule; the node itself stays as it is."""
    for rule, changed_by in _RULES.items():
        for changed in changed_by(node):
            yield rule, changed


def _operator(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.BinOp(left, operator, right) if type(operator) in _OPERATORS:
            yield ast.BinOp(left, _OPERATORS[type(operator)](), right)
        case ast.UnaryOp(ast.USub() | ast.Not(), operand):
            yield operand
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(ast.And() if isinstance(operator, ast.Or) else ast.Or(), values)


def _constant(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            others = dict.fromkeys((type(value)(0), type(value)(1), value + 1, value - 1))
            yield from (ast.Constant(other) for other in others if other != value)


def _comparison(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            if type(operator) in _COMPARISONS:
                changed = [*node.ops[:index], _COMPARISONS[type(operator)](), *node.ops[index + 1 :]]
                yield ast.Compare(node.left, changed, node.comparators)


def _branches(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.If(test, body, orelse):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Call(ast.Attribute(attr="where") as where, [condition, first, second], keywords):
            yield ast.Call(where, [condition, second, first], keywords)


def _cast(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Call(ast.Attribute(value, "astype")):
            yield value
        case ast.Call(ast.Attribute(attr="asarray" | "type"), [value, *_]):
            yield value


def _argument(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg is not None:  # not **options
                yield ast.Call(node.func, node.args, [other for other in node.keywords if other is not keyword])


def _extremum(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Attribute) and node.attr in _EXTREMA:
        yield ast.Attribute(node.value, _EXTREMA[node.attr], node.ctx)


def _statement(node: ast.AST) -> Iterator[ast.AST]:
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign | ast.AugAssign | ast.Expr | ast.If | ast.For) and not docstring:
        yield ast.Pass()


_RULES: Final[Mapping[str, Callable[[ast.AST], Iterator[ast.AST]]]] = {
    "operator": _operator,
    "constant": _constant,
    "comparison": _comparison,
    "branches": _branches,
    "cast": _cast,
    "argument": _argument,
    "extremum": _extremum,
    "statement": _statement,
}


def _used(tree: ast.Module, name: str) -> list[ast.FunctionDef]:
    """The function of this name, and the functions of its module that it uses."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    used = [name]
    for each in used:  # it grows meanwhile
        names = [node for node in ast.walk(functions[each]) if isinstance(node, ast.Name)]
        own = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        read = dict.fromkeys(node.id for node in names if node.id in functions)
        used += [other for other in read if other not in own and other not in used]
    return [functions[each] for each in used]


@dataclass(frozen=True)
class _Place:
    """Where a node stands in a tree. line: in the source."""

    parent: ast.AST
    field: str
    index: int | None
    node: ast.AST
    line: int

    def put(self, node: ast.AST) -> None:
        """Replace the node at this place."""
        node = ast.fix_missing_locations(ast.copy_location(node, self.node)) if node is not self.node else node
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def _places(parent: ast.AST, line: int = 0) -> Iterator[_Place]:
    """Every place below a node, where something may be changed."""
    line = getattr(parent, "lineno", line)
    for name, value in ast.iter_fields(parent):
        if name in _NOT_CHANGED:
            continue
        for index, node in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(node, ast.AST):
                at = getattr(node, "lineno", line)
                yield _Place(parent, name, index if isinstance(value, list) else None, node, at)
                yield from _places(node, line)


def _compiled(tree: ast.Module, path: str, name: str) -> Callable[..., Any]:
    # The tree is this package's own source, changed by the rules above; no text from elsewhere is ever compiled.
    namespace: dict[str, Any] = {"__name__": f"{__name__}.{name}"}
    exec(compile(tree, path, "exec", dont_inherit=True), namespace)  # noqa: S102
    return namespace[name]


def _changed_line(before: str, after: str) -> dict[str, str]:
    """The first line that differs; a dropped block is shown by its first line."""
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    old, new = next((old.strip(), new.strip()) for old, new in pairs if old != new)
    return {"before": old, "after": new}
