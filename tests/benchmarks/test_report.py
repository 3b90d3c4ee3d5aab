"""The report says what the samples say: medians, spreads, ratios, and whether a budget is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.budgets import AtLeast, AtMost, Both, Budget, RatioAtLeast, RatioAtMost, quantity
from benchmarks.experiments import EXPERIMENTS, Experiment, returns
from benchmarks.figures import FIGURES, KEYS, Figure
from benchmarks.report import missed, page, percentile, rows, summarise, table
from benchmarks.subject import GREENROOM, LAUNCHED, REFERENCE

REPLY = Figure("reply", "a reply", "ms", AtMost(8))
START = Figure("start", "the start", "ms", RatioAtMost(0.6, aim=0.4))
KILL = Figure("kill", "a kill", "ms", AtMost(50), "p99")
EXTRA = Figure("extra", "for proportion", "µs", None)

samples = st.lists(st.floats(min_value=0.001, max_value=1e6), min_size=1, max_size=200)


def test_the_median_stands_with_its_spread_and_number() -> None:
    found = summarise([3.0, 1.0, 20.0])
    assert found is not None
    assert (found.value, found.low, found.high, found.count) == (3.0, 1.0, 20.0, 3)
    assert found.text("ms") == "3 ms (1–20 ms, n = 3)"  # noqa: RUF001


def test_a_single_sample_has_no_spread() -> None:
    found = summarise([56.13])
    assert found is not None
    assert found.text("s") == "56.1 s"


def test_nothing_comes_of_no_samples() -> None:
    assert summarise([]) is None


def test_a_figure_may_ask_for_its_99th_percentile() -> None:
    values = [float(number) for number in range(1, 201)]
    assert percentile(values, 99) == 198.0
    found = summarise(values, "p99")
    assert found is not None
    assert found.value == 198.0


@given(samples)
def test_a_percentile_is_a_sample_that_enough_others_do_not_exceed(values: list[float]) -> None:
    found = percentile(values, 99)
    assert found in values
    assert sum(value <= found for value in values) >= 0.99 * len(values)


@given(samples)
def test_the_value_lies_within_the_spread(values: list[float]) -> None:
    found = summarise(values)
    assert found is not None
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize(
    ("budget", "value", "reference", "met"),
    [
        (AtMost(8), 8.0, None, True),
        (AtMost(8), 8.1, 100.0, False),
        (AtLeast(50_000), 50_000.0, None, True),
        (AtLeast(50_000), 49_999.0, 1.0, False),
        (RatioAtMost(0.6), 60.0, 100.0, True),
        (RatioAtMost(0.6), 61.0, 100.0, False),
        (RatioAtMost(0.6), 1.0, None, None),
        (RatioAtLeast(3), 30.0, 10.0, True),
        (RatioAtLeast(3), 29.0, 10.0, False),
        (RatioAtLeast(3), 29.0, None, None),
        (Both(AtMost(5), RatioAtMost(1.0)), 5.0, 5.0, True),
        (Both(AtMost(5), RatioAtMost(1.0)), 5.0, 4.0, False),
        (Both(AtMost(5), RatioAtMost(1.0)), 6.0, 7.0, False),
        (Both(AtMost(5), RatioAtMost(1.0)), 6.0, None, False),
        (Both(AtMost(5), RatioAtMost(1.0)), 5.0, None, None),
    ],
)
def test_a_budget_is_met_or_not_or_undecided(
    budget: Budget, value: float, reference: float | None, met: bool | None
) -> None:
    assert budget.met(value, reference) is met


@pytest.mark.parametrize(
    ("budget", "value", "verdict"),
    [
        (AtMost(8, aim=5), 5.0, "aim met"),
        (AtMost(8, aim=5), 5.1, "met"),
        (AtMost(8, aim=5), 8.1, "not met"),
        (AtMost(8), 1.0, "met"),
        (AtLeast(8), 9.0, "met"),
        (RatioAtMost(0.5, aim=0.3), 30.0, "aim met"),
        (RatioAtMost(0.5, aim=0.3), 50.0, "met"),
        (RatioAtLeast(3, aim=5), 500.0, "aim met"),
        (RatioAtLeast(3, aim=5), 499.0, "met"),
        (Both(AtMost(8, aim=5), RatioAtMost(1.0)), 5.0, "aim met"),
        (Both(AtMost(8, aim=5), RatioAtMost(0.06)), 6.0, "met"),
        (Both(AtMost(8, aim=5), RatioAtMost(0.04)), 5.0, "not met"),
    ],
)
def test_an_aim_that_is_reached_is_told(budget: Budget, value: float, verdict: str) -> None:
    figure = Figure("x", "x", "ms", budget)
    (row,) = rows([figure], {("x", GREENROOM): [value], ("x", REFERENCE): [100.0]})
    assert row.verdict == verdict


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (AtMost(8, aim=5), "≤ 8 ms (aim 5 ms)"),
        (RatioAtLeast(3, aim=5), "≥ 3 \u00d7 reference (aim 5 \u00d7)"),
        (Both(AtMost(5, aim=3), RatioAtMost(1.0)), "≤ 5 ms (aim 3 ms) and ≤ 1.0 \u00d7 reference"),
    ],
)
def test_a_budget_says_what_is_aimed_at(budget: Budget, text: str) -> None:
    assert budget.text("ms") == text


def test_a_row_may_be_compared_with_another_figure_or_another_subject() -> None:
    samples = {
        ("start", GREENROOM): [50.0],
        ("start", REFERENCE): [100.0],
        ("start", LAUNCHED): [200.0],
        ("silent", GREENROOM): [10.0],
    }
    launched = Figure("launched", "", "ms", None, measured_as="start", compared_with="start", rival=LAUNCHED)
    silent = Figure("silent", "", "ms", RatioAtMost(0.2, aim=0.1), compared_with="start")
    found = rows([launched, silent], samples)
    assert [row.ratio for row in found] == [0.25, 0.1]
    assert found[1].verdict == "aim met"


def test_every_figure_that_a_row_borrows_from_is_measured() -> None:
    for figure in FIGURES:
        assert {figure.measured_as, figure.compared_with} - {None} <= set(KEYS)


def test_rows_hold_the_verdict_and_the_ratio() -> None:
    measured = {
        ("reply", GREENROOM): [9.0, 10.0, 11.0],
        ("reply", REFERENCE): [100.0],
        ("start", GREENROOM): [50.0],
        ("kill", REFERENCE): [1.0],
        ("extra", GREENROOM): [1.0],
    }
    reply, start, kill, extra = rows([REPLY, START, KILL, EXTRA], measured)
    assert (reply.verdict, reply.ratio) == ("not met", 0.1)
    assert (start.verdict, start.ratio) == ("undecided", None)
    assert (kill.verdict, kill.ratio) == ("not measured", None)
    assert extra.verdict == "no budget"
    assert missed([reply, start, kill, extra]) == [reply]


def test_a_reference_of_zero_gives_no_ratio() -> None:
    (row,) = rows([REPLY], {("reply", GREENROOM): [1.0], ("reply", REFERENCE): [0.0]})
    assert row.ratio is None
    assert row.verdict == "met"


def test_the_table_lines_up_and_names_every_figure() -> None:
    lines = table(rows(FIGURES, {("reply", GREENROOM): [2.5], ("reply", REFERENCE): [75.0]})).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == len(FIGURES) + 2
    (reply,) = [line for line in lines if line.startswith("| trivial reply")]
    cells = [cell.strip() for cell in reply.strip("|").split("|")]
    assert cells[1:] == ["≤ 8 ms", "2.50 ms", "75 ms", "0.0333", "met"]


def test_the_page_has_the_table_and_its_sections() -> None:
    text = page(rows([REPLY], {}), {"Machine": ["2 cores"], "Notes": ["one", "two"]})
    assert text.startswith("# Benchmarks\n")
    assert "| a reply |" in text
    assert "## Machine\n\n* 2 cores\n" in text
    assert text.endswith("## Notes\n\n* one\n* two\n")
    assert "![]" not in text
    shown = page(rows([REPLY], {}), {"Machine": ["2 cores"]}, "![](a.svg)")
    assert "|\n\n![](a.svg)\n\n## Machine" in shown


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.234, "ms", "0.23 ms"),
        (12.34, "ms", "12.3 ms"),
        (324.4, "ms", "324 ms"),
        (8.0, "ms", "8 ms"),
        (0.0, "%", "0 %"),
        (50_000.0, "/s", "50,000 /s"),
        (128.0, "", "128"),
    ],
)
def test_quantities_have_about_three_digits(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text  # type: ignore[arg-type]


def test_every_experiment_fills_rows_of_the_table_and_no_row_is_filled_twice() -> None:
    filled = [key for experiment in EXPERIMENTS for key in experiment.figures]
    assert len(filled) == len(set(filled))
    own = {figure.key for figure in FIGURES if figure.subject == GREENROOM}
    assert own | {figure.source for figure in FIGURES if figure.subject != GREENROOM} == set(filled)
    assert len(KEYS) == len(set(KEYS))


def test_each_row_is_filled_by_an_experiment_in_which_its_subjects_take_part() -> None:
    for figure in FIGURES:
        (experiment,) = [one for one in EXPERIMENTS if figure.source in one.figures]
        assert experiment.takes(figure.subject)
    of_others = [figure for figure in FIGURES if " on CPython " in figure.subject]
    for figure in FIGURES:
        (experiment,) = [one for one in EXPERIMENTS if (figure.compared_with or figure.key) in one.figures]
        assert experiment.takes(figure.rival)
    assert of_others
    assert [one.takes(of_others[0].subject) for one in EXPERIMENTS if one.measure is returns] == [False]


@pytest.mark.parametrize(
    ("reference_rounds", "of_reference", "quick", "times"),
    [(None, True, False, 9), (None, True, True, 2), (1, True, False, 1), (1, True, True, 0), (1, False, True, 2)],
)
def test_the_reference_sits_out_what_takes_it_long(
    reference_rounds: int | None, of_reference: bool, quick: bool, times: int
) -> None:
    experiment = Experiment(lambda _: {}, (), rounds=9, quick_rounds=2, reference_rounds=reference_rounds)
    assert experiment.repetitions(of_reference=of_reference, quick=quick) == times
