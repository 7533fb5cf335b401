"""Addresses open the store they name, and mistakes in them are explained."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.storage.s3_process import new_bucket, put_behind_its_back, s3_options, s3_server
from tidegate.kernel.errors import Invalid, Unavailable
from tidegate.storage.objects import open_objects
from tidegate.storage.objects.bucket import BucketObjects
from tidegate.storage.objects.folder import FolderObjects


def test_paths_and_file_addresses_open_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a folder" / "objects"
    info = open_objects(folder).put(b"x")
    again = open_objects(f"file://{tmp_path}/a%20folder/objects")
    assert isinstance(again, FolderObjects)
    assert again.get(info.digest) == open_objects(str(folder)).get(info.digest) == b"x"


@pytest.mark.parametrize("url", ["ftp://host/x", "file://elsewhere/x", "http://host/x", "memory:///"])
def test_other_addresses_are_invalid(url: str) -> None:
    with pytest.raises(Invalid, match="file://"):
        open_objects(url)


def test_a_folder_takes_no_options(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="region"):
        open_objects(tmp_path, region="us-east-1")


def test_an_unknown_option_of_a_bucket_is_named() -> None:
    with pytest.raises(Invalid, match=r"s3://bucket.*colour"):
        open_objects("s3://bucket", colour="red")


def test_a_file_in_the_place_of_the_folder_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="cannot make the folder"):
        open_objects(tmp_path / "file")


def test_opening_a_folder_does_not_import_obstore() -> None:
    code = "import sys, tidegate.storage.objects; sys.exit('obstore' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_a_missing_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['obstore'] = None\n"
        "from tidegate.storage.objects import open_objects\n"
        "from tidegate.kernel.errors import Unavailable\n"
        "try: open_objects('s3://bucket')\n"
        "except Unavailable as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert "pip install 'tidegate[s3]'" in ran.stdout


def test_google_and_azure_addresses_open_without_a_request() -> None:
    assert isinstance(open_objects("gs://bucket/prefix", skip_signature=True), BucketObjects)
    azure = open_objects("az://container/prefix", account_name="account", skip_signature=True)
    assert isinstance(azure, BucketObjects)


def test_a_missing_bucket_and_a_dead_server_are_explained() -> None:
    with s3_server() as endpoint:
        nowhere = open_objects("s3://no-such-bucket", **s3_options(endpoint))
        with pytest.raises(Unavailable, match="there is no bucket s3://no-such-bucket"):
            nowhere.put(b"x")
        retry = {"max_retries": 1}
        objects = open_objects(new_bucket(endpoint), retry_config=retry, **s3_options(endpoint))
        info = objects.put(b"x")
    for ask in (objects.get, objects.stat, objects.exists, objects.delete):
        with pytest.raises(Unavailable, match="cannot reach object"):
            ask(info.digest)
    with pytest.raises(Unavailable, match="cannot put object"):
        objects.put(b"y")
    with pytest.raises(Unavailable, match="cannot list"):
        list(objects.list())


def test_metadata_that_another_tool_dropped_is_taken_from_the_bytes() -> None:
    with s3_server() as endpoint:
        url = new_bucket(endpoint)
        objects = open_objects(url, **s3_options(endpoint))
        info = objects.put(b"copied")
        for key in (f"{info.digest[:2]}/{info.digest[2:]}", "readme.txt", f"{info.digest[:2]}/foreign"):
            put_behind_its_back(endpoint, url, key, b"copied")
        assert objects.stat(info.digest) == info
        assert list(objects.list()) == list(objects.list(info.digest[:2])) == [info.digest]
