"""What is tested where."""

import sys

# The stand-in is made of Linux's own parts (prctl, /proc); a Mac has the real thing.
collect_ignore = ["standin"] if sys.platform == "darwin" else []
