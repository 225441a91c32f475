"""
A supervisor of processes and sockets, built on Twisted.

The package is divided into floors; a module imports from its own floor or a
lower one: L{circustwist.model} (frozen values), L{circustwist.logic} (state
machines from inputs to effects), L{circustwist.system} (one kind of I/O each),
L{circustwist.control} and L{circustwist.cli} (how people and programs reach
it), and on top C{service} and C{tap}, which wire everything.
"""

__version__ = "0.1.0"
