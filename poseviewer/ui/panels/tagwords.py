"""Why joints became people, in figures and words: every joint's call, the groups, the closest calls. No Qt in here.

Symbols: N candidates, K joints, T tag dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from poseviewer.core.values import BY_TAG, NO_JOINT, REFINED, STARTED, Grouping
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.pipeline.regrouping import Regrouped

Floats = npt.NDArray[np.float64]
MOST_MOVED = 3
"""So many joints that would move are named."""
BETWEEN = 0.35
"""A joint whose distances to two people differ by less than this part of the limit sits between them."""


@dataclass(frozen=True, slots=True)
class Call:
    """How one joint came to its person.

    Attributes:
        candidate, joint: which.
        how: STARTED, BY_TAG or REFINED of :mod:`poseviewer.core.values`.
        tag: of the joint, T numbers.
        mean: of the person when the joint was looked at; empty for one that started a person.
        distance: to that mean, NaN for one that started a person.
        other: the nearest other candidate then, -1 where there was none.
        other_distance: to its mean, NaN where there was none.
    """

    candidate: int
    joint: int
    how: int
    tag: tuple[float, ...]
    mean: tuple[float, ...]
    distance: float
    other: int
    other_distance: float


@dataclass(frozen=True, slots=True)
class Group:
    """One person's tags.

    Attributes:
        candidate: which.
        joints: how many were grouped or found afterwards.
        mean: T numbers.
        spread: standard deviation of the grouped joints' tags about their mean.
        nearest: the candidate with the nearest mean, -1 where there is none.
        gap: to that mean, NaN where there is none.
    """

    candidate: int
    joints: int
    mean: tuple[float, ...]
    spread: float
    nearest: int
    gap: float


class Calls:
    """Every joint's call of one picture; built once, looked up often.

    Args:
        why: the evidence of grouping.
        kept: the candidates that became people; who else was near is looked for among them and the candidate itself.
    """

    def __init__(self, why: Grouping, kept: Sequence[int]) -> None:
        self.why = why
        self._among = np.zeros(len(why.how), dtype=bool)
        self._among[list(kept)] = True
        self._before = means_before(why)
        self._measure = measure_of(why, self._before)

    def call(self, candidate: int, joint: int) -> Call | None:
        """Return how a joint came to its person, None where the person has none."""
        why = self.why
        if not (0 <= candidate < len(why.how) and 0 <= joint < why.how.shape[1]):
            return None
        how = int(why.how[candidate, joint])
        if how == NO_JOINT:
            return None
        tag = why.joint_tags[candidate, joint].astype(np.float64)
        means = why.person_tags.astype(np.float64) if how == REFINED else self._before[:, joint]
        away = np.linalg.norm(means - tag, axis=1) * self._measure
        distance = float(why.distance[candidate, joint]) if how == BY_TAG else float(away[candidate])
        others = np.where(self._among & np.isfinite(away), away, np.inf)
        others[candidate] = np.inf
        other = int(others.argmin())
        known = bool(np.isfinite(others[other]))
        own = () if how == STARTED else tuple(float(v) for v in means[candidate])
        return Call(
            candidate, joint, how, tuple(float(v) for v in tag), own, float("nan") if how == STARTED else distance,
            other if known else -1, float(others[other]) if known else float("nan"),
        )  # fmt: skip

    def mean_when(self, candidate: int, call: Call) -> Floats:
        """Return the mean ``(T,)`` of a candidate when a call was made."""
        ended = self.why.person_tags[candidate].astype(np.float64)
        mean: Floats = ended if call.how == REFINED else self._before[candidate, call.joint]
        return mean

    def closest(self, limit: int = 4) -> list[Call]:
        """Return the joints that almost went to somebody else, the closest first."""
        found = []
        for candidate in np.flatnonzero(self._among).tolist():
            for joint in np.flatnonzero(self.why.how[candidate] == BY_TAG).tolist():
                call = self.call(candidate, joint)
                if call is not None and call.other >= 0:
                    found.append(call)
        return sorted(found, key=lambda call: call.other_distance - call.distance)[:limit]

    def groups(self) -> list[Group]:
        """Return the people, by candidate."""
        kept = np.flatnonzero(self._among).tolist()
        return [self._group(candidate, [other for other in kept if other != candidate]) for candidate in kept]

    def _group(self, candidate: int, others: list[int]) -> Group:
        why = self.why
        mean = why.person_tags[candidate].astype(np.float64)
        has = why.how[candidate] != NO_JOINT
        grouped = np.isin(why.how[candidate], (STARTED, BY_TAG))
        own = why.joint_tags[candidate, grouped]
        spread = float(np.sqrt(np.square(own - mean).sum(axis=1).mean())) * self._measure if len(own) else 0.0
        gaps = np.linalg.norm(why.person_tags[others] - mean, axis=1) * self._measure
        nearest = others[int(gaps.argmin())] if others else -1
        gap = float(gaps.min()) if others else float("nan")
        return Group(candidate, int(has.sum()), tuple(float(v) for v in mean), spread, nearest, gap)


def means_before(why: Grouping) -> Floats:
    """Return ``(N, K, T)``: every person's mean tag just before a joint was grouped; NaN before its first joint."""
    count, joints, dimensions = why.joint_tags.shape
    before: Floats = np.full((count, joints, dimensions), np.nan)
    total, held = np.zeros((count, dimensions)), np.zeros(count)
    for joint in why.order:
        begun = held > 0
        before[begun, joint] = total[begun] / held[begun, None]
        starts, joins = why.how[:, joint] == STARTED, why.how[:, joint] == BY_TAG
        tags = np.nan_to_num(why.joint_tags[:, joint].astype(np.float64))
        # Who is opened again with an equal tag begins to count anew.
        total[starts], held[starts] = tags[starts], 1
        total[joins] += tags[joins]
        held[joins] += 1
    return before


def measure_of(why: Grouping, before: Floats) -> float:
    """Return what the published distance is to the plain length: 1, or sqrt(1 / T) where the code takes the mean."""
    dimensions = why.joint_tags.shape[2]
    plain = np.linalg.norm(why.joint_tags - before, axis=2)
    usable = (why.how == BY_TAG) & (plain > 1e-6) & np.isfinite(why.distance)
    if dimensions < 2 or not usable.any():
        return 1.0
    ratio = float(np.median(why.distance[usable] / plain[usable]))
    mean = float(dimensions**-0.5)
    return mean if abs(mean - ratio) < abs(1.0 - ratio) else 1.0


def tag_text(tag: Sequence[float]) -> str:
    """Return a tag as it is shown: two decimals, dimensions with a comma."""
    return ", ".join(f"{round(value, 2) + 0.0:.2f}" for value in tag)


def reason_words(call: Call, why: Grouping, names: Sequence[str], joint: str) -> str:
    """Return in one sentence why a joint belongs to its person.

    Args:
        call: of the joint.
        why: the evidence.
        names: of the candidates, "person 2".
        joint: its name in the window's language.
    """
    name, tag = names[call.candidate], tag_text(call.tag)
    other = names[call.other] if call.other >= 0 else ""
    if call.how == STARTED:
        return _started_words(call, why, name, other, joint)
    if call.how == REFINED:
        return tr(
            "{joint} was not among the peaks; it was looked for afterwards: its tag {tag} is {distance} from "
            "{name}'s mean {mean}.",
            joint=joint, tag=tag, distance=f"{call.distance:.2f}", name=name, mean=tag_text(call.mean),
        )  # fmt: skip
    joined = tr(
        "{joint} joined {name} because its tag {tag} is {distance} from the mean {mean}; limit {limit}",
        joint=joint, name=name, tag=tag, distance=f"{call.distance:.2f}", mean=tag_text(call.mean),
        limit=f"{why.limit:.2f}",
    )  # fmt: skip
    if call.other < 0:
        return tr("{joined}; there was nobody else.", joined=joined)
    figure = f"{call.other_distance:.2f}"
    if call.other_distance < call.distance:
        return tr("{joined}; {name} was nearer at {distance}, but got another.", joined=joined, name=other,
                  distance=figure)  # fmt: skip
    return tr("{joined}; next best {name} at {distance}.", joined=joined, name=other, distance=figure)


def _started_words(call: Call, why: Grouping, name: str, other: str, joint: str) -> str:
    if call.other < 0:
        return tr("{joint} started {name}: nobody was there before it, its tag is {tag}.", joint=joint, name=name,
                  tag=tag_text(call.tag))  # fmt: skip
    words = {"joint": joint, "name": name, "tag": tag_text(call.tag), "other": other}
    words |= {"distance": f"{call.other_distance:.2f}", "limit": f"{why.limit:.2f}"}
    if call.other_distance < why.limit:
        return tr("{joint} started {name}: its tag {tag} is {distance} from {other}, who got another.", **words)
    return tr(
        "{joint} started {name}: its tag {tag} is {distance} from {other}, the nearest, beyond the limit {limit}.",
        **words,
    )


def between_words(call: Call, why: Grouping, names: Sequence[str], joint: str) -> str:
    """Return a warning in two sentences, the first bold, where a joint sits between two people; "" elsewhere."""
    near = call.how == BY_TAG and call.other >= 0 and call.other_distance < why.limit
    if not near or call.other_distance - call.distance >= BETWEEN * why.limit:
        return ""
    return tr(
        "<b>{joint} sits between two people.</b> It is {distance} from {name} and {away} from {other}.",
        joint=joint, distance=f"{call.distance:.2f}", name=names[call.candidate],
        away=f"{call.other_distance:.2f}", other=names[call.other],
    )  # fmt: skip


def limit_words(tried: Regrouped, names: Sequence[str], joints: Sequence[str]) -> str:
    """Return what another grouping limit would do.

    Args:
        tried: the answer.
        names: of the candidates.
        joints: their names in the window's language.
    """
    limit = f"{tried.limit:.2f}"
    if not tried.moved and tried.before == tried.after:
        return tr("At {limit} nothing changes.", limit=limit)
    people = tr("{n} people instead of {before}", n=tried.after, before=tried.before)
    if tried.after == 1:
        people = tr("1 person instead of {before}", before=tried.before)
    if tried.before == tried.after:
        people = tr("1 person as before") if tried.after == 1 else tr("{n} people as before", n=tried.after)
    if not tried.moved:
        return tr("At {limit}: {people}.", limit=limit, people=people)
    some = [
        tr("{joint} leaves {name}", joint=joints[joint], name=names[candidate])
        for candidate, joint in tried.moved[:MOST_MOVED]
    ]
    more = len(tried.moved) - len(some)
    if more:
        some.append(tr("{n} more joints move", n=more) if more > 1 else tr("1 more joint moves"))
    return tr("At {limit}: {people}; {moves}.", limit=limit, people=people, moves=", ".join(some))


def group_words(group: Group, names: Sequence[str]) -> str:
    """Return one sentence about a person's tags, for when no joint is selected."""
    words = {"name": names[group.candidate], "joints": str(group.joints), "mean": tag_text(group.mean)}
    words["spread"] = f"{group.spread:.2f}"
    if group.joints == 1:
        return tr("{name} holds 1 joint, whose tag is {mean}.", name=words["name"], mean=words["mean"])
    if group.nearest < 0:
        return tr("{name} holds {joints} joints; mean tag {mean}, spread {spread}.", **words)
    return tr(
        "{name} holds {joints} joints; mean tag {mean}, spread {spread}; the nearest mean, {other}'s, is {gap} away.",
        **words, other=names[group.nearest], gap=f"{group.gap:.2f}",
    )  # fmt: skip
