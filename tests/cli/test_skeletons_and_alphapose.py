"""Joint sets and AlphaPose's results on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cocomade import read_json, write_json, write_pictures

from poseviewer.cli.main import run_command
from poseviewer.core.resources import resource
from poseviewer.project import Project


def test_a_skeleton_of_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSEVIEWER_CONFIG", str(tmp_path / "settings"))
    content = json.loads(resource("skeletons/lsp_14.json").read_text())
    file = write_json(tmp_path / "mine.json", {**content, "name": "mine", "title": "Mine"})
    assert run_command(["skeletons", "--add", str(file)]) == 0
    (tmp_path / "settings" / "skeletons" / "broken.json").write_text("[]")
    capsys.readouterr()
    assert run_command(["skeletons"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("mine ") and line.endswith("(yours)") for line in lines)
    assert lines[-1].startswith("broken.json is not a skeleton file")
    assert run_command(["skeletons", "--json"]) == 0
    assert "mine" in json.loads(capsys.readouterr().out)["own"]
    assert run_command(["skeletons", "--add", str(tmp_path / "settings" / "skeletons" / "broken.json")]) == 1
    rows = [{"image_id": "a.png", "category_id": 1, "keypoints": [5.0, 5, 0.5] * 14, "score": 1.0}]
    write_pictures(tmp_path / "p", ["a.png"])
    words = ["import", str(write_json(tmp_path / "r.json", rows)), "--images", str(tmp_path / "p")]
    assert run_command([*words, "--project", str(tmp_path / "r.poseproj"), "--skeleton", "mine"]) == 0
    with Project.open(tmp_path / "r.poseproj") as project:
        assert project.skeleton.name == "mine"


def test_alphapose_in_and_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(tmp_path / "p", ["a.png"])
    rows = [{"image_id": "a.png", "category_id": 1, "keypoints": [5.0, 5, 0.5] * 26, "score": 1.0, "idx": [0.0]}]
    file, project = write_json(tmp_path / "r.json", rows), str(tmp_path / "r.poseproj")
    assert run_command(["import", str(file), "--images", str(tmp_path / "p"), "--project", project]) == 0
    for form in ("alphapose", "alphapose-cmu", "alphapose-open"):
        words = ["export", project, "--format", form, "--out", str(tmp_path / form), "--include", "predictions"]
        capsys.readouterr()
        assert run_command(words) == 0
        said = capsys.readouterr()
        assert "read back and compared." in said.err
        assert Path(said.out.strip()) == tmp_path / form / "alphapose-results.json"
    assert read_json(tmp_path / "alphapose" / "alphapose-results.json")[0]["keypoints"] == [5.0, 5.0, 0.5] * 26
