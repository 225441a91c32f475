"""Tests of the records that outlive the supervisor."""

from __future__ import annotations

import json
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.logic import durable
from circustwist.logic.durable import Left, LeftWorker, replay, snapshot
from circustwist.model.launch import Names

WEB = Names(7, "web", 2, seat=1, generation=3)

texts = st.text(min_size=1, max_size=64)
inodes = st.integers(1, 2**64 - 1)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6
)
KINDS = ("spent", "intent", "spawned", "gone", "wanted", "sockets", "reloaded", "serial")
FIELDS = (
    "id", "watcher", "wid", "seat", "generation", "pid", "start", "pipes", "since", "running", "numprocesses", "inodes",
    "next", "success",
)
small = st.integers(-1, 5)
likely = st.dictionaries(
    st.sampled_from(FIELDS),
    small | st.booleans() | texts | st.dictionaries(st.sampled_from(["1", "2", "3", "web"]), small) | anything,
)
sane = st.one_of(
    st.builds(lambda id, name: durable.intent(Names(id, name, 1)), st.integers(1, 9), st.sampled_from(["a", "b"])),
    st.builds(durable.spawned, st.integers(1, 9), st.integers(2, 99), st.integers(0, 99), st.just({1: 5})),
    st.builds(durable.gone, st.integers(1, 9)),
    st.builds(durable.wanted, st.sampled_from(["a", "b"]), st.booleans(), st.integers(0, 3)),
    st.builds(durable.sockets, st.dictionaries(texts, inodes, max_size=3)),
    st.builds(durable.reloaded, st.sampled_from(["a", "b"]), st.integers(0, 3)),
    st.builds(durable.spent, st.sampled_from(["a", "b"]), st.integers(0, 3), st.booleans()),
    st.builds(durable.serial, st.integers(1, 20)),
    st.builds(durable.began, st.integers(1, 3), texts, texts),
    st.builds(durable.finished, st.integers(1, 3)),
)
entries = st.lists(sane | st.builds(lambda kind, rest: {**rest, "kind": kind}, st.sampled_from(KINDS), likely))


@st.composite
def lefts(draw: st.DrawFn) -> Left:
    """Any state that a supervisor could be in."""
    ids = draw(st.lists(st.integers(1, 10_000), unique=True, max_size=8))
    workers = tuple(
        draw(
            st.builds(
                LeftWorker,
                st.builds(Names, st.just(id), texts, st.integers(1, 99), st.integers(0, 99), st.integers(0, 99)),
                st.integers(2, 2**22), st.integers(0, 2**50), st.dictionaries(st.sampled_from([1, 2]), inodes),
                st.floats(0, 1e12),
            ) | st.builds(LeftWorker, st.builds(Names, st.just(id), texts, st.integers(1, 99)))
        )
        for id in ids
    )
    generations = draw(st.dictionaries(texts, st.integers(1, 500), max_size=3))
    for worker in workers:
        if worker.names.generation:
            known = generations.get(worker.names.watcher, 0)
            generations[worker.names.watcher] = max(known, worker.names.generation)
    wanted = draw(st.dictionaries(texts, st.tuples(st.booleans(), st.integers(0, 99)), max_size=3))
    sockets = draw(st.dictionaries(texts, inodes, max_size=3))
    operations = draw(st.lists(
        st.builds(durable.LeftOperation, st.integers(1, 99), texts, texts), unique_by=lambda one: one.id, max_size=3))
    serial = max([0, *ids]) + draw(st.integers(1, 9))
    completed = draw(st.frozensets(texts, max_size=3))
    resized = {name: ("ann", 5.0) for name in wanted if draw(st.booleans())}
    seats = st.dictionaries(st.integers(100, 200), st.booleans(), min_size=1, max_size=3)
    spent = draw(st.dictionaries(texts, seats, max_size=3))
    return Left(
        workers, wanted, sockets, serial, generations, tuple(operations), completed, resized=resized, spent=spent)


class ReplayTests(SynchronousTestCase):
    """L{durable.replay} of what the constructors make."""

    def test_nothing(self) -> None:
        """No entries leave nothing."""
        self.assertEqual(replay([]), durable.NOTHING_LEFT)
        self.assertFalse(durable.NOTHING_LEFT)

    def test_intent(self) -> None:
        """A worker that was only about to be started has no pid."""
        left = replay([durable.intent(WEB)])
        self.assertEqual(left.workers, (LeftWorker(WEB),))
        self.assertEqual(left.nextId, 8)
        self.assertEqual(left.generations, {"web": 3})
        self.assertTrue(left)

    def test_spawned(self) -> None:
        """A worker that was started has its process and its pipes."""
        left = replay([durable.intent(WEB), durable.spawned(7, 4711, 99, {1: 5, 2: 6}, since=1.5)])
        self.assertEqual(left.workers, (LeftWorker(WEB, 4711, 99, {1: 5, 2: 6}, 1.5),))

    def test_gone(self) -> None:
        """A worker that ended is forgotten, its serial and generation are not."""
        left = replay([durable.intent(WEB), durable.gone(7)])
        self.assertEqual(left, Left(nextId=8, generations={"web": 3}))

    def test_spent(self) -> None:
        """A seat stays vacant until somebody is to take it, or the watcher is stopped."""
        spent = durable.spent("web", 1, True)
        self.assertEqual(replay([spent]).spent, {"web": {1: True}})
        self.assertEqual(replay([spent, durable.wanted("web", True, 3)]).spent, {"web": {1: True}})
        for after in durable.intent(WEB), durable.wanted("web", False, 3):
            self.assertEqual(replay([spent, after]).spent, {})

    def test_wanted(self) -> None:
        """The last wish counts."""
        left = replay([durable.wanted("web", True, 3), durable.wanted("web", False, 4)])
        self.assertEqual(left.wanted, {"web": (False, 4)})

    def test_completed(self) -> None:
        """Who ended with success did so until it is started again."""
        entries = [durable.wanted("job", True, 1), durable.wanted("job", False, 1), durable.completed("job")]
        self.assertEqual(replay(entries).completed, {"job"})
        self.assertEqual(replay([*entries, durable.wanted("job", True, 1)]).completed, frozenset())

    def test_socket(self) -> None:
        """One that is added later is among them; one of nonsense is not."""
        entries = [durable.sockets({"web": 7}), durable.socket("web/app/0", 8), durable.socket("web/app/1", 0)]
        self.assertEqual(durable.replay(entries).sockets, {"web": 7, "web/app/0": 8})

    def test_sockets(self) -> None:
        """The last set of sockets counts."""
        left = replay([durable.sockets({"a": 1}), durable.sockets({"b": 2})])
        self.assertEqual(left.sockets, {"b": 2})

    def test_serial(self) -> None:
        """A serial is never used again, whatever is said later."""
        self.assertEqual(replay([durable.serial(9), durable.serial(3)]).nextId, 9)

    def test_boolIsNoNumber(self) -> None:
        """JSON's true is no 1."""
        self.assertEqual(replay([{**durable.intent(WEB), "wid": True}]), durable.NOTHING_LEFT)

    def test_wholeEntries(self) -> None:
        """An entry with one bad part changes nothing at all."""
        bad = durable.intent(attrs.evolve(WEB, wid=0))
        self.assertEqual(replay([bad]), durable.NOTHING_LEFT)

    def test_dangerousPids(self) -> None:
        """0, 1 and negative pids, which kill(2) takes for many processes, are nobody's."""
        for pid in (-1, 0, 1, 2**22 + 1, "5", 5.0, None):
            left = replay([durable.intent(WEB), {**durable.spawned(7, 5, 9, {}), "pid": pid}])
            self.assertEqual(left.workers, (LeftWorker(WEB),))


class PropertyTests(SynchronousTestCase):
    """What holds for all entries."""

    @given(lefts())
    def test_snapshot(self, left: Left) -> None:
        """A snapshot adds up to what it was taken of, also through JSON."""
        self.assertEqual(replay(snapshot(left)), left)
        self.assertEqual(replay(json.loads(json.dumps(snapshot(left)))), left)

    @given(entries)
    def test_compaction(self, given: list[dict[str, Any]]) -> None:
        """Whatever the entries are, they can be replaced by the snapshot of their sum."""
        left = replay(given)
        self.assertEqual(replay(snapshot(left)), left)

    @given(entries, entries)
    def test_goingOn(self, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
        """A compaction in between changes nothing."""
        compacted = snapshot(replay(before))
        self.assertEqual(replay([*compacted, *after]), replay([*before, *after]))

    @given(st.lists(anything))
    def test_rubbish(self, given: list[Any]) -> None:
        """Rubbish never raises and leaves nothing."""
        self.assertEqual(replay(given), durable.NOTHING_LEFT)
