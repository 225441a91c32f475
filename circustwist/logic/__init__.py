"""State machines from inputs to effects; how an effect is done is not known here."""
