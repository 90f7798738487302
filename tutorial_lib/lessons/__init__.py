"""The lessons, a folder for each notebook: its source, its exercises and their checks, its figures, and wrong answers."""
