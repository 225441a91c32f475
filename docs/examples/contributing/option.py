"""The option is read, explained and in force."""

from circustwist.embedding import fromText
from circustwist.model.launch import Names, plan
from circustwist.model.reference import entries

watcher = fromText("[watcher:web]\ncmd = web\nlang = C.UTF-8\n").watchers[0]
assert plan(watcher, Names(1, "web", 1), "mark", {}, {}).env["LANG"] == "C.UTF-8"
assert "lang" in {entry.name for entry in entries()}
