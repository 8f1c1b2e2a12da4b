"""MMPose's associative embedding: encoding people and decoding scenes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.ops.codec_ae_mmpose import AeCodec

FILE = "hrnet_ae/ae_mmpose.npz"


def sizes(maps: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Input and heatmap size of maps of a shape ``(K, h, w)``; a cell is four pixels wide."""
    return (maps[2] * 4, maps[1] * 4), (maps[2], maps[1])


def codec(data: Vectors, options: dict[str, Any], shape: tuple[int, ...]) -> AeCodec:
    return AeCodec(
        *sizes(shape),
        udp=options["use_udp"],
        order=tuple(int(joint) for joint in data["order"]),
        most=options["decode_topk"],
        most_people=options["decode_max_instances"],
        threshold=options["decode_keypoint_thr"],
        tag_threshold=options["decode_tag_thr"],
        window=options["decode_nms_kernel"],
        shift=options["decode_center_shift"],
        blur=options["decode_gaussian_kernel"],
    )


@check(FILE, "decoding of scenes")
def scenes(data: Vectors) -> Iterator[Comparison]:
    for number, options in enumerate(data.json()):
        maps, tags = data.tensor(f"s{number}_hm"), data.tensor(f"s{number}_tags")
        if options["error"]:
            continue
        case = f"scene {number} ({options['kind']}, {options['L']} tags, UDP {options['use_udp']})"
        (found,) = codec(data, options, maps.shape).decode(maps[None], tags[None])
        yield same(f"{case}: people", len(found.joints), options["found"])
        yield close(f"{case}: joints", found.joints, data[f"s{number}_kp"], 1e-3)
        yield close(f"{case}: scores", found.scores, data[f"s{number}_sc"], 1e-5)
        yield close(f"{case}: people's scores", found.person_scores, data[f"s{number}_inst"], 1e-5)


@check(FILE, "encoding")
def encoding(data: Vectors) -> Iterator[Comparison]:
    joints, visible = data.tensor("enc_kp"), data.tensor("enc_vis")
    for udp in (False, True):
        name = f"enc_udp{int(udp)}"
        wanted = data[f"{name}_hm"]
        made = AeCodec(*sizes(wanted.shape), udp=udp)
        yield close(f"sigma {name}", made.spread, data[f"{name}_sigma"], 1e-12)
        found = made.encode(joints, visible)
        yield close(f"maps {name}", found.maps, wanted, 1e-6)
        yield same(f"places {name}", found.places, data[f"{name}_idx"])
        yield same(f"weights {name}", found.weights, data[f"{name}_w"])
