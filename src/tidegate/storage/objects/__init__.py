"""Objects: immutable bytes named by their BLAKE3 digest, in a folder or a bucket."""

from tidegate.storage.objects.opening import open_objects

__all__ = ["open_objects"]
