"""A Twisted application with a supervisor in it: twistd -ny application.py"""

from pathlib import Path

from twisted.application.service import Application

from circustwist.embedding import Settings, Socket, Supervisor, Watcher, stack

worker = Path(__file__).with_name("worker.py")
supervisor = Supervisor(stack(
    Settings(name="embedded"),
    Socket("web", host="127.0.0.1", port=0),
    Watcher("web", cmd=f"python3 {worker} $(circus.sockets.web)", use_sockets=True, numprocesses=2),
))
application = Application("example")
supervisor.asService().setServiceParent(application)
