"""The tests of circustwist; C{python -m twisted.trial tests} runs them."""

from hypothesis import settings

# Machines are shared: how long one example takes says nothing.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
