"""Every golden vector that a folder holds, against the program."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from goldenfolder import Comparison, Vectors, checks_of, close, same
from goldentable import ELSEWHERE, WHOLE, Table, elsewhere, parts

for _module in sorted(Path(__file__).parent.glob("check_*.py")):
    importlib.import_module(_module.stem)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "part" in metafunc.fixturenames:
        found = parts(metafunc.config.stash[Table.KEY].folder)
        metafunc.parametrize(("file", "part"), found, ids=[f"{file}-{part}" for file, part in found])


def test_part(file: str, part: str, golden: Path, pytestconfig: pytest.Config) -> None:
    path = golden / file
    if not path.exists():
        pytest.skip(f"{file} is not in {golden}")
    check = checks_of(file).get(part)
    if check is None:
        pytest.skip(f"{file} is not covered yet")
    comparisons: list[Comparison] = []
    try:
        comparisons.extend(check(Vectors(path)))
    finally:
        # Also where the file lacks an array that a later comparison asks for: that skips, and hides no difference.
        pytestconfig.stash[Table.KEY].note(file, part, comparisons)
        failed = [comparison for comparison in comparisons if not comparison.holds]
        assert not failed, "\n".join(f"{c.case}: {c.error:.3e} > {c.allowed:.0e}" for c in failed[:20])
    assert comparisons, "nothing was compared"


def test_a_test_that_is_said_to_cover_a_file_names_it() -> None:
    root = Path(__file__).resolve().parents[2]
    for file, test in ELSEWHERE.items():
        name = file.split("/")[1]
        assert name in (root / test.split(" ")[0]).read_text(encoding="utf-8"), file
    assert elsewhere("alphapose/kalman.npz") == ""


def test_a_difference_is_noticed() -> None:
    assert not same("one", [1.0, 2.0], [1.0, 2.5]).holds
    assert not close("shape", [1.0], [1.0, 1.0], 1.0).holds
    assert not close("nan", [float("nan")], [1.0], 1.0).holds
    assert not close("nan wanted", [1.0], [float("nan")], 1.0).holds
    assert close("both nan", [float("nan"), 1.0], [float("nan"), 1.1], 0.2).holds
    assert not Comparison("nan", float("nan"), 1.0).holds


def test_files_are_known_by_their_own_names_and_others_are_named(tmp_path: Path) -> None:
    for name in (
        "kalman.npz",
        "alphapose/nms_master_14_heatmap.npz",
        "deeper/down/munkres.npz",
        "hrnet_ae/unheard.npz",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = dict(parts(tmp_path))
    assert found["hrnet_ae/unheard.npz"] == WHOLE
    assert found["deeper/down/munkres.npz"] == "assignment"
    assert {"kalman.npz", "alphapose/nms_master_14_heatmap.npz", "hrnet_ae/ae_mmpose.npz"} <= found.keys()
    assert not {"alphapose/kalman.npz", "alphapose/nms_master_*.npz", "hrnet_ae/munkres.npz"} & found.keys()
