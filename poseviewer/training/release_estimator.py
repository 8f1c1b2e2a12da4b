"""Put a trained estimator among the resources: ``python -m poseviewer.training.release_estimator --help``.

Several files of one network are averaged, parameter by parameter: the ends of trainings that began from each other lie
in one valley, and its middle generalises a little better than its rim (Izmailov et al. 2018, "Averaging Weights Leads
to Wider Optima and Better Generalization"). The averages of batch normalisation are averaged too, not counted anew.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from msgspec.structs import replace
from torch import Tensor

from poseviewer.core.errors import CallError
from poseviewer.nets.unpickle import sha256_of
from poseviewer.nets.weights import load_estimator, read_own, save_estimator
from poseviewer.training.command import run_command
from poseviewer.training.learnt import together


def averaged(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of each tensor of float dtype, computed in float64; other tensors are the last one's.

    Raises:
        CallError: the tensors have not the same names and shapes.
    """
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    if any(other != shapes[0] for other in shapes[1:]):
        raise CallError("The weights to average are not of one network.")
    last = states[-1]
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in last.items()
    }


def release_estimator(weights: Sequence[Path], out: Path, *, transformer: Path | None, note: str) -> str:
    """Write the average of trained estimators.

    Args:
        weights: of one network; all but the numbers is the last one's.
        out: the file to write.
        transformer: file whose spatial transformer goes with it; None for that of the last one, if it has one.
        note: for the header.

    Returns:
        the new file's SHA-256.

    Raises:
        KnownError: a file cannot be read, they are not of one network, or the transformer's file has none.
    """
    loaded = [load_estimator(path) for path in weights]
    headers = [read_own(path)[0] for path in weights]
    module, stn, header = loaded[-1].module, loaded[-1].stn, headers[-1]
    if transformer is not None:
        stn, localiser = load_estimator(transformer).stn, read_own(transformer)[0].localiser
        if stn is None:
            raise CallError(f"{transformer.name} has no spatial transformer.")
        header = replace(header, spec=replace(header.spec, stn=True), localiser=localiser)
    module.load_state_dict(averaged([one.module.state_dict() for one in loaded]))
    save_estimator(out, module, replace(header, note=note, learnt=together(one.learnt for one in headers)), stn)
    return sha256_of(out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m poseviewer.training.release_estimator", description=__doc__)
    parser.add_argument("weights", type=Path, nargs="+", help="what trainings left; several are averaged")
    parser.add_argument("--transformer", type=Path, help="file whose spatial transformer goes with it")
    parser.add_argument("--note", required=True, help="what was trained on, for the file's header")
    parser.add_argument("--out", type=Path, default=Path("resources/weights/estimator.safetensors"))
    options = parser.parse_args(arguments)

    def release() -> None:
        digest = release_estimator(options.weights, options.out, transformer=options.transformer, note=options.note)
        print(f"{options.out}: {options.out.stat().st_size} bytes, sha256 {digest}")

    return run_command(release)


if __name__ == "__main__":
    sys.exit(main())
