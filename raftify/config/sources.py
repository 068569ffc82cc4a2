"""Settings from TOML files and environment variables: texts and tables to the types of the fields.

Everything that is wrong is gathered, so that whoever mends a file need not run the program once for
each fault.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from raftify.errors import ConfigError
from raftify.peers import InitialRole, Peer, Peers

#: Between the name of a table and that of a setting in it: RAFTIFY_RAFT_CONFIG__ELECTION_TICK.
NESTED: Final = "__"
#: What Kubernetes puts into every container beside a service that is called like the prefix.
_SERVICE_LINK: Final = re.compile(
    r"SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


def table_of_file(path: str | Path) -> dict[str, Any]:
    """Return what a TOML file holds.

    Raises:
        ConfigError: it cannot be read, or is no TOML.
    """
    if not isinstance(path, str | Path):
        raise ConfigError(f"the path of a TOML file is wanted, not {type(path).__name__}")
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    except ValueError as error:
        raise ConfigError(f"{path!r} is no path: {error}") from error


def table_of_environment(environment: Mapping[str, str], prefix: str) -> dict[str, Any]:
    """Return the variables that begin with `prefix` as a table of texts."""
    if not isinstance(environment, Mapping) or not all(
        isinstance(one, str) for one in (*environment, *environment.values())
    ):
        raise ConfigError(f"environment has texts by name, as os.environ, not {environment!r:.60}")
    if not isinstance(prefix, str):
        raise ConfigError(f"prefix is a text, not {prefix!r:.60}")
    table: dict[str, Any] = {}
    for name in sorted(environment):
        named = name.removeprefix(prefix)
        if not name.startswith(prefix) or _SERVICE_LINK.fullmatch(named):
            continue
        *tables, setting = named.lower().split(NESTED)
        place = table
        for one in tables:
            inner = place.setdefault(one, {})
            place = inner if isinstance(inner, dict) else place
        place[setting] = environment[name]
    return table


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `below` with everything that `above` says in its place, table by table."""
    result = dict(below)
    for name, value in above.items():
        known = result.get(name)
        if isinstance(value, dict) and isinstance(known, dict):
            result[name] = merged(known, value)
        else:
            result[name] = value
    return result


def arguments_for(kind: type, table: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    """Return `table` as arguments for the dataclass `kind`; what is wrong is added to `faults`."""
    known: dict[str, Field[Any]] = {field.name: field for field in fields(kind) if field.init}
    hints = get_type_hints(kind)
    arguments = {}
    for name, value in table.items():
        if name not in known:
            faults.append(f"{name} is no setting; there are {', '.join(sorted(known))}")
            continue
        try:
            arguments[name] = _converted(hints[name], value, name, faults)
        except ConfigError as error:
            faults.append(str(error))
    return arguments


def _converted(kind: Any, value: object, name: str, faults: list[str]) -> object:
    """Return `value`, of a file or a text of the environment, as a value of type `kind`."""
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if type(None) in options and value == "":
        return None
    wanted = next(option for option in options if option is not type(None))
    if wanted is Peers:
        return _peers(value, name)
    if get_origin(wanted) is tuple:
        return _texts(value, name)
    if is_dataclass(wanted) and isinstance(wanted, type):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{name} must be a table of settings, not {value!r}")
        inner: list[str] = []
        arguments = arguments_for(wanted, value, inner)
        faults += [f"{name}: {fault}" for fault in inner]
        return wanted(**arguments)
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return _member(wanted, value, name)
    if isinstance(value, str):
        return _of_text(wanted, value, name)
    if isinstance(value, int) and not isinstance(value, bool) and wanted is float:
        return float(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise ConfigError(f"{name} must be {_called(wanted)}, not {value!r}")
    return value


def _of_text(wanted: type, text: str, name: str) -> object:
    if wanted in (str, Path):
        return text
    if wanted is bool:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise ConfigError(f"{name} must be true or false, not {text!r}")
    try:
        return wanted(text.replace("_", "") if wanted is int else text)
    except ValueError:
        raise ConfigError(f"{name} must be {_called(wanted)}, not {text!r}") from None


def _texts(value: object, name: str) -> tuple[str, ...]:
    """Read several texts: a list of them, or one with commas between them."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    raise ConfigError(f"{name} must be a list of texts, not {value!r}")


def _member(wanted: type[Enum], value: object, name: str) -> Enum:
    for member in wanted:
        if value == member.value or str(value).lower() in (
            member.name.lower(),
            str(member.value).lower(),
        ):
            return member
    names = ", ".join(member.name.lower() for member in wanted)
    raise ConfigError(f"{name} must be one of {names}, not {value!r}")


def _called(wanted: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}.get(
        wanted, f"a {wanted.__name__}"
    )


def _peers(value: object, name: str) -> Peers:
    """Read peers: tables of `node_id`, `address` and `role`, or a text `1=host:port, 2=...`.

    In a text a role stands behind the address: `3=10.0.0.3:60061/learner`.
    """
    try:
        if isinstance(value, str):
            return Peers([_peer_of_text(one) for one in value.split(",") if one.strip()])
        if isinstance(value, list) and all(isinstance(one, Mapping) for one in value):
            return Peers([_peer_of_table(one) for one in value])
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error
    raise ConfigError(f"{name} must be tables of node_id, address and role, not {value!r}")


def _peer_of_text(text: str) -> Peer:
    node_id, equals, place = text.strip().partition("=")
    address, _, role = place.strip().partition("/")
    if not equals or not node_id.strip().isdecimal():
        raise ConfigError(f"cannot read the peer {text.strip()!r}: write it as '1=host:port'")
    return Peer(int(node_id), address, initial_role=_role(role))


def _peer_of_table(table: Mapping[str, Any]) -> Peer:
    unknown = sorted(set(table) - {"node_id", "address", "role", "metadata"})
    missing = sorted({"node_id", "address"} - set(table))
    if unknown or missing:
        wrong = f"has no {missing[0]}" if missing else f"has {unknown[0]!r}, which is none"
        raise ConfigError(f"a peer has node_id, address, role and metadata, and one {wrong}")
    metadata = str(table.get("metadata", "")).encode()
    role = _role(str(table.get("role", "")))
    return Peer(table["node_id"], table["address"], metadata=metadata, initial_role=role)


def _role(text: str) -> InitialRole:
    try:
        return InitialRole(text.strip().lower() or InitialRole.VOTER)
    except ValueError:
        roles = ", ".join(InitialRole)
        raise ConfigError(f"a peer's role is one of {roles}, not {text!r}") from None
