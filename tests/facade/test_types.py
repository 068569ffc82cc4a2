"""mypy --strict of what users write: a program, the README's quick guide, the guides of docs/."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from textwrap import indent

import pytest

from examples.children import TOP

SNIPPET = re.compile(r"^(<!-- shape -->\n)?```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Pages that do not go on behind the first two snippets of getting-started.md.
STANDS_ALONE = {"README.md", "getting-started.md", "checking-histories.md", "simulation.md"}
#: What a page takes as given.
GIVEN = {
    "security.md": "Store, address = HashStore, '127.0.0.1:60061'\n",
}
#: A snippet for those who extend raftify itself, which presupposes its parts.
NOT_CHECKED = {"storage.md"}


def snippets(page: Path) -> list[str]:
    """Return a page's Python snippets that are more than a shape."""
    found = SNIPPET.findall(page.read_text(encoding="utf-8"))
    return [code for is_shape, code in found if not is_shape]


def program(page: Path) -> str:
    """Return a page as one module, whose main function does what the page does."""
    first = [] if page.name in STANDS_ALONE else snippets(TOP / "docs" / "getting-started.md")[:2]
    body = "\n".join([*first, GIVEN.get(page.name, ""), *snippets(page)])
    return "async def main() -> None:\n" + indent(body, "    ")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_users_get_their_own_classes(tmp_path: Path) -> None:
    """One run for everything: most of its time goes into raftify itself."""
    pages = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
    files = [TOP / "tests" / "facade" / "user_program.py"]
    for page in pages:
        if snippets(page) and page.name not in NOT_CHECKED:
            stem = page.parent.name + "_" + page.stem.replace("-", "_")
            files.append(tmp_path / f"{stem}.py")
            files[-1].write_text(program(page), encoding="utf-8")
    assert len(files) > 10
    process = await asyncio.create_subprocess_exec(
        # Settings and cache of its own, for those of the checkout are not the users'.
        *(sys.executable, "-m", "mypy", "--strict", "--config-file", ""),
        *("--cache-dir", str(TOP / ".mypy_cache" / "users")),
        *map(str, files),
        cwd=TOP,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    found, _ = await process.communicate()
    assert process.returncode == 0, found.decode()
