"""The conformance pack: cases with what is right for each, to judge programs that have nothing of this project."""
