"""A chart is well-formed, holds every point within its frame, and has colours for light and dark pages."""

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.chart import Panel, axis, svg
from benchmarks.picture import picture
from benchmarks.subject import GREENROOM, REFERENCE

SVG = "{http://www.w3.org/2000/svg}"
values = st.floats(1e-3, 1e6)
points = st.lists(st.tuples(values, values), min_size=1, max_size=30)


def drawn(text: str) -> tuple[list[float], list[float]]:
    """Return all coordinates of lines in the picture."""
    found = ET.fromstring(text).iter(f"{SVG}polyline")
    pairs = [pair.split(",") for line in found for pair in line.attrib["points"].split()]
    return [float(x) for x, _ in pairs], [float(y) for _, y in pairs]


@given(line=points, other=points, logarithmic=st.booleans(), limit=st.none() | values)
def test_every_point_lies_within_the_frame(
    line: list[tuple[float, float]], other: list[tuple[float, float]], logarithmic: bool, limit: float | None
) -> None:
    across, up = drawn(svg([Panel("<up>", "across", {"a": line, "b & c": other}, logarithmic, limit)]))
    assert len(across) == len(line) + len(other)
    assert all(0 <= x <= 400 for x in across)
    assert all(0 <= y <= 280 for y in up)


@given(st.lists(values, min_size=1), st.booleans())
def test_an_axis_has_room_for_all_values_and_some_ticks(numbers: list[float], logarithmic: bool) -> None:
    found = axis("x", numbers, logarithmic=logarithmic)
    assert all(-1e-9 <= found.share(number) <= 1 + 1e-9 for number in numbers)
    assert 2 <= len(found.ticks()) <= 12
    assert all(-1e-9 <= found.share(tick) <= 1 + 1e-9 for tick in found.ticks())


def test_a_higher_value_is_drawn_higher() -> None:
    for logarithmic in (False, True):
        _, up = drawn(svg([Panel("y", "x", {"a": [(1, 1), (2, 10), (3, 100)]}, logarithmic)]))
        assert up == sorted(up, reverse=True)
        assert len(set(up)) == 3


def test_the_picture_shows_both_programs_on_light_and_dark_pages() -> None:
    curves = {"curve-conversations": [8.0, 16.0], "curve-cores": [0.1, 0.2], "curve-p99": [1.0, 300.0]}
    both = {(key, name): values for key, values in curves.items() for name in (GREENROOM, REFERENCE)}
    text = picture(both)
    assert "prefers-color-scheme: dark" in text
    labels = [element.text for element in ET.fromstring(text).iter(f"{SVG}text")]
    assert labels.count("Greenroom") == labels.count("Reference") == 2
    assert len(drawn(text)[0]) == 8
    alone = picture({(key, GREENROOM): values for key, values in curves.items()})
    assert "Reference" not in alone
    assert picture({}) == ""
