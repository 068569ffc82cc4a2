"""A class of a test module, found again in another process."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from functools import reduce
from types import ModuleType
from typing import Any, TypedDict, cast


class Whereabouts(TypedDict):
    """Where a class is: enough to find it in another process, as JSON."""

    path: list[str]
    module: str
    file: str
    name: str


def whereabouts(cls: type) -> Whereabouts:
    """Return where `cls` is, which must be at the top of its module."""
    return {
        "path": list(sys.path),
        "module": cls.__module__,
        "file": inspect.getfile(cls),
        "name": cls.__qualname__,
    }


def find(where: Whereabouts) -> type[Any]:
    """Return the class, and look for modules from here on where its process did."""
    sys.path[:] = where["path"]
    module: object = _load(where["module"], where["file"])
    return cast("type[Any]", reduce(getattr, where["name"].split("."), module))


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a process that has to find this package."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}


def _load(name: str, file: str) -> ModuleType:
    """Return the module `name`, from its `file` if nothing else leads to it.

    pytest can import a file under a name that no search path leads to.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module
