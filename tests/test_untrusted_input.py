"""Nothing that a user can hand over is unpickled, run or unpacked: read from the source of every file that ships."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [path for folder in ("dsmix_aug", "examples", "docs/recipes") for path in (ROOT / folder).rglob("*.py")]
MODULES = {
    "pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "tarfile", "zipfile", "yaml",
    "torch.hub", "runpy", "xml",
}  # fmt: skip
#: Only an exception class of it is used.
ALLOWED_IMPORTS = {("dsmix_aug/nriqa/datasets/csiq.py", "zipfile.BadZipFile")}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "shutil.unpack_archive"}
#: Reads ImageNet weights from an installed package: a file of a known hash, without running code in it.
WEIGHTS_LOADER = "dsmix_aug/nriqa/networks/backbones.py"


def parse(path: Path) -> ast.AST:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(node: ast.AST) -> str:
    """Return ``torch.load`` of a call's function; of a method of something else, its name after a dot."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def keywords_of(call: ast.Call) -> dict[str | None, object]:
    return {item.arg: item.value.value if isinstance(item.value, ast.Constant) else ... for item in call.keywords}


def forbidden_calls(tree: ast.AST) -> list[str]:
    found = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name, keywords = name_of(call.func), keywords_of(call)
        if name in CALLS or keywords.get("shell", False) is not False:
            found.append(name)
        if name.endswith(".load") and name.partition(".")[0] in ("torch", "np", "numpy"):
            is_safe = keywords.get("weights_only") is True or name != "torch.load"
            if not is_safe or keywords.get("allow_pickle", False) is not False:
                found.append(name)
        if name.rpartition(".")[2] in ("read_pickle", "extractall", "load_state_dict_from_url", "unpack_archive"):
            found.append(name)
    return found


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_is_unpickled_run_or_unpacked(path):
    tree, file = parse(path), path.relative_to(ROOT).as_posix()
    modules = {
        name
        for name in imported(tree)
        if (name in MODULES or any(name.startswith(f"{module}.") for module in MODULES))
        and (file, name) not in ALLOWED_IMPORTS
    }
    assert not modules
    assert not forbidden_calls(tree)


def test_torch_loads_only_weights_whose_hash_is_known():
    users = [path for path in FILES if "torch.load(" in path.read_text(encoding="utf-8")]
    assert [path.relative_to(ROOT).as_posix() for path in users] == [WEIGHTS_LOADER]
    source = users[0].read_text(encoding="utf-8")
    assert source.index("hashlib.sha256(") < source.index("torch.load(")


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)", "torch.load(path, weights_only=False)", "np.load(path, allow_pickle=True)", "eval(text)",
        "subprocess.run(text, shell=True)", "os.system(text)", "pd.read_pickle(path)", "archive.extractall(folder)",
        "np.load(path, allow_pickle=trusted)",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_should(line):
    assert forbidden_calls(ast.parse(line))


def test_the_search_leaves_harmless_calls_alone():
    source = (
        "model.eval()\nnp.load(path)\ntorch.load(path, weights_only=True)\nre.compile(text)\nsubprocess.run([name])"
    )
    assert not forbidden_calls(ast.parse(source))
