"""
What comes from outside, changed at random: C{python -m tests.fuzz [SECONDS] [TARGET...]} for long runs by hand.

Each target takes bytes and raises nothing, logs no failure and takes less than a second, whatever they are.  Inputs
begin as those in C{tests/corpus/TARGET/}; one that finds something is kept there.
"""
