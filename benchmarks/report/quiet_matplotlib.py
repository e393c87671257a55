"""matplotlib without its notes: import it from here.

Where the home cannot be written to, it works from a temporary folder as well as ever, and says so in two long lines.
"""

import logging

logging.getLogger("matplotlib").setLevel(logging.ERROR)
from matplotlib import rc_context  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402

__all__ = ["Axes", "Figure", "Line2D", "rc_context"]
