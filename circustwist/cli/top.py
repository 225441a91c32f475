"""C{circustwist top}: watchers, workers and sockets in a terminal, to look at and to act upon; needs textual."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Input, Static

from ..control.blocking import Control, ControlError
from ..control.boxes import BoxError
from . import show
from .board import ACTIONS, COLUMNS, VIEWS, Action, Picture, Row, arranged
from .find import NoSupervisor, Session

PERIOD = 1.0
"""Seconds between two looks."""

LONGEST = 60.0
"""Seconds that somebody waits here for the end of what he has begun."""

FAULTS = (ControlError, NoSupervisor, OSError, BoxError)


class Source(Protocol):
    """Where pictures come from; called in threads, one at a time."""

    def look(self) -> Picture:
        """What there is now."""

    def act(self, command: str, **arguments: Any) -> str:
        """Give a command, and what became of it in one line."""

    def close(self) -> None:
        """Ask no more."""


class Remote:
    """A supervisor, found as every command finds it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._control: Control | None = None

    def _call(self, command: str, **arguments: Any) -> dict[str, Any]:
        if self._control is None:
            self._control = self._session.open()
        try:
            return self._control.call(command, **arguments)
        except (OSError, BoxError):
            self.close()
            raise

    def look(self) -> Picture:
        """See L{Source}."""
        stack = self._call("status", detail=True)["stack"]
        return Picture(stack, self._call("stats", detail=True)["sample"])

    def act(self, command: str, **arguments: Any) -> str:
        """See L{Source}."""
        with self._session.open() as control:
            control.timeout = self._session.timeout or LONGEST
            id = control.call(command, **arguments)["operation"]
            return show.operation(control.call("operation", id=id, waiting=True)["operations"][0])

    def close(self) -> None:
        """See L{Source}."""
        if self._control is not None:
            self._control.close()
            self._control = None


class Confirm(ModalScreen[bool]):
    """A question that is answered by yes or no."""

    BINDINGS: ClassVar = [
        Binding("y,enter", "answer(True)", "Yes"), Binding("n,escape,q", "answer(False)", "No")]
    CSS = "Confirm { align: center middle; } Confirm Static { width: auto; padding: 1 2; border: round $accent; }"

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """The question."""
        yield Static(Text(f"{self._question}\n\ny yes    n no"))

    def action_answer(self, answer: bool) -> None:
        """It is answered."""
        self.dismiss(answer)


class Top(App[None]):
    """
    The terminal.

    @ivar view: which table is shown.
    @ivar picture: what was told last.
    """

    TITLE = "circustwist top"
    ENABLE_COMMAND_PALETTE = False
    CSS = "#filter { display: none; } #filter.shown { display: block; } #head, #said { height: 1; padding: 0 1; }"
    BINDINGS: ClassVar = [
        Binding("1,w", "view('watchers')", "Watchers"), Binding("2,p", "view('workers')", "Workers"),
        Binding("3,c", "view('sockets')", "Sockets"), Binding("o", "order", "Sort"),
        Binding("O", "reverse", "Reverse"), Binding("slash", "filter", "Filter"),
        Binding("escape", "unfilter", "", show=False),
        *(Binding(action.key, f"act('{action.command}')", action.command.title()) for action in ACTIONS),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, source: Source, period: float = PERIOD) -> None:
        super().__init__()
        self._source = source
        self._period = period
        self.view = VIEWS[0]
        self.picture: Picture | None = None
        self._order = (-1, False)
        self._rows: list[Row] = []
        self._looking = False

    def compose(self) -> ComposeResult:
        """A line about the stack, the table, what was said last."""
        yield Static(id="head")
        yield Input(placeholder="only lines with this text", id="filter")
        yield DataTable(id="table", cursor_type="row", zebra_stripes=True)
        yield Static(id="said")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look."""
        self.action_view(self.view)
        self.set_interval(self._period, self.look)
        self.look()

    # Looking

    def look(self) -> None:
        """Ask for a picture, if nobody has one on the way."""
        if not self._looking:
            self._looking = True
            self._later(self._source.look, self._looked)

    def _later(self, ask: Callable[[], Any], told: Callable[[Any], None]) -> None:
        """Ask in a thread, and tell its answer or its error here."""

        def run() -> None:
            try:
                answer = ask()
            except FAULTS as error:
                answer = error
            self.call_from_thread(told, answer)

        self.run_worker(run, thread=True)

    def _looked(self, answer: Picture | Exception) -> None:
        self._looking = False
        if isinstance(answer, Exception):
            self.say(str(answer))
            return
        if self.picture is None:
            self.say("")
        self.picture = answer
        self.query_one("#head", Static).update(Text(answer.head()))
        self.draw()

    def say(self, text: str) -> None:
        """Show a line below the table."""
        self.query_one("#said", Static).update(Text(show.safe(text)))

    # The table

    @property
    def table(self) -> DataTable[Text]:
        """The table."""
        return self.query_one(DataTable)

    def draw(self) -> None:
        """Show the picture, as little anew as possible; the cursor stays on its line."""
        if self.picture is None:
            return
        rows = arranged(self.picture.rows(self.view), self.query_one("#filter", Input).value, *self._order)
        before, self._rows = self._rows, rows
        if [row.key for row in before] == [row.key for row in rows]:
            for at, (old, new) in enumerate(zip(before, rows, strict=True)):
                for column, (was, now) in enumerate(zip(old.cells, new.cells, strict=True)):
                    if was != now:
                        self.table.update_cell_at((at, column), Text(now), update_width=True)  # type: ignore[arg-type]
            return
        self._redraw(before)

    def _redraw(self, before: list[Row]) -> None:
        at = self.table.cursor_row
        meant = before[at].key if at < len(before) else ""
        self.table.clear()
        for row in self._rows:
            self.table.add_row(*map(Text, row.cells))
        self.table.move_cursor(row=next((n for n, row in enumerate(self._rows) if row.key == meant), 0))

    def action_view(self, view: str) -> None:
        """Show another table."""
        self.view, self._order, self._rows = view, (-1, False), []
        self.table.clear(columns=True)
        for column in COLUMNS[view]:
            self.table.add_column(column)
        self.table.focus()
        self.draw()

    def action_order(self) -> None:
        """Sort by the next column; numbers begin with the largest."""
        column = self._order[0] + 1
        if column >= len(COLUMNS[self.view]):
            self._order = (-1, False)
        else:
            self._order = (column, bool(self._rows) and not isinstance(self._rows[0].order[column], str | tuple))
        self._sorted()

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self._order = (max(0, self._order[0]), not self._order[1])
        self._sorted()

    def _sorted(self) -> None:
        column, descending = self._order
        name = COLUMNS[self.view][column] if column >= 0 else ""
        order = ", largest first" if descending else ""
        self.say(f"sorted by {name}{order}" if name else "as the configuration has it")
        self.draw()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """Sort by the column that was clicked; again, the other way round."""
        column = event.column_index
        self._order = (column, not self._order[1] if column == self._order[0] else False)
        self._sorted()

    # The filter

    def action_filter(self) -> None:
        """Type a text that lines must have."""
        self.query_one("#filter").add_class("shown")
        self.query_one("#filter").focus()

    def action_unfilter(self) -> None:
        """Show every line."""
        self.query_one("#filter", Input).value = ""
        self.on_input_submitted()

    def on_input_changed(self) -> None:
        """Another text."""
        self.draw()

    def on_input_submitted(self) -> None:
        """The text is complete."""
        field = self.query_one("#filter", Input)
        field.set_class(bool(field.value), "shown")
        self.table.focus()

    # Acting

    def action_act(self, command: str) -> None:
        """Do something to the line at the cursor, after a question."""
        action = next(action for action in ACTIONS if action.command == command)
        at = self.table.cursor_row
        if self.view not in action.views or not 0 <= at < len(self._rows):
            self.say(f"{command} is for {' and '.join(action.views)}")
            return
        self._ask(action, self._rows[at].key)

    def _ask(self, action: Action, key: str) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self.say(f"{action.command} {key} ...")
                self._later(lambda: self._source.act(action.command, **action.arguments(key)), self._acted)

        self.push_screen(Confirm(action.effect(show.safe(key))), answered)

    def _acted(self, answer: str | Exception) -> None:
        self.say(str(answer))
        self.look()


def run(session: Session) -> int:
    """Show it until somebody leaves."""
    source = Remote(session)
    try:
        source.look()
        Top(source).run()
    finally:
        source.close()
    return 0
