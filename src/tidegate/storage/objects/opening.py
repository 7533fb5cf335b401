"""Opens the object store that an address names."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tidegate.kernel.errors import Invalid
from tidegate.kernel.objects import ObjectStore
from tidegate.storage.objects.folder import FolderObjects

BUCKET_SCHEMES = ("s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss")
"""The schemes of addresses that name a bucket."""


def open_objects(url_or_path: str | Path, **options: Any) -> ObjectStore:
    """The store at a folder's path, a `file://` address or a bucket's (`s3://bucket/prefix`, `gs://`, `az://`).

    `options` go to `BucketObjects`. Raises `Invalid` for another scheme, `Unavailable` when the folder cannot be made
    or the extra `s3` is missing.
    """
    scheme = urlsplit(url_or_path).scheme if isinstance(url_or_path, str) and "://" in url_or_path else ""
    if scheme in BUCKET_SCHEMES:
        from tidegate.storage.objects.bucket import BucketObjects

        return BucketObjects(str(url_or_path), **options)
    if options:
        raise Invalid(
            f"a folder of objects takes no options, but {', '.join(sorted(options))} was given for {url_or_path}"
        )
    if scheme == "file":
        return FolderObjects(_path_of(str(url_or_path)))
    if scheme:
        known = ", ".join(f"{name}://" for name in ("file", *BUCKET_SCHEMES))
        raise Invalid(f"objects cannot be kept at {url_or_path}: give a folder or an address that begins with {known}")
    return FolderObjects(Path(url_or_path))


def _path_of(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        raise Invalid(f"{url} does not name a folder of this machine; write file:///path")
    return Path(unquote(parts.path))
