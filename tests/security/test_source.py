"""No line of the package unpickles, evaluates or starts a shell; exceptions are named with why."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fer_lab

PACKAGE = Path(fer_lab.__file__).parent

# Calls that make objects or run programs of what they read.
FORBIDDEN = {
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "shelve.open"),
    *("marshal.load", "marshal.loads", "dill.load", "cloudpickle.load", "cloudpickle.loads"),
    *("pd.read_pickle", "pandas.read_pickle", "pd.read_hdf", "pandas.read_hdf", "pd.eval"),
    *("yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "eval", "exec", "compile"),
    *("os.system", "os.popen", "torch.hub.load", "torch.jit.load", "torch.package.PackageImporter"),
    *(
        "load_state_dict_from_url",
        "torch.hub.load_state_dict_from_url",
        "open_clip.load_checkpoint",
    ),
    *("shutil.unpack_archive", "np.fromregex"),
}
# Calls that are safe with one argument, and its value there.
REQUIRED = {
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
    "load_from_checkpoint": ("weights_only", True),
    "fit": ("weights_only", True),
    "test": ("weights_only", True),
    "validate": ("weights_only", True),
}
# Lightning's need it only where they read a checkpoint.
ON_A_CHECKPOINT = ("fit", "test", "validate")

EXCEPTIONS = {
    ("data/pixels/packing.py", "pickle.load"): "the pipe from the process that has started it",
    ("report/run_tables/choices.py", "yaml.load"): "with the safe loader, the fast one in C",
}

# Hydra makes what a configuration names: only of one composed here, which a stored one becomes
# after `fer_lab.trust` has looked at it.
INSTANTIATING = {
    *("ask.py", "evaluate.py", "finding/__init__.py", "finding/trials.py", "model_building.py"),
    *("models_table.py", "running.py", "sweeping/earlier.py", "train.py"),
}


def dotted(node: ast.expr) -> str:
    """``np.load`` of the call ``np.load(…)``, ``?.eval`` of a method of what another call gave."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def forbidden_calls(source: str) -> list[str]:
    """The calls in a module's text that are refused."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        given = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
        last = name.rpartition(".")[2]
        rule = REQUIRED.get(name) or (REQUIRED.get(last) if "." in name else None)
        if last in ON_A_CHECKPOINT and "ckpt_path" not in given:
            rule = None
        unsafe_yaml = name == "yaml.load"
        wrong = rule is not None and given.get(rule[0]) is not rule[1]
        if name in FORBIDDEN or unsafe_yaml or wrong or given.get("shell") is True:
            found.append(name)
    return found


def test_nothing_in_the_package_unpickles_evaluates_or_starts_a_shell():
    found = {
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in PACKAGE.rglob("*.py")
        for name in forbidden_calls(path.read_text())
    }
    assert found == set(EXCEPTIONS)


@pytest.mark.parametrize(
    "line",
    [
        "pickle.loads(b)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "torch.load(path, map_location='cpu')",
        "torch.load(path, weights_only=False)",
        "trainer.fit(model, ckpt_path=path)",
        "Model.load_from_checkpoint(path)",
        "yaml.load(text)",
        "subprocess.run(words, shell=True)",
        "eval(text)",
        "pd.read_pickle(path)",
    ],
)
def test_a_line_that_would_is_found(line):
    assert forbidden_calls(f"def f():\n    return {line}\n")


def test_only_composed_configurations_are_instantiated():
    words = ("instantiate", "get_class", "get_object", "get_method")
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "hydra.utils"
        if any(alias.name in words for alias in node.names)
    }
    assert found == INSTANTIATING
