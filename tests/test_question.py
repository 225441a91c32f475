"""Tests of questions and rounds: when they are answered, with looks that only exist on paper."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.effects import Probe
from circustwist.model.launch import Names
from circustwist.system.question import Question, Rounds

NAMES = Names(1, "web", 1)


class Paper:
    """A look whose end the test decides."""

    def __init__(self, done: Callable[[str], None]) -> None:
        self.done = done
        self.closed = False

    def close(self) -> None:
        self.closed = True


class QuestionCase(SynchronousTestCase):
    """A clock, and the answers that were given."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.answers: list[tuple[float, bool, str]] = []

    def ask(self, what: str = "ready", threshold: int = 1, interval: float = 1.0, timeout: float = 5.0) -> Question:
        """A question."""
        probe = Probe(NAMES, what, "tcp://h:1", interval, timeout, threshold)  # type: ignore[arg-type]
        return Question(self.clock, probe, lambda ok, why: self.answers.append((self.clock.seconds(), ok, why)))

    def assertOver(self, *answers: tuple[float, bool, str]) -> None:
        """These were the answers, and nothing waits any more."""
        self.assertEqual(self.answers, list(answers))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class QuestionTests(QuestionCase):
    """One question."""

    def test_ready(self) -> None:
        """Ready is answered at the first look that finds nothing wrong."""
        question = self.ask()
        question.allow(5)
        question.looked("Connection refused")
        self.assertTrue(question.open)
        question.looked("")
        question.looked("")
        self.assertOver((0, True, ""))
        self.assertFalse(question.open)

    def test_timeout(self) -> None:
        """When the time is over, the answer is the last problem."""
        question = self.ask()
        question.allow(5)
        question.looked("Connection refused")
        self.clock.advance(5)
        self.assertOver((5, False, "tcp://h:1: Connection refused"))

    def test_silence(self) -> None:
        """When no look has ended in time, that is the problem."""
        self.ask().allow(5)
        self.clock.advance(5)
        self.assertOver((5, False, "tcp://h:1: no answer within 5 s"))

    def test_threshold(self) -> None:
        """Live is answered after so many failures in a row; a good look begins the count again."""
        question = self.ask("live", threshold=3)
        for problem in ("a", "b", "", "c", "d"):
            question.looked(problem)
        self.assertEqual(self.answers, [])
        question.looked("e")
        self.assertOver((0, False, "tcp://h:1: e"))

    def test_extend(self) -> None:
        """An extension never shortens the time."""
        question = self.ask()
        question.allow(5)
        question.extend(1)
        self.clock.advance(3)
        question.extend(10)
        self.clock.advance(9.9)
        self.assertEqual(self.answers, [])
        self.clock.advance(0.2)
        self.assertEqual(len(self.answers), 1)
        question.extend(5)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close(self) -> None:
        """Who does not want to know any more is not told, and nothing is left; ends are done once."""
        ends: list[int] = []
        question = self.ask()
        question.allow(5)
        question.soon(lambda: question.answer(True))
        question.atEnd(lambda: ends.append(1))
        question.close()
        question.close()
        question.answer(True)
        self.clock.advance(10)
        self.assertOver()
        self.assertEqual(ends, [1])

    def test_soon(self) -> None:
        """What is known at once is answered in the next turn."""
        question = self.ask()
        question.soon(lambda: question.answer(True))
        self.assertEqual(self.answers, [])
        self.clock.advance(0)
        self.assertOver((0, True, ""))


class RoundsTests(QuestionCase):
    """Look after look."""

    def start(self, question: Question, limit: float = 2.0, delay: float = 0.0) -> list[Paper]:
        """Begin; the looks that were taken."""
        looks: list[Paper] = []

        def begin(done: Callable[[str], None]) -> Paper:
            looks.append(Paper(done))
            return looks[-1]

        Rounds(self.clock, question, begin, limit).start(delay)
        return looks

    def test_pause(self) -> None:
        """The pause begins when a look is over, and there is one look at a time."""
        looks = self.start(self.ask(interval=1), delay=0.5)
        self.clock.advance(0.4)
        self.assertEqual(looks, [])
        self.clock.advance(0.1)
        self.clock.advance(1.5)
        self.assertEqual(len(looks), 1)
        looks[0].done("no")
        self.clock.advance(0.9)
        self.assertEqual(len(looks), 1)
        self.clock.advance(0.1)
        looks[1].done("")
        self.assertOver((3.0, True, ""))

    def test_limit(self) -> None:
        """A look that takes too long is ended and has failed."""
        looks = self.start(self.ask("live", threshold=2))
        self.clock.advance(0)
        self.clock.advance(2)
        self.assertTrue(looks[0].closed)
        self.clock.pump([1, 2])
        self.assertEqual(len(looks), 2)
        self.assertOver((5.0, False, "tcp://h:1: no answer within 2 s"))

    def test_together(self) -> None:
        """Looks at many that live are taken a few at a time, hardly later than they would be."""
        for n in range(200):
            self.start(self.ask("live", interval=10), delay=n / 20)
        times = {call.getTime() for call in self.clock.getDelayedCalls()}
        self.assertEqual(len(times), 21)
        self.assertTrue(max(times) <= 10.5)

    def test_close(self) -> None:
        """Closing the question ends the look under way."""
        question = self.ask()
        looks = self.start(question)
        self.clock.advance(0)
        question.close()
        self.assertTrue(looks[0].closed)
        self.assertOver()

    def test_atOnce(self) -> None:
        """A look may be over before it has begun, and even then there is a pause."""
        count = [0]

        def begin(done: Callable[[str], None]) -> Paper:
            count[0] += 1
            done("no" if count[0] < 3 else "")
            return Paper(done)

        Rounds(self.clock, self.ask(interval=0), begin, 2.0).start(0)
        self.clock.pump([0, 0.04, 0.01])
        self.assertEqual(count, [2])
        self.clock.advance(0.05)
        self.assertOver((0.1, True, ""))

    def test_closedWithin(self) -> None:
        """Who closes the question while a look begins leaves no look behind."""
        question = self.ask()
        looks: list[Paper] = []

        def begin(done: Callable[[str], None]) -> Paper:
            question.close()
            looks.append(Paper(done))
            return looks[0]

        Rounds(self.clock, question, begin, 2.0).start(0)
        self.clock.advance(0)
        self.assertTrue(looks[0].closed)
        self.assertOver()
