"""The colours of the terminal, each legible on black and on white, as the background is unknown; none is the only sign of anything.

They are of the 256 colours that no theme changes. Contrast is at least 3.5 to 1 against #1e1e1e and against white.
"""

ACCENT = "color(31)"
GOOD = "color(29)"
WARNING = "color(166)"
BAD = "color(196)"
GROUPS = (ACCENT, "color(164)", WARNING, "color(64)", BAD, "color(99)")
"""Classes or codes of samples, which repeat the colours if there are more."""
