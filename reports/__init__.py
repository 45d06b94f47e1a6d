"""Readers of a run's events: terminal, HTML, JUnit, Markdown, JSON. The engine knows none of them."""
