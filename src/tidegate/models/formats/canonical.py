"""skops files that are the same for the same model.

skops numbers its nodes by memory address and dates the entries of its archive, so two dumps of one model differ.
Here the numbers are counted up in order of appearance, and the dates are fixed.
"""

import io
import re
import zipfile
import zlib

from tidegate.kernel.errors import Invalid

_SCHEMA = "schema.json"
_NUMBER = re.compile(r'(?<="__id__": )\d+|(?<=")\d+(?=\.npy"|\.npz"|\.bin")')
_DATE = (1980, 1, 1, 0, 0, 0)


def canonical(content: bytes) -> bytes:
    """The archive of `skops.io.dumps`, with nothing in it of the process that wrote it."""
    source = zipfile.ZipFile(io.BytesIO(content))
    numbers: dict[str, str] = {}

    def renumber(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], str(len(numbers) + 1))

    schema = _NUMBER.sub(renumber, source.read(_SCHEMA).decode())
    entries = {_SCHEMA: schema.encode()}
    for name in source.namelist():
        if name != _SCHEMA:
            stem, dot, suffix = name.partition(".")
            entries[numbers.get(stem, stem) + dot + suffix] = source.read(name)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, _DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, entries[name])
    return target.getvalue()


def check_archive(content: bytes) -> None:
    """Raises `Invalid` for bytes that are not a whole archive: cut off at either end, or changed within."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        whole = min((entry.header_offset for entry in archive.infolist()), default=-1) == 0
        damaged = archive.testzip() if whole else "its beginning"
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, NotImplementedError) as error:
        raise Invalid(f"this is no skops file, or a damaged one: {error}") from error
    if damaged is not None:
        raise Invalid(f"this skops file is damaged: {damaged} is not what was written")
