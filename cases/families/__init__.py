"""The families, one module per idea; each exports `FAMILY`. `logitmus.cases.suite` lists them in order."""
