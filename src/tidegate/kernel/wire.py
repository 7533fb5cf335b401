"""Records to JSON and back: one encoder, one decoder, one way to say which field is wrong."""

from functools import cache
from typing import Any, get_args, get_type_hints

import msgspec

from tidegate.kernel.errors import Invalid
from tidegate.kernel.json_text import check_plain, malformed, out_of_range
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
        raise not_unicode(value, "sent") from error
    except RecursionError as error:
        raise Invalid("what was given is nested too deeply to be sent") from error


def decode(raw: bytes | str, kind: Any, what: str = "body", *, part: bool = False) -> Any:
    """The record of type `kind` in JSON text. Raises `Invalid` naming the field, or line and column.

    ``part``: the text was cut out of another one, so that its lines and columns would mislead.
    """
    try:
        return _decoder(kind).decode(raw)
    except msgspec.ValidationError as error:
        raise _field_in(error, _bytes(raw), what) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        text = _bytes(raw)
        raise malformed(text, str(error)).invalid(text, f"{_named(what)} is not valid JSON", part=part) from error
    except RecursionError as error:
        raise Invalid(f"{_named(what)} is nested too deeply") from error


def decode_plain(raw: bytes | str, kind: Any, what: str = "body") -> Any:
    """Plain dicts and lists in JSON text that a stranger wrote: as `decode`; a key that is named twice is refused."""
    decoded = decode(raw, kind, what)
    check_plain(_bytes(raw), decoded, _named(what))
    return decoded


def _bytes(raw: bytes | str) -> bytes:
    return raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")


def _field_in(error: msgspec.ValidationError, raw: bytes, what: str) -> Invalid:
    """`invalid_field`, with the key of a number that is too large: msgspec names none where any may stand."""
    refused = invalid_field(error, what)
    field = out_of_range(raw) if "[...]" in str(error) and "out of range" in str(error) else ""
    if not field:
        return refused
    return Invalid(f"{what}, field {field}: the number is out of range", field=field)


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


def not_unicode(value: object, done: str) -> Invalid:
    """Why a value cannot be sent, or kept: the field whose text no encoding has."""
    field = _lone_surrogate(msgspec.to_builtins(value, enc_hook=_plain)) or ""
    where = f"field {field.lstrip('.')}: " if field else ""
    named = {"field": field.lstrip(".")} if field else {}
    return Invalid(f"{where}text with half a surrogate pair is not valid Unicode and cannot be {done}", **named)


def _lone_surrogate(plain: Any) -> str | None:
    """The path of the first such text in plain data; None where there is none."""
    if isinstance(plain, str):
        return None if plain.isascii() or plain == plain.encode("utf-8", "replace").decode() else ""
    pairs: Any = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    for key, each in pairs:
        within = _lone_surrogate(each)
        if within is not None:
            return (f"[{key}]" if isinstance(key, int) else f".{key}") + within
    return None


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
