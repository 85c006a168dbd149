"""One thin script a stage: read params and deps, call the library, write outs."""
