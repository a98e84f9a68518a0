"""The README's figures are those of benchmarks/results.json."""

import pytest

from benchmarks.readme_table import BEGIN, END, README, RESULTS, figures, replaced


def test_the_readme_has_the_figures_of_the_results():
    """After `make bench`: `make readme-figures`."""
    text = README.read_text(encoding="utf-8")
    assert replaced(text, figures(RESULTS)) == text


def test_only_what_is_between_the_markers_is_replaced():
    assert replaced(f"a\n{BEGIN}\nold\n{END}\nb", "new") == f"a\n{BEGIN}\nnew\n{END}\nb"


def test_a_readme_without_the_markers_is_refused():
    with pytest.raises(ValueError, match="figures"):
        replaced("no markers", "new")
