"""How a user's module is imported: from the working directory, and from nowhere of ours."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType


def import_from(folder: str, name: str) -> ModuleType:
    """Import a module, looking for it and all it imports in `folder` first, as Python does for a
    script.  Raises whatever the module raises."""
    with _first(folder):
        return importlib.import_module(name)


@contextmanager
def _first(folder: str) -> Iterator[None]:
    """Have `folder` come first on the path of imports meanwhile, and stay there afterwards, but
    behind the standard library: what that imports as late as when it is used is not the user's."""
    if folder in sys.path:
        yield
        return
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
            sys.path.insert(_behind_the_standard_library(sys.path), folder)


def _behind_the_standard_library(path: list[str]) -> int:
    library = Path(os.__file__).parent
    of_library = (str(library), str(library / "lib-dynload"))
    return max((place + 1 for place, one in enumerate(path) if one in of_library), default=0)


def stand_in_for_others(folder: str, error: BaseException) -> list[str]:
    """Files of `folder` that had a part in this error and have the name of a module that is
    Python's or installed."""
    loaded = (getattr(module, "__file__", None) for module in [*sys.modules.values()])
    ran = (frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__))
    files = {Path(file) for file in (*loaded, *ran) if isinstance(file, str)}
    return sorted(str(file) for file in files if _stands_in(file, Path(folder)))


def _stands_in(file: Path, folder: Path) -> bool:
    if file.name == "__init__.py":
        place, name = file.parent.parent, file.parent.name
    else:
        place, name = file.parent, file.stem
    if place != folder or file.suffix != ".py":
        return False
    others = [one for one in sys.path if one != str(folder)]
    return name in sys.stdlib_module_names or PathFinder.find_spec(name, others) is not None
