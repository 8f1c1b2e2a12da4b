"""From arguments to an exit status; one sentence for what a person can act on, the log for everything else."""

from __future__ import annotations

import codecs
import contextlib
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence

from poseviewer.cli.parser import COMMANDS, build_parser
from poseviewer.core.errors import KnownError

CANCELLED = 130
log = logging.getLogger("poseviewer.cli")


def is_command(argv: Sequence[str]) -> bool:
    """Return whether ``argv`` is for the command line; otherwise it names what the window should open."""
    return bool(argv) and argv[0] in (*COMMANDS, "-h", "--help", "--version")


def run_command(argv: Sequence[str]) -> int:
    """Run one command and return the exit status: 0 done, 1 failed, 2 wrong call, 130 cancelled."""
    try:
        args = build_parser().parse_args(list(argv))
    except SystemExit as end:
        return int(end.code or 0)
    if args.command is None:
        build_parser().print_help()
        return 0
    from poseviewer.cli.commands import TABLE

    return guarded(lambda: TABLE[args.command](args))


def guarded(work: Callable[[], int]) -> int:
    """Call ``work`` and turn whatever it raises into a sentence on stderr and an exit status.

    Args:
        work: a callable without arguments that returns an exit status.
    """
    _ready_streams()
    place = _start_log()
    try:
        with _terminate_like_ctrl_c():
            return work()
    except KnownError as error:
        log.info("%s", error, exc_info=True)
        print(f"poseviewer: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("poseviewer: cancelled; what was finished is kept.", file=sys.stderr)
        return CANCELLED
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is left to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        log.exception("the operating system refused")
        name = f"{error.filename}: " if error.filename else ""
        print(f"poseviewer: {name}{error.strerror or error}.", file=sys.stderr)
        return 1
    except Exception as error:
        log.exception("unexpected")
        told = f"; the details are in {place}" if place else ""
        print(f"poseviewer: an unexpected error ({type(error).__name__}){told}.", file=sys.stderr)
        return 1


def _ready_streams() -> None:
    """Let every name be printed, as its own bytes or escaped; a stream that was closed takes everything silently."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # it lives as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            utf8 = codecs.lookup(stream.encoding).name == "utf-8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")


@contextlib.contextmanager
def _terminate_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM (``timeout``, a batch system) end a job as Ctrl-C does, so that finished work is kept."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:
        # Only the main thread may set a handler.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start_log() -> str:
    """Start the log and return its place, or "" where none can be written."""
    from poseviewer.core.log import start_log

    logging.captureWarnings(True)
    warnings = logging.getLogger("py.warnings")
    warnings.propagate = False
    try:
        place = str(start_log())
    except OSError:
        warnings.addHandler(logging.NullHandler())
        return ""
    warnings.handlers = list(logging.getLogger("poseviewer").handlers)
    return place
