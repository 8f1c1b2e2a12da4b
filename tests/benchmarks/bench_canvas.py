"""What painting people costs the window's thread, in processor time, and as a ratio to painting each by itself.

    QT_QPA_PLATFORM=offscreen python tests/benchmarks/bench_canvas.py [--people 15] [--repeats 40]

"each by itself" paints every limb and every joint with its own pen and path, as one would write it first. "with boxes"
is all that a new frame needs for the people who are not selected; the canvas keeps their picture until the next frame.
Times are of the thread that paints, so that a busy machine does not count.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPen
from PySide6.QtWidgets import QApplication

from poseviewer.core.skeleton import Skeleton, skeleton
from poseviewer.ui import theme
from poseviewer.ui.canvas import paint

SIZE = (1200, 800)


BODY = (
    (50, 6), (56, 3), (44, 3), (62, 7), (38, 7), (72, 22), (28, 22), (85, 38), (15, 38), (95, 53), (5, 53),
    (64, 54), (36, 54), (66, 76), (34, 76), (68, 97), (32, 97),
)  # fmt: skip
"""COCO's joints of somebody who stands, in per cent of the box."""


def standing(kit: Skeleton, rng: np.random.Generator) -> np.ndarray:
    """Return ``(K, 2)`` in per cent of the box; joints beyond COCO's 17 near the face, a wrist or an ankle."""
    points = np.full((kit.count, 2), 50.0)
    points[:17] = BODY
    for joint in range(17, kit.count):
        name = kit.joints[joint]
        left = name.startswith("left")
        near = 0 if "face" in name else (15 if left else 16) if "toe" in name or "heel" in name else (9 if left else 10)
        points[joint] = points[near] + rng.normal(0, 4, 2)
    return points


def crowd(kit: Skeleton, people: int) -> list[paint.Figure]:
    """Return people beside and over one another, with some occluded, absent and doubtful joints."""
    rng = np.random.default_rng(0)
    figures = []
    for place in range(people):
        corner = np.array([40 + place * (SIZE[0] - 140) / max(people, 1), rng.uniform(60, 300)])
        size = rng.uniform(100, 320)
        points = corner + standing(kit, rng) / 100 * [size * 0.45, size]
        visibility = rng.choice([0, *[1] * 3, *[2] * 16], kit.count).astype(np.uint8)
        doubt = rng.choice([0.3, 1.0, 1.0, 1.0], kit.count).tolist() if place % 3 == 0 else None
        figures.append(paint.Figure(points, visibility, place + 1, strengths=doubt))
    return figures


def one_by_one(painter: QPainter, figure: paint.Figure, kit: Skeleton) -> None:
    """Paint a person limb by limb and joint by joint."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    look, points = paint.OTHER, figure.points.tolist()
    for limb in kit.limbs:
        if figure.visibility[limb[0]] and figure.visibility[limb[1]]:
            ends = QPointF(*points[limb[0]]), QPointF(*points[limb[1]])
            halo = theme.data_colour("halo", paint.HALO_ALPHA)
            sides = {kit.sides[joint] for joint in limb} - {"centre"}
            colour = theme.data_colour(sides.pop() if len(sides) == 1 else "centre")
            for tint, width in ((halo, look.limb + 2 * paint.HALO), (colour, look.limb)):
                painter.setPen(QPen(tint, width))
                painter.drawLine(*ends)
    for joint in range(kit.count):
        if figure.visibility[joint]:
            colour = paint.joint_colour(kit, joint, figure.track, "side")
            at, seen = QPointF(*points[joint]), int(figure.visibility[joint])
            paint.paint_glyph(painter, at, look.joint, kit.sides[joint], colour, seen)


def cost(work: Callable[[QPainter], None], repeats: int) -> float:
    """Return the least milliseconds of processor time of painting on a picture of the canvas' size."""
    image = QImage(*SIZE, QImage.Format.Format_ARGB32_Premultiplied)
    times = []
    for _ in range(repeats):
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        start = time.thread_time()
        work(painter)
        times.append(time.thread_time() - start)
        painter.end()
    return 1000 * min(times)


def main() -> None:
    """Print one line a joint set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=15)
    parser.add_argument("--repeats", type=int, default=40)
    args = parser.parse_args()
    application = QApplication.instance() or QApplication(["bench_canvas"])
    theme.start()
    theme.apply("dark")
    print(f"{'people':28}{'painted ms':>12}{'with boxes':>12}{'each by itself':>16}{'ratio':>8}")
    for name in ("coco_17", "coco_wholebody_133"):
        kit = skeleton(name)
        figures = crowd(kit, args.people)
        boxes = [QRectF(QPointF(*f.points.min(axis=0)), QPointF(*f.points.max(axis=0))) for f in figures]

        def people(painter: QPainter, figures: list[paint.Figure] = figures, kit: Skeleton = kit) -> None:
            for figure in figures:
                paint.paint_figure(painter, figure, kit, "side", layer=True)

        def everything(
            painter: QPainter, boxes: list[QRectF] = boxes, people: Callable[[QPainter], None] = people
        ) -> None:
            paint.paint_boxes(painter, boxes)
            people(painter)

        def plainly(painter: QPainter, figures: list[paint.Figure] = figures, kit: Skeleton = kit) -> None:
            for figure in figures:
                one_by_one(painter, figure, kit)

        fast, whole = cost(people, args.repeats), cost(everything, args.repeats)
        slow = cost(plainly, max(args.repeats // 4, 3))
        print(
            f"{args.people} of {kit.count} joints".ljust(28)
            + f"{fast:12.2f}{whole:12.2f}{slow:16.2f}{slow / fast:8.1f}"
        )
    application.quit()


if __name__ == "__main__":
    main()
