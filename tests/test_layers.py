"""Data flows one way: no module imports from a layer after its own (ARCHITECTURE.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import fer_lab

PACKAGE = Path(fer_lab.__file__).parent

LAYERS = [
    {"errors", "files", "importing", "interruptions", "processes"},
    {"confidential", "places", "trust"},
    {"data"},
    {"asking"},
    {"faces"},
    {"losses"},
    {"models"},
    {"mitigation"},
    {"metrics", "bias"},
    {"explain"},
    {"callbacks"},
    {"report"},
    {"configuration", "record", "numerics"},
    {"sweeping"},
    {"tracking"},
    {"pictures"},
    {"running", "model_building"},
    {"finding"},
    {
        "train",
        "check",
        "evaluate",
        "compare",
        "audit",
        "table",
        "heatmaps",
        "prepare",
        "predict",
        "ask",
        "export",
        "models_table",
        "shards",
    },
    {"explaining", "listing", "reporting"},
    {"tasks", "cli"},
]
DEPTH = {name: depth for depth, names in enumerate(LAYERS) for name in names}


def imported_parts(source: str) -> set[str]:
    """The parts of the package that a module's text imports, wherever it does."""
    parts = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        parts |= {name.split(".")[1] for name in names if name.startswith("fer_lab.")}
    return parts


def backward_imports(package: Path) -> list[str]:
    """``module -> part`` for every import of a later layer."""
    found = []
    for path in sorted(package.rglob("*.py")):
        own = path.relative_to(package).parts[0].removesuffix(".py")
        if own == "__init__":  # the names that people import, resolved when first used
            continue
        parts = sorted(imported_parts(path.read_text()))
        later = [part for part in parts if DEPTH.get(part, 0) > DEPTH[own]]
        found += [f"{path.relative_to(package)} -> {part}" for part in later]
    return found


def test_no_module_imports_from_a_later_layer():
    assert backward_imports(PACKAGE) == []


def test_every_module_belongs_to_a_layer():
    parts = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if p.suffix == ".py"}
    parts |= {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").is_file()}
    assert parts - set(DEPTH) - {"__init__"} == set()


def test_a_backward_import_would_be_found(tmp_path):
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "bad.py").write_text("def f():\n    from fer_lab.report import run\n")
    assert backward_imports(tmp_path) == ["metrics/bad.py -> report"]


def test_imports_are_absolute():
    relative = [
        path.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]
    assert relative == []
