"""The laws of the object store on a folder and on an S3 server."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.contract.storage.s3_process import new_bucket, put_behind_its_back, s3_options, s3_server
from tidegate.kernel.clock import SystemClock
from tidegate.kernel.objects import Digest, ObjectStore
from tidegate.storage.objects import open_objects
from tidegate.storage.objects.bucket import BucketObjects
from tidegate.storage.objects.folder import FolderObjects
from tidegate.testing.objects import ObjectStoreLaws


class LateClock(SystemClock):
    """The machine's clock, ahead of time."""

    def __init__(self, seconds: float) -> None:
        self._ahead = timedelta(seconds=seconds)

    def wall(self) -> datetime:
        return super().wall() + self._ahead


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


class TestFolderObjects(ObjectStoreLaws):
    """The laws on a folder."""

    @pytest.fixture
    def objects(self, tmp_path: Path) -> ObjectStore:
        return open_objects(tmp_path / "objects")

    def damage(self, objects: ObjectStore, digest: Digest, data: bytes) -> None:
        path = objects.local_path(digest)
        assert path is not None
        path.unlink()
        path.write_bytes(data)

    def later(self, objects: ObjectStore, seconds: float) -> ObjectStore:
        assert isinstance(objects, FolderObjects)
        return FolderObjects(objects.folder, clock=LateClock(seconds))


class TestBucketObjects(ObjectStoreLaws):
    """The laws on a bucket, over HTTP."""

    @pytest.fixture
    def objects(self, endpoint: str) -> ObjectStore:
        return open_objects(new_bucket(endpoint), **s3_options(endpoint))

    @pytest.fixture(autouse=True)
    def _remember(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def damage(self, objects: ObjectStore, digest: Digest, data: bytes) -> None:
        assert isinstance(objects, BucketObjects)
        put_behind_its_back(self.endpoint, objects.url, f"{digest[:2]}/{digest[2:]}", data)

    def later(self, objects: ObjectStore, seconds: float) -> ObjectStore:
        assert isinstance(objects, BucketObjects)
        return BucketObjects(objects.url, clock=LateClock(seconds), **s3_options(self.endpoint))


def test_law_3_a_put_makes_an_old_object_young_again(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    for again in (b"old", iter([b"old"])):
        info = objects.put(b"old")
        os.utime(objects.local_path(info.digest) or "", (0, 0))
        assert list(objects.list(untouched_for=3600)) == [info.digest]
        objects.put(again)
        assert list(objects.list(untouched_for=3600)) == []
