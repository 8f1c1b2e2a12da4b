"""Selection, Playhead, Display and their one event."""

from poseviewer.session import Session


def test_a_change_is_announced_once_with_its_name():
    session, heard = Session(), []
    session.changed.connect(lambda what: heard.append(what))
    assert session.select(media=1, frame=4)
    assert session.show(heat_opacity=0.5)
    assert session.play(playing=True)
    assert heard == [frozenset({"selection"}), frozenset({"display"}), frozenset({"playhead"})]


def test_nothing_is_announced_when_nothing_changes():
    session, heard = Session(), []
    session.select(media=1, frame=4)
    session.changed.connect(lambda what: heard.append(what))
    assert not session.select(frame=4)
    assert not session.show(skeleton=True)
    assert heard == []


def test_another_frame_drops_the_person_but_keeps_the_joint():
    session = Session()
    session.select(media=1, frame=4, person="p3", joint=9)
    session.select(frame=5)
    assert (session.selection.person, session.selection.joint) == (None, 9)
    session.select(frame=6, person="p8")
    assert session.selection.person == "p8"


def test_the_range_is_clipped_to_the_media():
    session = Session()
    assert session.playhead.span(10) == (0, 9)
    session.play(first=3, last=40)
    assert session.playhead.span(10) == (3, 9)
    session.play(first=8, last=2)
    assert session.playhead.span(10) == (8, 8)
    assert session.playhead.span(0) == (0, 0)


def test_another_joint_is_selected_alone_and_no_joint_leaves_all():
    session = Session()
    session.select(person="p1", joint=4, more=frozenset({2, 4, 9}))
    assert session.selection.joints == (2, 4, 9)
    assert session.selection.more == frozenset({2, 9})
    session.select(frame=7)
    assert session.selection.joints == (2, 4, 9)
    session.select(joint=4)
    assert session.selection.joints == (2, 4, 9)
    session.select(joint=2)
    assert session.selection.joints == (2,)
    session.select(joint=2, more={5})
    session.select(person="p2")
    assert session.selection.joints == (2, 5)
    session.select(person="p1", joint=2)
    assert session.selection.joints == (2,)
    session.select(joint=2, more={5})
    session.select(joint=None)
    assert session.selection.joints == ()
    assert session.selection.more == frozenset()
