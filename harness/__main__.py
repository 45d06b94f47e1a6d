"""`python -m logitmus`."""

from logitmus.cli import main

main()
