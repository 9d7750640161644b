"""Imports go strictly downward, and some things happen in one place only."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "diverseevol"

# A unit is a file or folder right below the package; a unit imports only units of a lower level, or itself.
LEVELS = {
    "errors": 0,
    "base": 1,
    "config": 2,
    "data": 3,
    "selection": 3,
    "text": 4,
    "run": 4,
    "models": 5,
    "evaluation": 6,
    "plan": 6,
    "loop": 7,
    "report": 8,
    "demo": 9,
    "compare": 9,
    "cli": 10,
    "__init__": 11,
    "__main__": 11,
}


def unit_of(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports_of(file: Path) -> list[tuple[str, int]]:
    """(absolute dotted name, line) of every import, also those inside functions, without those only for type checkers."""
    package = ["diverseevol", *file.relative_to(SOURCE).parts[:-1]]
    found = []
    tree = ast.parse(file.read_text("utf-8"))
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            stem = ".".join(filter(None, [base, node.module or ""]))
            found += [(f"{stem}.{alias.name}", node.lineno) for alias in node.names]
    return found


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_go_downward(file):
    here = unit_of(file)
    assert here in LEVELS, f"{here} has no level: give it one in {Path(__file__).name}"
    for name, line in imports_of(file):
        parts = name.split(".")
        if parts[0] != "diverseevol" or len(parts) < 2 or parts[1] not in LEVELS:
            continue
        there = parts[1]
        is_fine = there == here or LEVELS[there] < LEVELS[here]
        assert is_fine, f"{file.name}:{line}: {here} (level {LEVELS[here]}) imports {there} (level {LEVELS[there]})"


def users_of(*names: str) -> set[str]:
    return {unit_of(file) for file in FILES for name, _ in imports_of(file) if name.startswith(names)}


def test_only_dist_calls_torch_distributed():
    """The exchanges, that is: what a model shared out over ranks is made of, models/load.py knows."""
    assert users_of("torch.distributed") <= {"base", "models"}


def test_selection_knows_no_model_and_no_file():
    units = {"models", "data", "run", "text"}
    selection = [name for file in FILES if unit_of(file) == "selection" for name, _ in imports_of(file)]
    assert not [
        name for name in selection if name.startswith("transformers") or (name.split(".")[1:2] and name.split(".")[1] in units)
    ]


def test_only_the_command_line_prints():
    for file in FILES:
        if unit_of(file) == "cli":
            continue
        calls = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)]
        assert not [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"], file


def test_no_pickle_anywhere():
    assert not users_of("pickle", "dill", "cloudpickle", "joblib")


def test_sizes_stay_readable():
    lines = {str(file.relative_to(SOURCE)): len(file.read_text("utf-8").splitlines()) for file in FILES}
    assert {name: n for name, n in lines.items() if n > 450} == {}
    assert sorted(lines.values())[len(lines) // 2] <= 150
