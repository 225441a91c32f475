"""The tests of circustwist; C{python -m twisted.trial tests} runs them."""
