"""No half-written file is read as whole: what the package writes takes its place when it ends."""

from __future__ import annotations

import ast
from pathlib import Path

import fer_lab

PACKAGE = Path(fer_lab.__file__).parent

WRITERS = {
    *("write_text", "write_bytes", "to_csv", "to_parquet", "savefig", "savez"),
    *("savez_compressed", "open_memmap", "ParquetWriter"),
}

# What writes elsewhere than beside its place, and why that is safe.
SAFE = {
    "asking/journal.py": "lines are added to a journal, whose torn last line is set aside",
    "asking/protocol.py": "an image in memory",
    "data/manifest_cache.py": "a folder that is renamed when it is whole",
    "data/pixels/packed.py": "a folder that is renamed when it is whole, and a lock",
    "data/shards/cache.py": "a lock, which is empty; files are named when they are whole",
    "data/shards/writing.py": "the index, which has the sizes and hashes of the files, comes last",
    "data/sources/pixel_csv.py": "a folder that is renamed when it is whole",
    "files.py": "atomic_path itself, and the last words of a run on a full disk",
    "finding/batch_size.py": "a file of the system",
    "models/exporting.py": "what it is given is a temporary path of fer_lab.export's",
    "pictures.py": "an image in memory",
    "record.py": "a lock, which is empty; run.json goes through write_json",
    "sweeping/folder.py": "an empty file that claims the folder; its content comes by write_json",
}


def writes(call: ast.Call) -> bool:
    """Whether a call opens a file to write, or writes one."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name == "save":  # a picture or arrays; without a path it is some other method
        return bool(call.args)
    if name not in ("open", "ZipFile"):
        return name in WRITERS
    modes = [*call.args, *(word.value for word in call.keywords if word.arg == "mode")]
    texts = [node.value for node in modes if isinstance(node, ast.Constant)]
    return any(isinstance(text, str) and set("wax+") & set(text) for text in texts)


def unsafe_writes(source: str) -> list[int]:
    """The lines that write under a file's own name: outside ``with atomic_path(…)``."""
    tree = ast.parse(source)
    blocks = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        and any("atomic_path" in ast.unparse(item.context_expr) for item in node.items)
    ]
    inside = {id(node) for block in blocks for node in ast.walk(block)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return sorted(call.lineno for call in calls if writes(call) and id(call) not in inside)


def test_every_file_is_written_beside_its_place():
    found = {
        path.relative_to(PACKAGE).as_posix(): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := unsafe_writes(path.read_text()))
    }
    assert {name: lines for name, lines in found.items() if name not in SAFE} == {}
    assert set(SAFE) <= set(found)  # nothing is excused any more that has gone


def test_a_write_under_the_own_name_would_be_found():
    lines = [
        "path.write_text('')",
        "with open(path, 'w') as file: pass",
        "with path.open(mode='ab') as file: pass",
        "with atomic_path(path) as temporary: temporary.write_text('')",
        "with path.open('rb') as file: pass",
        "table.to_parquet(path)",
    ]
    assert unsafe_writes("\n".join(lines)) == [1, 2, 3, 6]
