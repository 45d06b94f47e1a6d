"""How is a result shown in a browser? Self-contained pages: no network, no scripts from elsewhere.

`report` writes the page of a run and `conventions_page` the table of conventions. The templates escape every value
that comes from data (`pages`).
"""
