"""Records to JSON and back: one encoder, one decoder, one way to say which field is wrong."""

from functools import cache
from typing import Any, get_args, get_type_hints

import msgspec

from tidegate.kernel.errors import Invalid
from tidegate.kernel.real import Real, real_from_wire, real_to_wire

_JSON = msgspec.json.Encoder()

_SPELT = frozenset({str, int, bool, type(None)})


def encode(value: object, kind: Any = None) -> bytes:
    """JSON of a record. `kind` is its declared type; where that holds a `Real`, NaN and infinities survive."""
    try:
        if kind is not None and _holds_real(kind):
            return _JSON.encode(_spell_reals(msgspec.to_builtins(value, enc_hook=_plain)))
        return msgspec.json.encode(value, enc_hook=_plain)
    except UnicodeEncodeError as error:
        raise Invalid(f"text that is not valid Unicode cannot be sent: {error}") from error
    except RecursionError as error:
        raise Invalid("what was given is nested too deeply to be sent") from error


def decode(raw: bytes | str, kind: Any, what: str = "body") -> Any:
    """The record of type `kind` in JSON text. Raises `Invalid` naming the field."""
    try:
        return _decoder(kind).decode(raw)
    except msgspec.ValidationError as error:
        raise invalid_field(error, what) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        found = error if raw else "it is empty"
        raise Invalid(f"{_named(what)} is not valid JSON: {found}") from error
    except RecursionError as error:
        raise Invalid(f"{_named(what)} is nested too deeply") from error


def _named(what: str) -> str:
    return "the body" if what == "body" else what


def convert(value: object, kind: Any, what: str = "arguments", *, strict: bool = True) -> Any:
    """`value` checked against, and where it is plain data made into, `kind`. Raises `Invalid` naming the field."""
    try:
        return msgspec.convert(value, kind, strict=strict, dec_hook=_build)
    except msgspec.ValidationError as error:
        raise invalid_field(error, what) from error
    except RecursionError as error:
        raise Invalid(f"the {what} are nested too deeply") from error


def invalid_field(error: msgspec.ValidationError, what: str) -> Invalid:
    """msgspec's complaint as ours, with the path of the field in ``details["field"]``."""
    text, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".") if path else ""
    where = f"{what}, field {field}" if field else what
    named = ".".join(part for part in (field, _quoted(text)) if part)
    return Invalid(f"{where}: {text[:1].lower()}{text[1:]}", **({"field": named} if named else {}))


def _quoted(text: str) -> str:
    parts = text.split("`")
    return parts[1] if len(parts) >= 3 and "field" in parts[0] else ""


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, dec_hook=_build)


def _build(kind: type, value: object) -> object:
    if kind is Real:
        return real_from_wire(value)
    if kind is object:
        return value
    raise NotImplementedError(kind)


def _plain(value: object) -> object:
    if isinstance(value, float):
        return real_to_wire(value)
    item = getattr(value, "item", None)
    if callable(item):  # a numpy scalar
        return item()
    raise NotImplementedError(type(value))


def _spell_reals(tree: Any) -> Any:
    if isinstance(tree, float):
        return real_to_wire(tree)
    if isinstance(tree, dict):
        return {key: value if value.__class__ in _SPELT else _spell_reals(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [value if value.__class__ in _SPELT else _spell_reals(value) for value in tree]
    return tree


@cache
def _holds_real(kind: Any) -> bool:
    return _search(kind, set())


def _search(kind: Any, seen: set[Any]) -> bool:
    if kind is Real:
        return True
    parts = list(get_args(kind))
    origin = getattr(kind, "__origin__", kind)
    if isinstance(origin, type) and issubclass(origin, msgspec.Struct) and origin not in seen:
        seen.add(origin)
        parts += get_type_hints(origin, include_extras=True).values()
    return any(_search(part, seen) for part in parts)
