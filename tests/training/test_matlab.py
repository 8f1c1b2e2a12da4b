"""Arrays of MATLAB 5 files, compared with another reader's and writer's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from poseviewer.training.matlab import read_matlab


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["f8", "f4", "i4", "u1", "i2", "i8"])
def test_arrays_come_back_as_they_were_written(tmp_path: Path, kind: str, packed: bool) -> None:
    joints = np.arange(3 * 14 * 5).reshape(3, 14, 5).astype(kind)
    others = {"a": np.zeros((2, 2)), "words": "some text", "cells": np.array([1, "x"], dtype=object), "z": 1 + 2j}
    savemat(tmp_path / "a.mat", {**others, "joints": joints, "w": np.float64(3)}, do_compression=packed)
    np.testing.assert_array_equal(read_matlab(tmp_path / "a.mat", "joints"), joints.astype(np.float64))
    assert read_matlab(tmp_path / "a.mat", "w").tolist() == [[3.0]]
    with pytest.raises(ValueError, match="no array absent"):
        read_matlab(tmp_path / "a.mat", "absent")
    with pytest.raises(ValueError, match=r"damaged|other numbers"):
        read_matlab(tmp_path / "a.mat", "cells")


@settings(max_examples=60, deadline=None)
@given(st.data(), st.booleans())
def test_damaged_files_are_value_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, packed: bool
) -> None:
    file = tmp_path_factory.mktemp("mat") / "a.mat"
    savemat(file, {"joints": np.ones((3, 14, 2))}, do_compression=packed)
    raw = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(124, len(raw) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(raw[: data.draw(st.integers(100, len(raw)))])
    try:
        found = read_matlab(file, "joints")
    except ValueError:
        return
    assert found.dtype == np.float64


def test_files_of_something_else(tmp_path: Path) -> None:
    for content in (b"", b"x" * 200, b"\x89HDF" + b"\0" * 200):
        (tmp_path / "a.mat").write_bytes(content)
        with pytest.raises(ValueError, match="not a MATLAB 5 file"):
            read_matlab(tmp_path / "a.mat", "joints")
