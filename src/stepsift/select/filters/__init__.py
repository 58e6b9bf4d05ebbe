"""What keeps a trace out of the running whatever its score; one file per filter, `words.py` for what they share.

`apply_filters` gives the traces that are dropped, each with its reason and detail, in the order `lengths`, `thinking`,
`loops`, `language`, `contamination`, `near_duplicates`, `worst`. `check_clean` is the last look at what was chosen.
"""

from stepsift.select.filters.apply import apply_filters
from stepsift.select.filters.clean import check_clean

__all__ = ["apply_filters", "check_clean"]
