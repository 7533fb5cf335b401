"""Plug-ins by entry point."""

import pytest

from tidegate.kernel.errors import Invalid, Unavailable
from tidegate.kernel.plugins import _points, load_plugin, plugin_names

FORMATS = "tidegate.formats"


def test_the_built_in_formats_are_plugins() -> None:
    assert {"onnx", "sklearn"} <= set(plugin_names(FORMATS))
    assert getattr(load_plugin(FORMATS, "onnx"), "name", "onnx")
    assert plugin_names("tidegate.no_such_group") == []


def test_an_unknown_plugin_is_told_the_known() -> None:
    known = "lightgbm, onnx, sklearn, torch, xgboost"
    with pytest.raises(Invalid, match=f"'tensorflow' in tidegate.formats; there are: {known}"):
        load_plugin(FORMATS, "tensorflow")
    with pytest.raises(Invalid, match="there are: none"):
        load_plugin("tidegate.no_such_group", "x")


def test_a_plugin_whose_library_is_missing_names_the_extra() -> None:
    from importlib.metadata import EntryPoint

    _points(FORMATS)["broken"] = EntryPoint("broken", "no_such_library.part:FORMAT", FORMATS)
    try:
        with pytest.raises(Unavailable, match=r"needs no_such_library: pip install 'tidegate\[broken\]'"):
            load_plugin(FORMATS, "broken")
    finally:
        del _points(FORMATS)["broken"]
