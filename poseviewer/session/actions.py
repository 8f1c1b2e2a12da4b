"""The one table of actions and shortcuts: menus, tooltips, the shortcut page and the README are made from it.

Keys are written as Qt's portable text ("Ctrl+Shift+Z"). Single letters do not fire while a text field has the focus.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Group = Literal["File", "Edit", "View", "Pose", "Run", "Move", "Window", "Help"]
Where = Literal["window", "canvas", "mouse"]


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a person can do.

    Attributes:
        id: stable name, used by ``Desk.do``.
        text: in menus; sentence case, "…" only if a dialog follows.
        group: menu it appears in.
        keys: shortcuts, the first one is shown.
        help: one sentence for tooltips and the shortcut page.
        where: "window" fires anywhere, "canvas" only while the canvas has the focus, "mouse" is a gesture that is
            listed but not bound.
        icon: id in icons.svg, or "".
        checkable: shows a state; ``display`` then names the Display field it toggles, if any.
        display: see ``checkable``.
        repeats: whether holding the key repeats it.
    """

    id: str
    text: str
    group: Group
    keys: tuple[str, ...] = ()
    help: str = ""
    where: Where = "window"
    icon: str = ""
    checkable: bool = False
    display: str = ""
    repeats: bool = False


def _toggle(name: str, text: str, keys: tuple[str, ...], help_: str, icon: str = "") -> Action:
    return Action(f"show_{name}", text, "View", keys, help_, icon=icon, checkable=True, display=name)


def _nudge(side: str, pixels: int) -> Action:
    far, keys = ("_10", "Ctrl+Shift") if pixels == 10 else ("", "Shift")
    text = f"Nudge {side}" + (" by 10" if far else "")
    help_ = f"Move the joint, or without one the person, by {pixels} px"
    return Action(f"nudge_{side}{far}", text, "Pose", (f"{keys}+{side.title()}",), help_, repeats=True)


FILE = (
    Action("open", "Open…", "File", ("Ctrl+O",), "Open a video, pictures or a project", icon="open"),
    Action(
        "open_folder",
        "Open folder…",
        "File",
        ("Ctrl+Shift+O",),
        "Open a folder of pictures as one media",
        icon="picture",
    ),
    Action(
        "open_demo",
        "Open the demo",
        "File",
        (),
        "A clip with predictions, corrections and one doubled person",
        icon="play",
    ),
    Action("import", "Import…", "File", ("Ctrl+I",), "Read COCO annotations or results into this project"),
    Action("export", "Export…", "File", ("Ctrl+E",), "Write corrections or predictions as COCO", icon="export"),
    Action(
        "retrain",
        "Retrain…",
        "File",
        ("Ctrl+Shift+E",),
        "Learn from the corrections and compare old and new weights on held-out frames",
        icon="retrain",
    ),
    Action("settings", "Settings…", "File", ("Ctrl+,",), "Language, text size, device, folders", icon="sliders"),
    Action("close", "Close", "File", ("Ctrl+W",), "Close what is open"),
    Action("quit", "Quit", "File", ("Ctrl+Q",), "Close the window"),
)
EDIT = (
    Action("undo", "Undo", "Edit", ("Ctrl+Z",), "Take the last step back", icon="undo", repeats=True),
    Action("redo", "Redo", "Edit", ("Ctrl+Shift+Z", "Ctrl+Y"), "Do the step again", icon="redo", repeats=True),
    Action(
        "delete_joint",
        "Joint absent, or delete person",
        "Edit",
        ("Delete", "Backspace"),
        "Mark the selected joint absent; without a joint, delete the person",
    ),
    Action(
        "delete_person",
        "Delete person",
        "Edit",
        ("Ctrl+Delete", "Ctrl+Backspace"),
        "Delete the selected person in this frame; for a track the other frames are offered",
    ),
)
VIEW = (
    _toggle("skeleton", "Skeletons", ("H",), "Show or hide skeletons", "skeleton"),
    _toggle("boxes", "Boxes", ("Shift+B",), "Show or hide boxes", "boxes"),
    _toggle("labels", "Labels", ("L",), "Show or hide numbers and names", "labels"),
    _toggle("trails", "Trails", ("T",), "Show where the selected joint was in the frames around", "trails"),
    _toggle("fade", "Faint where doubtful", ("Shift+H",), "Paint predicted joints the fainter the less they score"),
    _toggle("heat", "Heatmap", ("M",), "Blend the selected joint's heatmap over the picture", "heat"),
    _toggle("tag_map", "Tag map", ("Shift+T",), "Show the joint's tags in place of its heatmap, where there are tags"),
    _toggle("half_peak", "Half-peak line", ("Shift+M",), "Line where the heatmap falls to half of its peak"),
    _toggle("crop", "Crop outline", ("K",), "Outline of what the network was fed for the selected person"),
    _toggle("loupe", "Keep the loupe", ("Shift+L",), "Keep the 6 times loupe on screen", "search"),
    Action(
        "colour_by", "Colour by track", "View", ("Shift+C",), "Colour by side of the body or by track", checkable=True
    ),
    Action("zoom_in", "Zoom in", "View", ("Ctrl++", "Ctrl+="), "Zoom in", repeats=True),
    Action("zoom_out", "Zoom out", "View", ("Ctrl+-",), "Zoom out", repeats=True),
    Action("zoom_100", "Actual size", "View", ("Ctrl+1",), "One picture pixel on one screen pixel"),
    Action("fit", "Fit picture", "View", ("Ctrl+0",), "Show the whole picture", icon="fit"),
    Action("fit_person", "Fit person", "View", ("F", "Ctrl+9"), "Zoom to the selected person", icon="person"),
    Action("brighter", "Brighter", "View", ("Ctrl+]",), "Brighten the picture on screen", repeats=True),
    Action("darker", "Darker", "View", ("Ctrl+[",), "Darken the picture on screen", repeats=True),
    Action("light_reset", "Reset brightness", "View", ("Ctrl+\\",), "Show the picture as it is"),
)
POSE = (
    Action(
        "accept", "Accept prediction", "Pose", ("Return", "Enter"), "Confirm the predicted person as it is", icon="done"
    ),
    Action(
        "accept_next",
        "Accept all and go on",
        "Pose",
        ("E", "Ctrl+Return"),
        "Confirm everybody in this frame, then go to the next frame worth a look",
    ),
    Action("revert", "Revert to prediction", "Pose", ("Shift+Return",), "Drop the correction of this person"),
    Action(
        "next_peak",
        "Next-best peak",
        "Pose",
        ("G",),
        "Move the joint to the next-best peak of its heatmap",
        icon="heat",
    ),
    Action("previous_peak", "Previous peak", "Pose", ("Shift+G",), "Move the joint to the peak before"),
    Action("occluded", "Occluded or visible", "Pose", ("Q",), "Switch the joint between occluded and visible"),
    Action("absent", "Absent", "Pose", ("O",), "Mark the joint absent"),
    Action(
        "swap_sides",
        "Swap left and right",
        "Pose",
        ("X",),
        "Swap the left and right joints of the person",
        icon="swap-sides",
    ),
    Action(
        "swap_tracks",
        "Swap tracks from here on",
        "Pose",
        ("Ctrl+T",),
        "Swap the track of the person with another one's, in this frame and all that follow",
    ),
    Action(
        "swap_joint", "Swap this joint", "Pose", ("Shift+X",), "Swap the joint with its counterpart on the other side"
    ),
    Action(
        "copy_previous",
        "Copy from previous frame",
        "Pose",
        ("C",),
        "Copy the person, or everybody, from the frame before",
    ),
    Action(
        "copy_next",
        "Copy to next frame",
        "Pose",
        ("V",),
        "Copy the person, or everybody, to the next frame and go there",
        repeats=True,
    ),
    Action(
        "interpolate",
        "Interpolate",
        "Pose",
        ("I",),
        "Fill the frames between two corrections of the person, or of everybody",
    ),
    Action(
        "draw_box",
        "Draw a box around a person",
        "Pose",
        ("B",),
        "Draw a box around a missed person; the estimator proposes a pose",
        icon="add",
        checkable=True,
    ),
    Action(
        "snap",
        "Snap to heatmap peaks",
        "Pose",
        ("Shift+S",),
        "A dragged joint holds at heatmap peaks",
        icon="snap",
        checkable=True,
        display="snap",
    ),
    Action("joint_next", "Next joint", "Pose", ("S",), "Choose the next joint", repeats=True),
    Action("joint_previous", "Previous joint", "Pose", ("W",), "Choose the joint before", repeats=True),
    Action("joint_next_tab", "Next joint", "Pose", ("Tab",), "Choose the next joint", where="canvas", repeats=True),
    Action(
        "joint_previous_tab",
        "Previous joint",
        "Pose",
        ("Shift+Tab",),
        "Choose the joint before",
        where="canvas",
        repeats=True,
    ),
    Action("joints_all", "All joints", "Pose", ("Ctrl+A",), "Choose all joints of the person, to move them together"),
    Action("person_next", "Next person", "Pose", ("P",), "Choose the next person", repeats=True),
    Action("person_previous", "Previous person", "Pose", ("Shift+P",), "Choose the person before", repeats=True),
    Action("deselect", "Choose nobody", "Pose", ("Escape",), "Leave the joint, then the person"),
    *(_nudge(side, pixels) for pixels in (1, 10) for side in ("left", "right", "up", "down")),
)
PERSONS = tuple(
    Action(f"person_{number}", f"Person {number}", "Pose", (str(number),), f"Choose person {number}")
    for number in range(1, 10)
)
RUN = (
    Action("run_frame", "Run this frame", "Run", ("R",), "Find people and joints in this frame", icon="run"),
    Action("run_range", "Run the range", "Run", ("Ctrl+Shift+R",), "Run the frames between the brackets"),
    Action("run_all", "Run all frames", "Run", ("Ctrl+R",), "Run every frame of this media", icon="run"),
    Action("run_continue", "Continue the last run", "Run", (), "Run the frames that a stopped run left out"),
    Action(
        "run_panel",
        "Run panel…",
        "Run",
        ("Ctrl+Shift+P",),
        "Pipeline, weights, thresholds, range, device",
        icon="sliders",
    ),
    Action("cancel_run", "Cancel", "Run", ("Ctrl+.",), "Cancelling keeps finished frames", icon="stop"),
)
MOVE = (
    Action(
        "frame_next",
        "Next frame",
        "Move",
        ("Right", "D"),
        "One frame on; hold to go faster",
        icon="frame-forward",
        repeats=True,
    ),
    Action(
        "frame_previous",
        "Previous frame",
        "Move",
        ("Left", "A"),
        "One frame back; hold to go faster",
        icon="frame-back",
        repeats=True,
    ),
    Action("frame_next_10", "10 frames on", "Move", ("Ctrl+Right",), "Ten frames on", repeats=True),
    Action("frame_previous_10", "10 frames back", "Move", ("Ctrl+Left",), "Ten frames back", repeats=True),
    Action("frame_next_100", "100 frames on", "Move", ("Ctrl+Alt+Right",), "A hundred frames on", repeats=True),
    Action("frame_previous_100", "100 frames back", "Move", ("Ctrl+Alt+Left",), "A hundred frames back", repeats=True),
    Action("frame_first", "First frame", "Move", ("Home",), "Go to the first frame"),
    Action("frame_last", "Last frame", "Move", ("End",), "Go to the last frame"),
    Action("go_to", "Go to frame…", "Move", ("Ctrl+J",), "Type a frame number"),
    Action("play", "Play", "Move", ("Space",), "Play at true speed, or pause", icon="play", checkable=True),
    Action("loop", "Loop", "Move", (), "Start again at the end of the range", icon="loop", checkable=True),
    Action("next_doubt", "Next worth a look", "Move", ("N",), "Jump to the next doubtful frame", icon="flag"),
    Action("previous_doubt", "Previous worth a look", "Move", ("Shift+N",), "Jump to the doubtful frame before"),
    Action(
        "next_corrected",
        "Next corrected frame",
        "Move",
        ("Alt+Right",),
        "Jump to the next corrected frame",
        icon="next-corrected",
    ),
    Action(
        "previous_corrected",
        "Previous corrected frame",
        "Move",
        ("Alt+Left",),
        "Jump to the corrected frame before",
        icon="previous-corrected",
    ),
    Action("next_empty", "Next empty frame", "Move", ("Alt+Shift+Right",), "Jump to the next frame with nobody found"),
    Action(
        "previous_empty",
        "Previous empty frame",
        "Move",
        ("Alt+Shift+Left",),
        "Jump to the frame before with nobody found",
    ),
    Action(
        "next_difference",
        "Next difference",
        "Move",
        ("J",),
        "Jump to the next frame in which the two runs of Compare differ",
    ),
    Action("range_first", "Range starts here", "Move", ("[",), "Start the range at this frame"),
    Action("range_last", "Range ends here", "Move", ("]",), "End the range at this frame"),
    Action("range_clear", "Clear range", "Move", ("\\",), "Take the whole media as the range"),
)
WINDOW = (
    Action(
        "panel_people", "People and joints", "Window", ("Ctrl+Alt+1",), "Show or hide the left dock", checkable=True
    ),
    Action("panel_inspector", "Inspector", "Window", ("Ctrl+Alt+2",), "Show or hide the right dock", checkable=True),
    Action("panel_timeline", "Timeline", "Window", ("Ctrl+Alt+3",), "Show or hide the timeline", checkable=True),
    Action("panels", "Picture only", "Window", ("Ctrl+Alt+0",), "Hide or show all panels", icon="panels"),
    Action("focus_next", "Next panel", "Window", ("F6",), "Move the focus to the next panel"),
    Action("focus_previous", "Previous panel", "Window", ("Shift+F6",), "Move the focus to the panel before"),
    Action("full_screen", "Full screen", "Window", ("F11",), "Fill the screen", checkable=True),
    Action("layout_reset", "Reset layout", "Window", (), "Put panels back to their places"),
)
HELP = (
    Action("help_start", "Getting started", "Help", (), "From a video to corrections, step by step"),
    Action("help_retraining", "Retraining", "Help", (), "What is learnt, what is held out, what came of it"),
    Action("help_models", "Models of other people", "Help", (), "Which published networks open, and how"),
    Action("shortcuts", "Shortcuts", "Help", ("F1",), "List every key"),
    Action("show_log", "Show log", "Help", (), "Open the folder of the log file"),
    Action("about", "About PoseViewer", "Help", (), "Versions and licences"),
)
GESTURES = (
    Action(
        "mouse_drag",
        "Move a joint",
        "Pose",
        ("Drag",),
        "Drag a joint; Escape restores it, Ctrl ignores peaks",
        where="mouse",
    ),
    Action("mouse_body", "Move the body", "Pose", ("Alt+Drag",), "Move all joints of a person", where="mouse"),
    Action(
        "mouse_several", "Choose several joints", "Pose", ("Shift+Click",), "Add a joint, or take it out", where="mouse"
    ),
    Action(
        "mouse_band", "Choose the joints in a rectangle", "Pose", ("Shift+Drag",), "Draw it around them", where="mouse"
    ),
    Action("mouse_occluded", "Occluded or visible", "Pose", ("Right-click",), "Right-click a joint", where="mouse"),
    Action(
        "mouse_place",
        "Place an absent joint",
        "Pose",
        ("Click",),
        "Click where the chosen absent joint is",
        where="mouse",
    ),
    Action(
        "mouse_box",
        "Run a changed box",
        "Pose",
        ("Drag a box corner",),
        "Change the selected person's box and run it again",
        where="mouse",
    ),
    Action("mouse_zoom", "Zoom at the pointer", "View", ("Wheel",), "Zoom at the pointer", where="mouse"),
    Action("mouse_pan", "Move the picture", "View", ("Drag", "Middle-drag"), "Drag an empty place", where="mouse"),
)

ACTIONS: tuple[Action, ...] = (*FILE, *EDIT, *VIEW, *POSE, *PERSONS, *RUN, *MOVE, *WINDOW, *HELP, *GESTURES)
"""Every action, in menu order."""

_BY_ID = {action.id: action for action in ACTIONS}
GROUPS: tuple[Group, ...] = ("File", "Edit", "View", "Pose", "Run", "Move", "Window", "Help")


def action(action_id: str) -> Action:
    """Return the action called ``action_id``.

    Raises:
        KeyError: if there is none.
    """
    return _BY_ID[action_id]


def shortcut_rows() -> Iterable[tuple[Group, Action]]:
    """Yield every action that has keys, by group, for the shortcut page and the README."""
    for group in GROUPS:
        for entry in ACTIONS:
            if entry.group == group and entry.keys:
                yield group, entry


def conflicts() -> tuple[tuple[str, str, str], ...]:
    """Return (key, action id, action id) wherever two bound actions share a key."""
    taken: dict[str, str] = {}
    found = []
    for entry in ACTIONS:
        if entry.where == "mouse":
            continue
        for key in entry.keys:
            if key in taken:
                found.append((key, taken[key], entry.id))
            taken.setdefault(key, entry.id)
    return tuple(found)
