"""The wheel carries its resources and starts from another folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
    )
    return next(out.glob("poseviewer-*.whl"))


def test_resources_travel_in_the_wheel(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for part in ("skeletons/coco_17.json", "icons/icons.svg", "weights/detector.safetensors"):
        assert f"poseviewer/_resources/{part}" in names
    assert any(name.startswith("poseviewer/_resources/translations/") for name in names)
    assert not any(name.startswith(("tests/", "packaging/")) for name in names)


def test_the_wheel_starts_in_an_empty_environment_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "environment"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    # The dependencies, a gigabyte, are borrowed; poseviewer itself is not, as the lender's path files are not read.
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    Path(site, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"QT_QPA_PLATFORM": "offscreen"}
    code = (
        "import poseviewer, sys; from poseviewer.core.resources import resource_folder;"
        "print(poseviewer.__file__); print(resource_folder());"
        "from poseviewer.core.skeleton import skeleton; print(skeleton().count)"
    )
    said = subprocess.run(
        [python, "-c", code], cwd=elsewhere, env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    assert said[0].startswith(str(home))
    assert said[1].startswith(str(home))
    assert said[2] == "17"
    console = home / "bin" / "poseviewer"
    doctor = subprocess.run(
        [console, "doctor"], cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
    )
    assert doctor.returncode == 0, doctor.stderr
    assert "torch" in doctor.stdout
