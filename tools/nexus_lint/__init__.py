"""The checks of nexus's sources that no compiler makes. tools/lint.py runs them; STYLE and TESTING section 1 ask for them."""
