"""Changes that mutation testing makes: cosmic-ray's operators, under names that outlive moved lines."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from hashlib import sha256
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

# Left out is what proves nothing: `<<` between floats fails in any test, `is` between small numbers changes
# nothing, and changes of variables are random.
USELESS = re.compile(
    r"BinaryOperator_(?!(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)_(Add|Sub|Mul|Div|FloorDiv)$|Bit\w+_Bit\w+$)"
    r"|ComparisonOperator_(Eq_Is|Is_Eq|NotEq_IsNot|IsNot_NotEq)$|Variable"
)
OPERATORS = {name: get_operator(name) for name in operator_names() if not USELESS.search(name)}
FEWEST = 4  # of a folder


@dataclass(frozen=True)
class Change:
    """One change: `operator` at the `nth` place that it has in `function` on a line that reads `text`."""

    file: str
    function: str
    text: str
    operator: str
    nth: int


@dataclass(frozen=True)
class Place:
    """Where a change stands today: lines from 1, and its number among the places of its operator."""

    lines: range
    position: tuple
    occurrence: int


def possible(root: Path, package: Path) -> dict[Change, Place]:
    """All changes in the modules of `package`, a path relative to `root`."""
    files = sorted((root / package).rglob("*.py"))
    return {change: place for file in files for change, place in _of_file(file, str(file.relative_to(root)))}


def _of_file(path: Path, file: str) -> Iterator[tuple[Change, Place]]:
    code = path.read_text(encoding="utf-8")
    texts = code.split("\n")
    occurrences: Counter[str] = Counter()
    same: Counter[tuple[str, ...]] = Counter()
    for node in ast_nodes(get_ast(code)):
        for name, operator in OPERATORS.items():
            for position in operator().mutation_positions(node):
                occurrence = occurrences[name]
                occurrences[name] += 1
                line = position[0][0]
                key = (_function(node), texts[line - 1].strip(), name)
                if not _says_nothing(node):
                    yield Change(file, *key, same[key]), Place(_lines(node, line), position, occurrence)
                    same[key] += 1


def _function(node) -> str:
    names = []
    while node := node.search_ancestor("funcdef", "classdef"):
        names.append(node.name.value)
    return ".".join(reversed(names))


def _says_nothing(node) -> bool:
    """Whether `node` unpacks, or is of an annotation or a decorator, most of which say frozen=True."""
    if node.type == "operator" and node.value == "**" and node.get_previous_leaf().value in "{(,":
        return True
    while above := node.parent:
        if above.type in ("decorator", "tfpdef") or (above.type == "annassign" and above.children[1] is node):
            return True
        if above.type == "funcdef" and above.annotation is node:
            return True
        node = above
    return False


def _lines(node, line: int) -> range:
    statement = node.search_ancestor("simple_stmt")
    return range(statement.start_pos[0] if statement else line, line + 1)


def changed(code: str, change: Change, place: Place) -> str:
    return mutate_code(code, OPERATORS[change.operator](), place.occurrence)


def folder(change: Change) -> str:
    return str(Path(change.file).parent)


def drawn(changes: dict[Change, Place], count: int, seed: int) -> list[Change]:
    """About `count` changes, each at another place: of a folder in proportion to the root of its places."""

    def rank(change: Change) -> str:
        return sha256(repr((seed, *astuple(change)[1:])).encode()).hexdigest()

    of_place: dict[tuple, list[Change]] = defaultdict(list)
    for change, place in changes.items():
        of_place[(change.file, place.position)].append(change)
    of_folder: dict[str, list[Change]] = defaultdict(list)
    for change in sorted((min(some, key=rank) for some in of_place.values()), key=rank):
        of_folder[folder(change)].append(change)
    share = count / sum(math.sqrt(len(some)) for some in of_folder.values())
    taken = (some[: max(FEWEST, round(share * math.sqrt(len(some))))] for some in of_folder.values())
    return sorted((change for some in taken for change in some), key=astuple)


def found(wanted: Change, changes: dict[Change, Place]) -> Change | None:
    """The same change in the present tree; None where its line reads differently or is found in several."""
    same = [c for c in changes if (c.operator, c.text, c.nth) == (wanted.operator, wanted.text, wanted.nth)]
    ours = [c for c in same if c.function == wanted.function]
    at_home = [c for c in ours if c.file == wanted.file]
    namesakes = [c for c in ours if Path(c.file).name == Path(wanted.file).name]
    return next((some[0] for some in (at_home, namesakes, ours, same) if len(some) == 1), None)
