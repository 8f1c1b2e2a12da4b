"""Well-known published models: what they are called, where they are, what they reach; data in resources/models.

Importing this module imports no torch.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from poseviewer.core.errors import CallError, FormatError, WeightsError
from poseviewer.core.resources import cache_folder, resource

CATALOGUE = "models/catalogue.json"


class Entry(msgspec.Struct, frozen=True):
    """One published model.

    Attributes:
        name: what it is called here, e.g. "rtmpose-m".
        title: for people.
        publisher: who trained it.
        family: network family.
        pipeline: which pipeline runs it.
        skeleton: joint set; joints: K.
        input_wh: network input in pixels.
        ap: published average precision in percent on ``ap_of``; None where none was published.
        file: as the publisher names it.
        url: of the file; "" where only a page leads to it.
        page: where a person downloads it by hand; "" where ``url`` does.
        sha256: the first hexadecimal digits, as the publisher writes them into the name; "" where unknown.
        licence: of the publisher's repository.
    """

    name: str
    title: str
    publisher: str
    family: str
    pipeline: str
    skeleton: str
    joints: int
    input_wh: tuple[int, int]
    ap: float | None = None
    ap_of: str = ""
    file: str = ""
    url: str = ""
    page: str = ""
    sha256: str = ""
    licence: str = ""

    @property
    def path(self) -> Path:
        """Where the file is once it was fetched, or put there by hand."""
        return models_folder() / self.file

    @property
    def here(self) -> bool:
        """Whether the file is there."""
        return bool(self.file) and self.path.is_file()


class _Catalogue(msgspec.Struct, frozen=True):
    version: int
    models: tuple[Entry, ...]


@cache
def catalogue() -> tuple[Entry, ...]:
    """All entries.

    Raises:
        MissingPartError: the installation has no catalogue.
        FormatError: it is damaged.
    """
    path = resource(CATALOGUE)
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Catalogue).models
    except (msgspec.MsgspecError, OSError) as error:
        raise FormatError(f"The catalogue of models cannot be read: {error}.", file=path) from error


def models_folder() -> Path:
    """The folder of fetched models, in the user's cache; made if need be."""
    folder = cache_folder() / "models"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def entry(name: str) -> Entry:
    """The entry called ``name``.

    Raises:
        CallError: there is none.
    """
    found = next((one for one in catalogue() if one.name == name), None)
    if found is None:
        raise CallError(
            f"No model of the catalogue is called {name!r}.", remedy="poseviewer models list names them all."
        )
    return found


def located(name: str) -> Path:
    """The file that a person means: a path, or the name of a fetched model of the catalogue.

    Raises:
        WeightsError: a model of the catalogue that was not fetched yet.
    """
    path = Path(name)
    if path.exists() or path.suffix or len(path.parts) != 1:
        return path
    found = next((one for one in catalogue() if one.name == name), None)
    if found is None:
        return path
    if not found.here:
        raise WeightsError(f"The model {name} is not on this computer yet.", remedy=by_hand(found))
    return found.path


def by_hand(found: Entry) -> str:
    """What a person does to have a model: let it be fetched, or put it there."""
    if found.url:
        return f"poseviewer models fetch {found.name} fetches it; or put {found.url} at {found.path}."
    return f"Download it from {found.page} and put it at {found.path}."
