"""A folder that appears whole or not at all."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from .errors import ExportError


def _make_parents(parent: Path) -> list[Path]:
    """Creates the missing folders above the target and returns them, innermost first."""
    missing = []
    while not parent.exists():
        missing.append(parent)
        parent = parent.parent
    if not parent.is_dir():
        raise ExportError("the target", "a path below folders", f"{parent}, which is a file", "Choose another target")
    for folder in reversed(missing):
        folder.mkdir()
    return missing


def _replace(work: Path, target: Path) -> None:
    if not target.exists():
        work.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    try:
        target.rename(old / "old")
        work.rename(target)
    except BaseException:
        if not target.exists():
            (old / "old").rename(target)
        raise
    finally:
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def appearing(target: Path, force: bool):
    """Yields an empty folder beside `target`, which takes its place at the end and is removed on any error."""
    target = Path(os.path.abspath(target))
    if os.path.lexists(target) and not force:
        raise ExportError(
            "the target", "a path that is free", f"{target}, which is there", "Choose another or pass --force"
        )
    if os.path.lexists(target) and (target.is_symlink() or not target.is_dir()):
        raise ExportError("the target", "a folder to replace", f"{target}, which is none", "Choose another target")
    if target.is_dir() and any(target.iterdir()) and not (target / "contract.json").is_file():
        remedy = "--force replaces model folders alone, with all that is in them; choose another target"
        raise ExportError("the target", "an empty folder or one with contract.json", str(target), remedy)
    made = _make_parents(target.parent)
    try:
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            yield work
            work.chmod(0o755)
            _replace(work, target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except BaseException:
        for folder in made:
            folder.rmdir()
        raise
