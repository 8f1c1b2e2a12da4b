"""The option that names the folder of golden vectors, and the table that a run of them writes."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from goldenfolder import find_folder
from goldentable import Table


def pytest_addoption(parser: pytest.Parser) -> None:
    """Known when tests/golden is given on the command line; POSEVIEWER_GOLDEN says the same anywhere."""
    group = parser.getgroup("golden vectors")
    group.addoption("--golden", metavar="DIR", default=None, help="folder of golden vectors (or POSEVIEWER_GOLDEN)")
    group.addoption("--golden-table", metavar="FILE", default=None, help="write the table of files and errors there")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the table for the whole run."""
    config.stash[Table.KEY] = Table(find_folder(config.getoption("--golden", default=None)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the table where it was asked for."""
    target = session.config.getoption("--golden-table", default=None)
    if target:
        Path(target).write_text(session.config.stash[Table.KEY].markdown(), encoding="utf-8")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Skip, with its name, what needs a file that the folder does not hold."""
    folder = item.config.stash[Table.KEY].folder
    try:
        return (yield)
    except FileNotFoundError as error:
        if error.filename and Path(error.filename).is_relative_to(folder):
            pytest.skip(f"{Path(error.filename).relative_to(folder)} is not in {folder}")
        raise


@pytest.fixture(scope="session")
def golden(pytestconfig: pytest.Config) -> Path:
    """The folder of golden vectors of this run."""
    return pytestconfig.stash[Table.KEY].folder
