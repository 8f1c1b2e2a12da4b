"""What is installed, what works, and where things are kept."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Callable
from typing import Any

import msgspec

from poseviewer import __version__
from poseviewer.core.errors import KnownError
from poseviewer.core.log import log_path
from poseviewer.core.resources import cache_folder, config_folder, resource_folder, state_folder

PARTS = (
    "numpy", "torch", "ultralytics", "av", "opencv-python", "PySide6-Essentials", "pyqtgraph", "pycocotools",
    "safetensors", "orjson", "msgspec", "natsort", "filelock", "xxhash", "platformdirs", "psutil",
)  # fmt: skip
BAD_VERSIONS = {
    "PySide6-Essentials": {
        "6.9.1": "PySide6 6.9.1 breaks pyqtgraph; install another version.",
        "6.12.0": "PySide6 6.12.0 crashes on Python 3.10 and 3.11; install 6.11.3.",
    }
}
OTHER_OPENCV = ("opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
SYSTEM_PARTS = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libfontconfig.so.1": "libfontconfig1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libglib-2.0.so.0": "libglib2.0-0",
}
"""What Qt and cv2 load, with the Debian package that has it."""
X11_PARTS = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
"""What a window on an X display needs besides."""
DECODERS = ("h264", "hevc", "av1", "vp9", "mpeg2video", "mpeg4", "mjpeg", "prores")
ENCODERS = ("libx264", "libx265", "mpeg4")


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong, with what to do."""

    text: str
    serious: bool = True


class Diagnosis(msgspec.Struct, frozen=True):
    """Everything ``poseviewer doctor`` says.

    Attributes:
        poseviewer, python, system: versions.
        parts: installed version of each library, None where it is missing.
        devices: where networks can run.
        decoders, encoders: of PyAV.
        weights: bundled weight files with their size in bytes.
        folders: cache, log, settings and resources.
        free_bytes: on the disk of the cache.
        findings: what is wrong.
    """

    poseviewer: str
    python: str
    system: str
    parts: dict[str, str | None]
    devices: list[str]
    decoders: dict[str, bool]
    encoders: dict[str, bool]
    weights: dict[str, int]
    folders: dict[str, str]
    free_bytes: int
    display: str
    findings: list[Finding]

    def lines(self) -> list[str]:
        """Return it as lines for a terminal."""
        rows = [f"PoseViewer {self.poseviewer}, Python {self.python}, {self.system}", ""]
        rows += [f"  {name:<20} {version or 'missing'}" for name, version in self.parts.items()]
        rows += ["", "devices     " + ", ".join(self.devices), "display     " + self.display]
        rows += ["decoders    " + _yes(self.decoders), "encoders    " + _yes(self.encoders)]
        rows += [f"weights     {name}: {size / 1e6:.1f} MB" for name, size in self.weights.items()]
        rows += [f"{name:<11} {place}" for name, place in self.folders.items()]
        rows += [f"free        {self.free_bytes / 1e9:.1f} GB", ""]
        rows += [("PROBLEM: " if finding.serious else "Note: ") + finding.text for finding in self.findings]
        return rows if self.findings else [*rows, "Nothing is wrong."]


def diagnose() -> Diagnosis:
    """Look at versions, devices, codecs, clashes and folders; a part that fails becomes a finding."""
    findings: list[Finding] = []
    parts = {name: _version(name) for name in PARTS}
    findings += [Finding(f"{name} is not installed.") for name, version in parts.items() if version is None]
    for name, bad in BAD_VERSIONS.items():
        findings += [Finding(text) for version, text in bad.items() if parts.get(name) == version]
    findings += _clashes() + _system_parts()
    cache = _try(cache_folder, findings)
    return Diagnosis(
        poseviewer=__version__,
        python=platform.python_version(),
        system=platform.platform(),
        parts=parts,
        devices=_devices(findings),
        decoders=_codecs(DECODERS, findings, mode="r"),
        encoders=_codecs(ENCODERS, findings, mode="w"),
        weights=_weights(findings),
        folders={
            "cache": str(cache),
            "log": str(_try(log_path, findings)),
            "state": str(_try(state_folder, findings)),
            "settings": str(_try(config_folder, findings)),
            "resources": str(_try(resource_folder, findings)),
        },
        free_bytes=shutil.disk_usage(cache).free if cache else 0,
        display=display_words(),
        findings=findings,
    )


def display_words() -> str:
    """Return which display a window would use, or that there is none."""
    for name in ("QT_QPA_PLATFORM", "WAYLAND_DISPLAY", "DISPLAY"):
        if os.environ.get(name):
            return f"{name}={os.environ[name]}"
    return "none" if platform.system() == "Linux" else platform.system()


def _yes(table: dict[str, bool]) -> str:
    return ", ".join(name if there else f"({name} missing)" for name, there in table.items())


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _try(look: Callable[[], Any], findings: list[Finding]) -> Any:
    try:
        return look()
    except OSError as error:
        found = Finding(f"{error.filename} cannot be used: {error.strerror or error}.")
    except KnownError as error:
        found = Finding(str(error))
    if found not in findings:
        findings.append(found)
    return None


def _clashes() -> list[Finding]:
    """Return what is known to go wrong when two libraries meet."""
    findings = [
        Finding(f"{name} is installed beside opencv-python; the two overwrite each other. Remove it.")
        for name in OTHER_OPENCV
        if _version(name) and _version("opencv-python")
    ]
    if _version("PySide6") and _version("PySide6-Essentials") != _version("PySide6"):
        findings.append(Finding("PySide6 and PySide6-Essentials have different versions; install one of them anew."))
    findings += [
        Finding(f"{name} is set to {os.environ[name]}; Qt may load plugins of another Qt from there.", serious=False)
        for name in ("QT_PLUGIN_PATH", "QT_QPA_PLATFORM_PLUGIN_PATH")
        if os.environ.get(name)
    ]
    torchvision, torch = _version("torchvision"), _version("torch")
    if torchvision and torch and ("+cpu" in torchvision) != ("+cpu" in torch):
        findings.append(
            Finding(f"torchvision {torchvision} does not fit torch {torch}; PoseViewer needs none.", serious=False)
        )
    return findings


def _system_parts() -> list[Finding]:
    """Return the shared libraries that a window would miss; only told on Linux, where apt brings them."""
    if platform.system() != "Linux":
        return []
    missing = [package for library, package in SYSTEM_PARTS.items() if not _loads(library)]
    findings = [Finding(f"System libraries are missing: {', '.join(missing)}.")] if missing else []
    x11 = [package for library, package in X11_PARTS.items() if not _loads(library)]
    if x11:
        # Without an X display they are not needed now.
        needed = bool(os.environ.get("DISPLAY")) and os.environ.get("QT_QPA_PLATFORM", "xcb") == "xcb"
        findings.append(Finding(f"A window on an X display needs also: {', '.join(x11)}.", serious=needed))
    return findings


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _devices(findings: list[Finding]) -> list[str]:
    if importlib.util.find_spec("torch") is None:
        return []
    try:
        import torch
    except (ImportError, OSError) as error:
        findings.append(Finding(f"torch cannot be loaded: {error}."))
        return []
    names = [f"cpu ({torch.get_num_threads()} threads)"]
    if torch.cuda.is_available():
        names += [
            f"cuda:{number} ({torch.cuda.get_device_name(number)})" for number in range(torch.cuda.device_count())
        ]
    elif torch.version.cuda and shutil.which("nvidia-smi"):
        findings.append(Finding("An NVIDIA driver is there, but torch cannot use it.", serious=False))
    return names


def _codecs(names: tuple[str, ...], findings: list[Finding], *, mode: str) -> dict[str, bool]:
    try:
        import av
    except (ImportError, OSError) as error:
        findings.append(Finding(f"PyAV cannot be loaded: {error}."))
        return dict.fromkeys(names, False)
    table: dict[str, bool] = {}
    for name in names:
        try:
            av.Codec(name, "w" if mode == "w" else "r")
            table[name] = True
        except ValueError:
            table[name] = False
    return table


def _weights(findings: list[Finding]) -> dict[str, int]:
    folder = _try(resource_folder, findings)
    files = sorted((folder / "weights").glob("*.safetensors")) if folder else []
    if not files:
        findings.append(Finding("The bundled weights are missing; name your own with --detector and --estimator."))
    return {file.name: file.stat().st_size for file in files}
