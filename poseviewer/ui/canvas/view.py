"""The canvas: a view on one picture, with heat, people and the hand that corrects them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QResizeEvent,
    QTransform,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QGraphicsScene, QGraphicsView, QWidget

from poseviewer.core.geometry import keypoints_box
from poseviewer.core.values import ABSENT, CropEvidence, Person
from poseviewer.ui import theme
from poseviewer.ui.canvas import hit, labels
from poseviewer.ui.canvas.bars import Bar, DisplayBar, LegendBar, ZoomBar
from poseviewer.ui.canvas.drags import START_PX, BandDrag, BodyDrag, BoxDrag, Drag, JointDrag, JointsDrag, PanDrag
from poseviewer.ui.canvas.heat import HeatItem
from poseviewer.ui.canvas.overlay import Overlay
from poseviewer.ui.canvas.picture import PictureItem
from poseviewer.ui.canvas.place import half_pixel, screen_points, to_picture, to_scene
from poseviewer.ui.canvas.tagmap import TagItem
from poseviewer.ui.canvas.trails import trail_of
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk

STEP = 1.15
SMALLEST, LARGEST = 0.05, 32.0
BAR_GAP = 12


class Canvas(QGraphicsView):
    """Shows the desk's frame; press selects, drag corrects or moves the picture, the wheel zooms at the pointer.

    Signals:
        pointed (object): ``(x, y)`` picture place under the pointer, or None.
        zoomed (float): screen px per picture pixel.
        box_mode_changed (bool): whether the next drag draws a box around a missed person.
    """

    pointed = Signal(object)
    zoomed = Signal(float)
    box_mode_changed = Signal(bool)

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.desk = desk
        self.hover: hit.Hit | None = None
        self.drag: Drag | None = None
        self.pointer: QPointF | None = None
        self.waiting_box: npt.NDArray[np.float64] | None = None
        self.box_mode = False
        self.focus_shown = False
        self._was_chosen = False
        self._pressed: tuple[QPointF, hit.Hit | None, Qt.KeyboardModifier] | None = None
        self._fitted = True
        self._trail: tuple[tuple[object, ...], tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] | None = None
        self.picture = PictureItem()
        self.heat = HeatItem()
        self.tags = TagItem()
        self._build()
        self._connect()
        self._show_frame()

    def _build(self) -> None:
        # The view does not own its scene.
        self._scene = QGraphicsScene(self)
        self._scene.setItemIndexMethod(QGraphicsScene.ItemIndexMethod.NoIndex)
        self.setScene(self._scene)
        self._scene.addItem(self.picture)
        self._scene.addItem(self.heat)
        self._scene.addItem(self.tags)
        self._overlay = Overlay(self)
        self._scene.addItem(self._overlay)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.FullViewportUpdate)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setResizeAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
        self.setMouseTracking(True)
        self.viewport().setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAcceptDrops(False)
        self.setMinimumSize(240, 180)
        self.setAccessibleName(tr("Canvas"))
        self.display_bar = DisplayBar(self.desk, self.viewport())
        self.legend_bar = LegendBar(self.desk, self.viewport())
        self.zoom_bar = ZoomBar(self.viewport())
        self.zoom_bar.asked.connect(self.desk.do)
        self._new_theme()

    def _connect(self) -> None:
        desk = self.desk
        desk.frame_changed.connect(self._show_frame)
        desk.people_changed.connect(self._people_changed)
        desk.selection_changed.connect(self._selection_changed)
        desk.display_changed.connect(self._display_changed)
        desk.evidence_changed.connect(self._show_heat)
        desk.project_opened.connect(self._opened)
        desk.action_requested.connect(self._act)
        desk.message.connect(self._forget_box)
        theme.notifier().changed.connect(self._new_theme)

    # --- what is shown ---

    def _opened(self) -> None:
        self._cancel_drag()
        self._fitted = True
        self._trail = None
        self._show_frame()
        QTimer.singleShot(0, self._refit)

    def _show_frame(self) -> None:
        desk = self.desk
        before = self.picture.size_wh
        self.picture.show_frame(desk.frame, desk.display.brightness, desk.display.contrast)
        width, height = self.picture.size_wh
        if (width, height) != before:
            # Room around the picture, so that its corners can be brought to the middle.
            room = QRectF(-width, -height, 3 * width, 3 * height)
            self._scene.setSceneRect(room)
            self._overlay.cover(room)
            self._refit()
        for bar in self._bars():
            bar.setVisible(width > 0 and (bar is not self.legend_bar or self._legend_fits()))
        self.viewport().update()

    def _people_changed(self) -> None:
        self.waiting_box = None
        self._trail = None
        self._rehover()
        self._show_heat()

    def _forget_box(self, message: object) -> None:
        self.waiting_box = None
        self.viewport().update()

    def _selection_changed(self) -> None:
        if self.drag is not None and self.desk.selection.person is None:
            self._cancel_drag()
        self._show_heat()
        self._cursor()
        self._announce()

    def _display_changed(self) -> None:
        self._show_frame()
        self._show_heat()

    def _show_heat(self) -> None:
        desk = self.desk
        evidence = desk.evidence.evidence if desk.evidence is not None else None
        with_tags = self.tags.show_map(evidence, desk.joint, desk.display)
        self.heat.show_map(None if with_tags else self.selected_crop(), desk.joint, desk.display)
        self.viewport().update()

    def selected_crop(self) -> CropEvidence | None:
        """Return the crop evidence of the selected person, or None."""
        desk = self.desk
        if desk.selection.person is None or desk.evidence is None or desk.evidence.evidence is None:
            return None
        candidate = desk.candidate_of(desk.selection.person)
        return desk.evidence.evidence.crops[candidate] if candidate is not None else None

    def shown_people(self) -> tuple[Person, ...]:
        """Return the desk's people, with the drag in progress in place of the dragged one."""
        shown = self.drag.shown if self.drag is not None else None
        if shown is None:
            return self.desk.people
        return tuple(shown if person.key == shown.key else person for person in self.desk.people)

    def trail(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the selected joint's places before and after, ``(n, 2)`` picture pixels each."""
        person, joint = self.desk.person, self.desk.joint
        none = np.zeros((0, 2))
        if person is None or joint is None or self.desk.playhead.playing:
            return none, none
        key = (self.desk.selection, self.desk.project.revision if self.desk.project is not None else 0)
        if self._trail is None or self._trail[0] != key:
            self._trail = (key, trail_of(self.desk, person, joint))
        return self._trail[1]

    def loupe_place(self) -> QPointF | None:
        """Return the scene point that the loupe shows, or None while there is no loupe."""
        if self.drag is not None and self.drag.precise:
            place = self.drag.place()
            return to_scene(*place) if place is not None else None
        if self.pointer is not None and (self.desk.display.loupe or self.placing() is not None):
            return self.mapToSceneF(self.pointer)
        return None

    def bar_rects(self) -> list[QRectF]:
        """Return where the visible bars are, in viewport px."""
        return [QRectF(bar.geometry()) for bar in self._bars() if bar.isVisible()]

    def _bars(self) -> tuple[Bar, ...]:
        return (self.display_bar, self.legend_bar, self.zoom_bar)

    def _new_theme(self) -> None:
        self.setBackgroundBrush(theme.current().colour("canvas"))
        self.viewport().update()

    # --- zoom ---

    @property
    def scale_now(self) -> float:
        """Screen px per picture pixel."""
        return self.transform().m11()

    def mapToSceneF(self, point: QPointF) -> QPointF:
        """Return a viewport point in scene coordinates, with its fractions."""
        inverse, _ = self.viewportTransform().inverted()
        return inverse.map(point)

    def zoom_to(self, scale: float, at: QPointF | None = None) -> None:
        """Zoom to ``scale``, keeping what is at viewport point ``at`` (the middle by default) in its place."""
        if not self.picture.size_wh[0]:
            return
        scale = min(max(scale, SMALLEST), LARGEST)
        anchor = at if at is not None else QRectF(self.viewport().rect()).center()
        scene = self.mapToSceneF(anchor)
        self._fitted = False
        self.setTransform(QTransform.fromScale(scale, scale))
        moved = self.viewportTransform().map(scene) - anchor
        self.horizontalScrollBar().setValue(self.horizontalScrollBar().value() + round(moved.x()))
        self.verticalScrollBar().setValue(self.verticalScrollBar().value() + round(moved.y()))
        self._zoomed()

    def fit(self) -> None:
        """Show the whole picture."""
        self._fitted = True
        self._refit()

    def fit_rect(self, rect: QRectF) -> None:
        """Zoom to a rectangle of the scene."""
        size = self.viewport().size()
        if rect.isEmpty() or size.isEmpty():
            return
        scale = min(size.width() / rect.width(), size.height() / rect.height())
        scale = min(max(scale, SMALLEST), LARGEST)
        self.setTransform(QTransform.fromScale(scale, scale))
        self.centerOn(rect.center())
        self._zoomed()

    def fit_person(self) -> None:
        """Zoom to the selected person, or to everybody."""
        chosen = [self.desk.person] if self.desk.person is not None else list(self.desk.people)
        boxes = [
            np.asarray(p.pose.box if p.pose.box.any() else keypoints_box(p.pose.keypoints, p.visibility > 0))
            for p in chosen
            if p is not None
        ]
        if not boxes:
            return
        stacked = np.stack(boxes)
        low, high = half_pixel([stacked[:, :2].min(0), stacked[:, 2:].max(0)], to_scene=True)
        pad = 0.15 * float((high - low).max())
        self._fitted = False
        self.fit_rect(QRectF(QPointF(*(low - pad).tolist()), QPointF(*(high + pad).tolist())))

    def _refit(self) -> None:
        width, height = self.picture.size_wh
        if self._fitted and width:
            self.fit_rect(QRectF(0, 0, width, height))

    def _zoomed(self) -> None:
        self.zoom_bar.set_scale(self.scale_now)
        self._rehover()
        self.viewport().update()
        self.zoomed.emit(self.scale_now)

    def _act(self, action_id: str) -> None:
        actions: dict[str, Callable[[], object]] = {
            "zoom_in": lambda: self.zoom_to(self.scale_now * STEP),
            "zoom_out": lambda: self.zoom_to(self.scale_now / STEP),
            "zoom_100": lambda: self.zoom_to(1.0),
            "fit": self.fit,
            "fit_person": self.fit_person,
            "draw_box": lambda: self.set_box_mode(on=not self.box_mode),
        }
        if action_id in actions:
            actions[action_id]()

    def set_box_mode(self, *, on: bool) -> None:
        """Let the next drag draw a box around a missed person."""
        on = on and self.desk.editable
        if on != self.box_mode:
            self.box_mode = on
            self.box_mode_changed.emit(on)
        self._cursor()

    # --- events ---

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep bars in their corners and the picture fitted."""
        super().resizeEvent(event)
        self._place_bars()
        self._refit()

    def _place_bars(self) -> None:
        width, height = self.viewport().width(), self.viewport().height()
        for bar in self._bars():
            bar.adjustSize()
        self.display_bar.fit(width - 2 * BAR_GAP)
        self.display_bar.move(BAR_GAP, BAR_GAP)
        self.legend_bar.move(BAR_GAP, height - BAR_GAP - self.legend_bar.height())
        self.zoom_bar.move(width - BAR_GAP - self.zoom_bar.width(), height - BAR_GAP - self.zoom_bar.height())
        self.legend_bar.setVisible(self.picture.size_wh[0] > 0 and self._legend_fits())

    def _legend_fits(self) -> bool:
        return self.legend_bar.width() + self.zoom_bar.width() + 3 * BAR_GAP <= self.viewport().width()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom at the pointer, a notch by 15 %."""
        notches = event.angleDelta().y() / 120.0
        if notches:
            self.zoom_to(self.scale_now * STEP**notches, event.position())
        event.accept()

    def viewportEvent(self, event: QEvent) -> bool:
        """Zoom by pinching; forget the pointer when it leaves."""
        if event.type() == QEvent.Type.Leave:
            self.pointer = None
            self.hover = None
            self.pointed.emit(None)
            self.viewport().update()
        elif isinstance(event, QNativeGestureEvent) and event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
            self.zoom_to(self.scale_now * (1 + event.value()), event.position())
            return True
        return super().viewportEvent(event)

    def event(self, event: QEvent) -> bool:
        """Keep Escape for the drag in progress, and Tab for the joints."""
        if isinstance(event, QKeyEvent):
            escape = event.key() == Qt.Key.Key_Escape and (self.drag is not None or self.box_mode)
            if event.type() == QEvent.Type.ShortcutOverride and escape:
                event.accept()
                return True
            tab = event.key() in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab)
            plain = not event.modifiers() & Qt.KeyboardModifier.ControlModifier
            if event.type() == QEvent.Type.KeyPress and tab and plain:
                back = event.key() == Qt.Key.Key_Backtab
                self.desk.do("joint_previous_tab" if back else "joint_next_tab")
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape restores what is being dragged."""
        if event.key() == Qt.Key.Key_Escape and (self.drag is not None or self.box_mode):
            self._cancel_drag()
            self.set_box_mode(on=False)
            return
        event.ignore()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show the focus when a key brought it, not when a click did."""
        keys = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason, Qt.FocusReason.ShortcutFocusReason)
        self.focus_shown = event.reason() in keys
        super().focusInEvent(event)
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Show no focus."""
        self.focus_shown = False
        super().focusOutEvent(event)
        self.viewport().update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Select what is under the pointer; a drag may follow."""
        if not self.picture.size_wh[0]:
            return
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        at = event.position()
        if event.button() == Qt.MouseButton.MiddleButton:
            self.drag = PanDrag(self, self.mapToSceneF(at), at)
            self._cursor()
            return
        found = self.find_at(at)
        if event.button() == Qt.MouseButton.RightButton:
            self._right(found)
            return
        if event.button() != Qt.MouseButton.LeftButton or self.drag is not None:
            return
        self._pressed = (at, found, event.modifiers())
        self._select_pressed(found, several=bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))

    def _select_pressed(self, found: hit.Hit | None, *, several: bool) -> None:
        """Select what was pressed; a joint beside the selected ones for ``several``, and one of them without leaving
        the others: they may be about to be moved together."""
        chosen = self.desk.selection
        joint = found.joint if found is not None and found.kind == "joint" else None
        placing = self.placing() is not None and joint is None
        self._was_chosen = found is not None and found.person == chosen.person and joint in chosen.joints
        if found is None or self.box_mode or placing or (several and joint is None):
            return
        if joint is None:
            self.desk.select(person=found.person)
        elif found.person == chosen.person and (several or joint in chosen.joints):
            self.desk.select(joint=joint, more=frozenset(chosen.joints))
        else:
            self.desk.select(person=found.person, joint=joint)

    def _right(self, found: hit.Hit | None) -> None:
        if found is None or found.kind != "joint":
            return
        self.desk.select(person=found.person, joint=found.joint)
        self.desk.do("occluded")

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the pointer: hover, start a drag after 3 px, or go on with it."""
        at = event.position()
        self.pointer = at
        scene = self.mapToSceneF(at)
        self.pointed.emit(to_picture(scene) if self.picture.size_wh[0] else None)
        if self.drag is None and self._pressed is not None:
            way = at - self._pressed[0]
            if max(abs(way.x()), abs(way.y())) >= START_PX:
                self.drag = self._start_drag(*self._pressed)
                self._cursor()
        if isinstance(self.drag, PanDrag):
            self._fitted = False
            self.drag.pan(at)
        elif self.drag is not None:
            self.drag.move(scene, free=bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier))
            self._fade_bars(at)
        else:
            self._rehover()
        self.viewport().update()

    def _start_drag(self, at: QPointF, found: hit.Hit | None, modifiers: Qt.KeyboardModifier) -> Drag:
        scene = self.mapToSceneF(at)
        if self.box_mode:
            return BoxDrag(self, scene)
        if modifiers & Qt.KeyboardModifier.ShiftModifier and (found is None or found.kind != "joint"):
            return BandDrag(self, scene)
        person = self.desk.person_by_key(found.person) if found is not None else None
        if person is None or found is None or not self.desk.may_edit():
            return PanDrag(self, scene, at)
        if modifiers & Qt.KeyboardModifier.AltModifier:
            return BodyDrag(self, scene, person)
        if found.kind == "joint" and found.joint is not None:
            chosen = self.desk.selection
            if chosen.more and chosen.person == person.key:
                return JointsDrag(self, scene, person, chosen.joints, found.joint)
            return JointDrag(self, scene, person, found.joint)
        if found.kind == "handle":
            return BoxDrag(self, scene, person, found.corner)
        return PanDrag(self, scene, at)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Finish the drag as one edit; a mere click places an absent joint or leaves the selection."""
        drag, pressed = self.drag, self._pressed
        if drag is None and pressed is None:
            return
        panned = isinstance(drag, PanDrag) and event.button() == Qt.MouseButton.MiddleButton
        if event.button() != Qt.MouseButton.LeftButton and not panned:
            return
        self.drag, self._pressed = None, None
        self._fade_bars(None)
        if drag is not None:
            drag.finish()
            if isinstance(drag, BoxDrag):
                self.set_box_mode(on=False)
        elif pressed is not None:
            self._click(*pressed)
        self._rehover()
        self.viewport().update()

    def _click(self, at: QPointF, found: hit.Hit | None, modifiers: Qt.KeyboardModifier) -> None:
        placing = self.placing()
        several = bool(modifiers & Qt.KeyboardModifier.ShiftModifier)
        if found is not None and found.kind == "joint" and self.desk.selection.more:
            self._click_one_of_several(found.joint, several=several)
        elif several:
            return
        elif placing is not None and (found is None or found.kind != "joint"):
            person, joint = placing
            x, y = to_picture(self.mapToSceneF(at))
            if self.desk.hand.move_joint(person, joint, x, y):
                self._advance(joint)
        elif found is None and not self.box_mode:
            self.desk.select(person=None, joint=None)

    def _click_one_of_several(self, joint: int | None, *, several: bool) -> None:
        """Without a drag, a press takes a joint out that was one of several, or leaves all others."""
        if not several:
            self.desk.select(joint=joint, more=frozenset())
        elif self._was_chosen:
            rest = [one for one in self.desk.selection.joints if one != joint]
            self.desk.select(joint=rest[0], more=frozenset(rest))

    def placing(self) -> tuple[Person, int] | None:
        """Return the chosen absent joint that a click would place, or None."""
        person, joint = self.desk.person, self.desk.joint
        if person is None or joint is None or person.visibility[joint] != ABSENT or self.box_mode:
            return None
        return person, joint

    def _advance(self, joint: int) -> None:
        """Choose the next absent joint after one was placed."""
        person = self.desk.person
        if person is None:
            return
        count = self.desk.skeleton.count
        for offset in range(1, count):
            following = (joint + offset) % count
            if person.visibility[following] == ABSENT:
                self.desk.select(joint=following)
                return

    def _cancel_drag(self) -> None:
        self.drag, self._pressed = None, None
        self._fade_bars(None)
        self._cursor()
        self.viewport().update()

    def _fade_bars(self, at: QPointF | None) -> None:
        for bar in self._bars():
            near = at is not None and QRectF(bar.geometry()).adjusted(-24, -24, 24, 24).contains(at)
            bar.set_faded(faded=near)

    # --- under the pointer ---

    def find_at(self, at: QPointF) -> hit.Hit | None:
        """Return what is at viewport point ``at``."""
        view = self.viewportTransform()
        targets = [
            hit.Target(
                person.key,
                screen_points(person.pose.keypoints, view),
                person.visibility,
                screen_points(np.asarray(person.pose.box).reshape(2, 2), view).reshape(4),
            )
            for person in self.desk.people
        ]
        display = self.desk.display
        return hit.find(
            targets,
            at.x(),
            at.y(),
            self.desk.selection.person,
            self.desk.skeleton,
            handles=display.boxes,
            skeletons=display.skeleton,
        )

    def _rehover(self) -> None:
        found = self.find_at(self.pointer) if self.pointer is not None and self.drag is None else None
        if found != self.hover:
            self.hover = found
            self.viewport().update()
        self._cursor()

    def _cursor(self) -> None:
        shape = Qt.CursorShape.ArrowCursor
        if isinstance(self.drag, PanDrag):
            shape = Qt.CursorShape.ClosedHandCursor
        elif self.drag is not None and self.drag.precise:
            shape = Qt.CursorShape.BlankCursor
        elif self.box_mode or self.drag is not None:
            shape = Qt.CursorShape.CrossCursor
        elif self.hover is not None and self.hover.kind == "joint":
            shape = Qt.CursorShape.OpenHandCursor
        elif self.placing() is not None:
            shape = Qt.CursorShape.CrossCursor
        elif self.hover is not None and self.hover.kind == "handle":
            falling = self.hover.corner in (0, 2)
            shape = Qt.CursorShape.SizeFDiagCursor if falling else Qt.CursorShape.SizeBDiagCursor
        if self.viewport().cursor().shape() != shape:
            self.viewport().setCursor(shape)

    def _announce(self) -> None:
        """Tell assistive technology what is selected: "person 1, left wrist, 0.72, visible"."""
        person, desk = self.desk.person, self.desk
        text = ""
        if person is not None:
            number, more = desk.person_number(person.key), len(desk.selection.more)
            text = labels.spoken(person, number, desk.joint, desk.skeleton, more)
        if text != self.accessibleDescription():
            self.setAccessibleDescription(text)
            QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.DescriptionChanged))
