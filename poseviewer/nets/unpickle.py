"""Reading tensors out of files that a person offers, without ever running what such a file may carry.

Two kinds of files are read: safetensors (numbers and a small table of strings) and torch's own format, which is a
pickle: in a zip file since 2020, bare with the numbers behind it before (most published pose networks). A pickle may
name any function of any library and have it called while it is read. So the names are listed first, without executing
anything, compared with a short allow-list, and only then the file is read by torch's ``weights_only`` reader, which
refuses everything that is not on the list. What stands on the list may be the class itself or an inert stand-in.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickletools
import re
import tarfile
import threading
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from poseviewer.core.errors import WeightsError
from poseviewer.core.files import write_bytes

SAFETENSORS_SUFFIX = ".safetensors"
TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin")
MAGIC = 0x1950A86A20F9469CFC6C
"""What files of torch before 1.6 begin with."""
NAMING = ("GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4")
"""Operations of a pickle that load something by name."""
EARLY_PICKLES = 5
"""Magic, protocol, machine, content and the keys of the numbers, which follow."""
TENSOR_NAMES = re.compile(
    r"collections\.OrderedDict|_codecs\.encode|torch\.(cuda\.)?[A-Z][a-zA-Z0-9]*Storage|torch\.nn\.parameter\.Parameter"
    r"|collections\.Counter|builtins\.(set|complex|bytearray)"
    r"|torch\._utils\._rebuild_(tensor|tensor_v2|parameter)|torch\.(Size|Tensor|device|u?int\d+|b?float\d+|bool)"
)
"""What early files name for tensors and plain containers; torch's reader admits these without being told."""
LAST_PROTOCOL = 3
"""Of pickles: torch writes 2 unless it is told otherwise, and its reader knows most of 3."""
SAVE_AGAIN = "Load it where it was made and save its state dict again with torch.save, or as safetensors."

# torch's list of safe names belongs to the whole process, so one reader at a time.
_READING = threading.Lock()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def require_file(path: Path) -> Path:
    """Return ``path`` if it is a file with content that can be opened.

    Raises:
        WeightsError: it is missing, a folder, empty or may not be read.
    """
    try:
        if not path.exists():
            raise WeightsError(f"The weights file {path} does not exist.", file=path)
        if not path.is_file():
            raise WeightsError(f"{path} is not a file, so it cannot hold weights.", file=path)
        if path.stat().st_size == 0:
            raise WeightsError(f"The weights file {path.name} is empty.", file=path)
        with path.open("rb"):
            pass
    except OSError as error:
        raise WeightsError(f"The weights file {path.name} cannot be read: {error.strerror}.", file=path) from error
    return path


def read_safetensors(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read a safetensors file.

    Returns:
        the tensors by name, on the CPU, and the table of strings (empty if the file has none).

    Raises:
        WeightsError: the file is missing or is not a complete safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    file = require_file(Path(path))
    try:
        with safe_open(str(file), framework="pt", device="cpu") as reader:
            tensors = {name: reader.get_tensor(name) for name in reader.keys()}  # noqa: SIM118 - not a mapping
            return tensors, dict(reader.metadata() or {})
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{file.name} is not a readable safetensors file: {error}.", file=file) from error


def safetensors_metadata(path: Path) -> dict[str, str]:
    """The table of strings of a safetensors file, without its tensors.

    Raises:
        WeightsError: the file is not a complete safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt", device="cpu") as reader:
            return dict(reader.metadata() or {})
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path.name} is not a readable safetensors file: {error}.", file=path) from error


def write_safetensors(path: str | Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and a table of strings; a crash leaves the old file or the new one.

    Raises:
        OSError: as the operating system reports it.
    """
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_bytes(path, save(plain, metadata=dict(metadata)))


def metadata_json(metadata: Mapping[str, str], key: str, *, file: Path) -> dict[str, Any]:
    """Return the JSON object stored under ``key`` of a safetensors file's table of strings.

    Raises:
        WeightsError: the key is missing or is not a JSON object.
    """
    text = metadata.get(key)
    if text is None:
        raise WeightsError(f"{file.name} does not say which network it belongs to (no {key!r} entry).", file=file)
    try:
        value = json.loads(text)
    except ValueError as error:
        raise WeightsError(f"The {key!r} entry of {file.name} is not JSON: {error}.", file=file) from error
    if not isinstance(value, dict):
        raise WeightsError(f"The {key!r} entry of {file.name} is not a JSON object.", file=file)
    return value


def read_torch(
    path: str | Path,
    allowed: Mapping[str, Callable[[], Any]] | None = None,
    *,
    kind: str = "a weights file",
) -> Any:
    """Read a file in torch's format through an allow-list; nothing in it is executed.

    Args:
        path: the file.
        allowed: the names (``module.Class``) the pickle may use beyond tensors and plain containers, each with a
            function that returns the class or what stands in for it. They are resolved only when the file uses
            nothing else.
        kind: what the file was offered as, for the message ("a YOLO detection network").

    Returns:
        what the file holds.

    Raises:
        WeightsError: the file is missing, damaged, no torch file, or names something that is not on the list; the
            sentence names what.
    """
    file = require_file(Path(path))
    wanted = dict(allowed or {})
    names = pickled_names(file)
    strange = sorted(names - set(wanted))
    if strange:
        shown = ", ".join(strange[:4]) + (f" and {len(strange) - 4} more" if len(strange) > 4 else "")
        raise WeightsError(
            f"{file.name} was not opened: as {kind} it should hold only numbers and known layers, "
            f"but it asks to load {shown}.",
            file=file,
            remedy="Use a safetensors file, or weights from a source you trust that were saved as a state dict.",
        )
    classes: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
        (wanted[name](), name) for name in sorted(names)
    ]
    with _reading(file), torch.serialization.safe_globals(classes):
        return torch.load(file, map_location="cpu", weights_only=True)


def pickled_names(file: Path) -> set[str]:
    """Return the names beyond torch's own safe ones that a torch file would load, without executing it.

    Raises:
        WeightsError: the file is damaged or is no torch file.
    """
    if zipfile.is_zipfile(file):
        with _reading(file):
            _refuse_other_archives(file)
            return set(torch.serialization.get_unsafe_globals_in_checkpoint(file))
    if tarfile.is_tarfile(file):
        raise WeightsError(
            f"{file.name} is in the tar format of torch before 0.1.10 (2017), which cannot be read without running it, "
            "so it was not opened.",
            file=file,
            remedy=SAVE_AGAIN,
        )
    names: set[str] = set()
    with file.open("rb") as stream:
        for number in range(EARLY_PICKLES):
            try:
                operations = [(code.name, argument) for code, argument, _ in pickletools.genops(stream)]
            except Exception as error:
                if number:
                    raise WeightsError(
                        f"{file.name} cannot be read as torch weights: it is damaged.", file=file
                    ) from error
                operations = []
            if not number and MAGIC not in [argument for _, argument in operations]:
                raise WeightsError(
                    f"{file.name} is not a weights file in torch's format, or it is damaged, so it was not opened.",
                    file=file,
                )
            protocols = [argument for code, argument in operations if code == "PROTO" and isinstance(argument, int)]
            if max(protocols, default=0) > LAST_PROTOCOL:
                raise _strange_protocol(file)
            names |= {_named(code, argument) for code, argument in operations if code in NAMING}
    return {name for name in names if not TENSOR_NAMES.fullmatch(name)}


def _refuse_other_archives(file: Path) -> None:
    """Refuse zip files that torch did not write, and programs of torch."""
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    if any("/code/" in name for name in names):
        raise WeightsError(
            f"{file.name} is a TorchScript program, not a table of weights, so it was not opened.",
            file=file,
            remedy=SAVE_AGAIN,
        )
    if not any(name.endswith("/data.pkl") for name in names):
        raise WeightsError(f"{file.name} is a zip file, but not one in torch's format.", file=file)


def _strange_protocol(file: Path) -> WeightsError:
    return WeightsError(
        f"{file.name} is written in a pickle protocol that torch's safe reader does not know, so it was not opened.",
        file=file,
        remedy=SAVE_AGAIN,
    )


def _named(code: str, argument: object) -> str:
    """What an operation of a pickle loads."""
    if code not in ("GLOBAL", "INST"):
        return "something that it does not name"
    module, _, name = str(argument).partition(" ")
    # Names of Python 2, as torch translates them.
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}"


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[None]:
    # torch reports damage with many exception types (pickle, zip, key, unicode); all mean the same to a person.
    with _READING:
        try:
            yield
        except WeightsError:
            raise
        except Exception as error:
            found = re.search(r"WeightsUnpickler error:\s*([^\n]+?)(\. Please|\n|$)", str(error))
            if "Unsupported operand" in str(error):
                raise _strange_protocol(file) from error
            cause = found[1] if found else str(error).strip().split("\n", 1)[0] or type(error).__name__
            raise WeightsError(f"{file.name} cannot be read as torch weights: {cause}", file=file) from error
