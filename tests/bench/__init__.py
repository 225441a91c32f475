"""
Benchmarks, run by hand: C{python -m tests.bench [--peers VENV] [NAME...]}.

What is measured stands beside a floor that was taken in the same run, so that
the ratio says something on any machine.  Nothing here fails for being slow.
"""
