"""Backends: a module for each framework, each with a `BACKEND` value. Importing it imports no framework."""
