"""The C{circustwist} command."""
