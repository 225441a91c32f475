"""
For people who test their stacks.

L{MemoryStack} shows what would happen, without a process, a socket or a wait.
L{StackTestCase} runs the real thing inside a test case, and leaves nothing of
it behind.  Both work under trial and under pytest.
"""

from .case import RunningStack, StackTestCase, fresh
from .memory import MemoryStack
from .text import memoryStack

__all__ = ["MemoryStack", "RunningStack", "StackTestCase", "fresh", "memoryStack"]
