"""The table of actions holds together."""

import xml.etree.ElementTree as ElementTree

from poseviewer.core.resources import resource
from poseviewer.session import Display
from poseviewer.session.actions import ACTIONS, GROUPS, action, conflicts, shortcut_rows


def test_no_key_does_two_things():
    assert conflicts() == ()


def test_ids_are_unique_and_groups_known():
    ids = [entry.id for entry in ACTIONS]
    assert len(ids) == len(set(ids))
    assert {entry.group for entry in ACTIONS} <= set(GROUPS)
    assert action("undo").keys[0] == "Ctrl+Z"


def test_every_action_says_what_it_does_without_shouting():
    for entry in ACTIONS:
        assert entry.help, entry.id
        assert "!" not in entry.text + entry.help
        assert "please" not in (entry.text + entry.help).lower()


def test_icons_exist():
    root = ElementTree.parse(resource("icons/icons.svg")).getroot()
    known = {element.get("id") for element in root.iter()}
    assert {entry.icon for entry in ACTIONS if entry.icon} <= known


def test_toggles_name_display_fields():
    for entry in ACTIONS:
        if entry.display:
            assert isinstance(getattr(Display(), entry.display), bool), entry.id


def test_the_recommended_keys_are_there():
    keys = {key: entry.id for entry in ACTIONS for key in entry.keys}
    wanted = {
        "Right": "frame_next", "D": "frame_next", "Left": "frame_previous", "A": "frame_previous",
        "Ctrl+Right": "frame_next_10", "Ctrl+Alt+Right": "frame_next_100", "Home": "frame_first", "Space": "play",
        "N": "next_doubt", "Shift+N": "previous_doubt", "Alt+Right": "next_corrected", "Ctrl+J": "go_to",
        "S": "joint_next", "W": "joint_previous", "Tab": "joint_next_tab", "1": "person_1", "Shift+Left": "nudge_left",
        "Ctrl+Shift+Left": "nudge_left_10", "Q": "occluded", "O": "absent", "X": "swap_sides", "C": "copy_previous",
        "Return": "accept", "Delete": "delete_joint", "Ctrl+Delete": "delete_person", "H": "show_skeleton",
        "L": "show_labels", "M": "show_heat", "Ctrl+0": "fit", "[": "range_first", "]": "range_last",
        "Ctrl+Shift+Z": "redo", "Ctrl+Y": "redo", "R": "run_frame", "F1": "shortcuts", "G": "next_peak",
        "B": "draw_box", "F6": "focus_next",
    }  # fmt: skip
    assert {key: keys.get(key) for key in wanted} == wanted


def test_every_action_with_a_key_is_listed_once():
    rows = [entry.id for _, entry in shortcut_rows()]
    assert len(rows) == len(set(rows)) == sum(bool(entry.keys) for entry in ACTIONS)
