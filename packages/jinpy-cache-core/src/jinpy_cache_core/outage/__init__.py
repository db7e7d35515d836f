"""What is known about a store in trouble: pure decisions, with the clock and chance injected."""
