"""The C{circus} command of C{twistd} and C{twist}."""

from twisted.application.service import ServiceMaker

circus = ServiceMaker(
    "circustwist",
    "circustwist.tap",
    "A supervisor of processes and sockets.",
    "circus",
)
