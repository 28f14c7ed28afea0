"""A command that a message tells to type can be copied into a shell: each path in it is quoted."""

import ast
import re
from collections.abc import Iterator

from tests.contracts.source_code import MODULES, nodes_of

COMMAND = re.compile(r"(?<!<)vgsearch [a-z]+( --?[a-z-]+|[ =][\w.]+|, )* $")
"""What may stand in a command before a value; a heading has more spaces than one."""
QUOTING = {"typed", "quote", "join"}
NO_PATH = {"given", "larger[0]", "top", "n_seeds", "n_folds", "shown(plan.experiment.place)"}
"""Numbers, names of budgets, a text whose paths are quoted where it is made; the last is in a heading."""


def is_quoted(value: ast.expr, quoted: set[str]) -> bool:
    """Whether an expression is a call that quotes, or a name that was bound to one."""
    if isinstance(value, ast.Call):
        return getattr(value.func, "id", getattr(value.func, "attr", "")) in QUOTING
    return isinstance(value, ast.Name) and value.id in quoted


def unquoted(module: str) -> Iterator[str]:
    """Each value that directly follows the words of a command in an f-string of a module, and is not quoted."""
    bound = [node for node in nodes_of(module) if isinstance(node, ast.Assign) and is_quoted(node.value, set())]
    quoted = {target.id for node in bound for target in node.targets if isinstance(target, ast.Name)}
    for node in nodes_of(module):
        before = ""
        for part in node.values if isinstance(node, ast.JoinedStr) else ():
            if isinstance(part, ast.FormattedValue):
                if COMMAND.search(before) and not is_quoted(part.value, quoted):
                    yield ast.unparse(part.value)
                before += "VALUE"
            elif isinstance(part, ast.Constant):
                before += str(part.value)


def test_each_value_of_a_command_that_is_to_be_typed_is_quoted_for_the_shell():
    found = {module: set(unquoted(module)) - NO_PATH for module in MODULES}
    assert not {module: values for module, values in found.items() if values}
