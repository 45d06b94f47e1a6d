"""Backends: one module for each framework, each with a `BACKEND` value. Importing one imports no framework."""
