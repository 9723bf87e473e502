"""Write README.md's list of source files from the first line of each module's docstring: ``python docs/tree.py``."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "ganforge"
LAYERS = [
    "core", "hooks", "metrics", "storage", "recipe", "engine", "health", "observers", "tracking", "builtin", "assembly", "runs",
    "testing", "session", "cli",
]  # fmt: skip
BEGIN, END = "<!-- files: written by docs/tree.py -->\n", "<!-- end of files -->\n"


def purpose(file: Path) -> str:
    """What a module is for: the first sentence of its docstring, as far as its first line goes."""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].partition(". ")[0].rstrip(".")


def listing() -> str:
    """All source files, lowest layer first, one line of purpose each."""
    folders = sorted({file.parent for file in SOURCE.rglob("*.py")}, key=_height)
    blocks = [_block(folder) for folder in folders]
    return "```text\n" + "\n\n".join(blocks) + "\n```\n"


def written(readme: str) -> str:
    """The README with its list of files renewed."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + listing() + END + after


def _height(folder: Path) -> tuple[int, str]:
    parts = folder.relative_to(SOURCE).parts
    if not parts:
        return len(LAYERS) + 1, ""
    return (LAYERS.index(parts[0]) if parts[0] in LAYERS else len(LAYERS)), "/".join(parts)


def _block(folder: Path) -> str:
    own = folder / "__init__.py"
    head = f"{folder.relative_to(SOURCE.parent)}/"
    lines = [f"{head:<28}{purpose(own)}" if own.exists() else head]
    lines += [f"  {file.name:<26}{purpose(file)}" for file in sorted(folder.glob("*.py")) if file.name != "__init__.py"]
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(written(readme.read_text(encoding="utf-8")), encoding="utf-8")
