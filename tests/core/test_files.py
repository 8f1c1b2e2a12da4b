"""Atomic writing and staying inside a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from poseviewer.core.errors import FormatError
from poseviewer.core.files import atomic_write, inside, write_bytes


def _write_half(target: Path) -> None:
    with atomic_write(target) as stream:
        stream.write(b"half of the new")
        raise OSError(28, "No space left on device")


def test_an_error_leaves_the_old_file_and_no_leftovers(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        _write_half(target)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_the_new_content_replaces_the_old_and_is_readable_by_others(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_bytes(b"old")
    write_bytes(target, b"new")
    assert target.read_bytes() == b"new"
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert target.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a/b/../../../x"])
def test_a_foreign_name_never_leaves_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match="outside its folder"):
        inside(tmp_path, name, file=Path("labels.json"))


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "way").symlink_to(tmp_path)
    with pytest.raises(FormatError, match="outside its folder"):
        inside(folder, "way/secret")
    assert inside(folder, "a/b.png") == folder.resolve() / "a" / "b.png"
