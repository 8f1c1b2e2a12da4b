"""The models command: what it says about files, the catalogue, fetching and its failures."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from poseviewer.cli.main import run_command
from poseviewer.core.errors import KnownError
from poseviewer.core.skeleton import skeleton
from poseviewer.jobs import models as job
from poseviewer.nets import catalogue, hrnet
from poseviewer.nets.families import family

SMALL = hrnet.HRNetConfig(trunk=hrnet.TrunkConfig(width=4, modules=(1, 1, 1), blocks=1))


def call(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    status = run_command([str(word) for word in argv])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return status, said.out, said.err


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEVIEWER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "pose_hrnet_w4_384x288.pth"
    torch.save({"state_dict": {f"module.{k}": v for k, v in hrnet.HRNet(SMALL).state_dict().items()}}, path)
    return path


def test_inspect_says_what_a_file_is(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "models", "inspect", weights)
    assert status == 0
    for words in ("HRNet: HRNet-W4", "17, coco_17", "288 x 384, crop hrnet  (file name)", "RGB", "state_dict, module."):
        assert words in out
    status, out, _ = call(capsys, "models", "inspect", weights, "--json")
    report = json.loads(out)
    assert report["fits"] is True
    assert report["spec"]["input_wh"] == [288, 384]
    assert report["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_inspect_remembers_what_is_settled(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = ("--set", "input_wh=192,256", "--set", "bgr=true", "--set", "decode=dark")
    status, out, err = call(capsys, "models", "inspect", weights, *facts, "--json")
    assert status == 0
    assert ".poseviewer.json" in err
    spec = json.loads(out)["spec"]
    assert (spec["input_wh"], spec["bgr"], spec["decode"]) == ([192, 256], True, "dark")
    status, _, err = call(capsys, "models", "inspect", weights, "--set", "colour=blue")
    assert status == 1
    assert "'colour' cannot be settled" in err
    assert call(capsys, "models", "inspect", weights, "--set", "bgr")[0] == 2


def test_a_stranger_is_told_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "table.pth"
    torch.save({"fc.weight": torch.zeros(2, 3)}, path)
    status, out, _ = call(capsys, "models", "inspect", path)
    assert status == 0
    assert "none that this program knows" in out
    assert "fc.weight 2 x 3" in out
    status, _, err = call(capsys, "models", "inspect", tmp_path / "nothing.pth")
    assert status == 1
    assert err.count("\n") == 1


def test_the_catalogue_holds_together() -> None:
    entries = catalogue.catalogue()
    assert len({one.name for one in entries}) == len(entries) > 20
    for one in entries:
        assert family(one.family) is not None, one.name
        assert skeleton(one.skeleton).count == one.joints, one.name
        assert bool(one.url) != bool(one.page), one.name
        assert one.url.startswith("https://") or one.page.startswith("https://"), one.name
        assert not one.url or (one.url.endswith("/" + one.file) and one.sha256 in one.file), one.name
        assert one.ap is None or (40 < one.ap < 85 and one.ap_of), one.name
        assert one.licence, one.name


def test_list_is_a_table_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "models", "list")
    assert status == 0
    assert "rtmpose-m" in out
    assert "75.8" in out
    rows = json.loads(call(capsys, "models", "list", "--json")[1])
    assert next(row for row in rows if row["name"] == "rtmpose-m")["here"] is False


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[catalogue.Entry]:
    """A model that a server of this computer offers under its published checksum."""
    folder = tmp_path / "served"
    folder.mkdir()
    content = bytes(range(256)) * 400
    digest = hashlib.sha256(content).hexdigest()[:8]
    file = f"net-{digest}_20230101.pth"
    (folder / file).write_bytes(content)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: _Quiet(*a, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    model = msgspec.structs.replace(
        catalogue.entry("rtmpose-t"),
        name="small",
        file=file,
        url=f"http://127.0.0.1:{server.server_address[1]}/{file}",
        sha256=digest,
    )
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(catalogue, "catalogue", lambda: (model,))
    yield model
    server.shutdown()
    server.server_close()


def test_a_model_is_fetched_once_and_found_by_name(offered: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KnownError, match="models fetch small"):
        catalogue.located("small")
    status, out, _ = call(capsys, "models", "fetch", "small")
    assert status == 0
    path = Path(out.strip())
    assert path == offered.path == catalogue.located("small")
    assert path.stat().st_size == 256 * 400
    stamp = path.stat().st_mtime_ns
    assert call(capsys, "models", "fetch", "small")[0] == 0
    assert path.stat().st_mtime_ns == stamp
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_wrong_file_is_refused(offered: Any, capsys: pytest.CaptureFixture[str]) -> None:
    offered.path.write_bytes(b"something else")
    status, _, err = call(capsys, "models", "fetch", "small")
    assert status == 1
    assert f"does not begin with {offered.sha256}" in err


def test_without_a_network_the_place_for_the_file_is_said(
    offered: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = msgspec.structs.replace(offered, url=f"http://127.0.0.1:9/{offered.file}")
    monkeypatch.setattr(catalogue, "catalogue", lambda: (nowhere,))
    status, _, err = call(capsys, "models", "fetch", "small")
    assert status == 1
    assert "seems to be offline" in err
    assert str(offered.path) in err
    assert not offered.path.exists()


def test_a_model_behind_a_page_is_fetched_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = call(capsys, "models", "fetch", "alphapose-fastpose")
    assert status == 1
    assert "drive.google.com" in err
    assert "fast_res50_256x192.pth" in err
    assert call(capsys, "models", "fetch", "nonsense")[0] == 2


def test_export_says_what_is_missing_or_how_close_it_is(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    out = tmp_path / "net.onnx"
    status, said, err = call(capsys, "models", "export", weights, "--out", out)
    if importlib.util.find_spec("onnx") is None:
        assert status == 1
        assert "poseviewer[fast]" in err
        assert not out.exists()
    else:
        assert status == 0
        assert said.strip() == str(out)
    assert not list(tmp_path.glob(".net*"))
    status, _, err = call(capsys, "models", "export", weights, "--out", tmp_path / "nowhere" / "net.onnx")
    assert status == 1
    assert f"poseviewer: {tmp_path / 'nowhere' / 'net.onnx'} cannot be written: No such file or directory." in err


def test_a_closed_download_stops() -> None:
    counter = job._Counter()
    counter.update(3)
    counter.closed.set()
    with pytest.raises(job._CancelledError):
        counter.update(1)
    assert counter.done == 3
