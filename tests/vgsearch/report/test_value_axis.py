"""Values stand on the scale of their domain, what has no place there below it, and ticks are round numbers."""

import math

import pytest

from vgsearch.report.value_axis import value_axis
from vgsearch.space.domains import ChoiceDomain, FloatDomain, IntDomain

LOG = FloatDomain(type="float", low=1e-5, high=1e-3, log=True)


def test_equal_ratios_are_equally_far_apart_on_a_log_domain_and_equal_differences_on_another():
    assert value_axis([1e-5, 1e-4, 1e-3], LOG).places == pytest.approx([0, 0.5, 1])
    assert value_axis([1, 2, 3], FloatDomain(type="float", low=1, high=5)).places == pytest.approx([0, 0.25, 0.5])


def test_one_value_has_the_axis_of_its_domain():
    axis = value_axis([1e-4], LOG)
    assert axis.places == pytest.approx([0.5])
    assert [text for _, text in axis.ticks] == ["1e-05", "0.0001", "0.001"]
    assert value_axis([0.7], None).places == pytest.approx([0.5])
    assert value_axis([0.0, 0.0], None).places == pytest.approx([0.5, 0.5])


def test_a_value_outside_the_domain_widens_the_axis():
    assert value_axis([1e-7, 1e-3], LOG).places == pytest.approx([0, 1])


def test_what_turns_a_setting_off_and_what_was_not_searched_stand_below_the_scale_each_at_its_own_place():
    alpha = FloatDomain(type="float", low=0.1, high=10, log=True, or_off=0)
    on, off, unknown = (axis := value_axis([1.0, 0, None], alpha)).places
    assert on == pytest.approx(0.5)
    assert unknown < off < 0
    assert axis.low == unknown
    assert {"0": off, "-": unknown}.items() <= {text: place for place, text in axis.ticks}.items()
    assert value_axis([1.0], alpha).low == 0


def test_choices_keep_the_order_of_their_domain_and_stand_at_equal_distances():
    domain = ChoiceDomain(type="choice", choices=[3, 4, 8, 16])
    axis = value_axis([16, 3], domain)
    assert axis.places == pytest.approx([7 / 8, 1 / 8])
    assert [text for _, text in axis.ticks] == ["3", "4", "8", "16"]
    assert value_axis(["svc", True, None], None).ticks[1:] == [(0.25, "svc"), (0.75, "True")]


@pytest.mark.parametrize(("low", "high"), [(0.125, 1), (1, 4), (2e-5, 2e-4), (1e-9, 1e3), (0.3, 0.4), (200, 200.5)])
@pytest.mark.parametrize("log", [True, False])
def test_two_to_ten_ticks_of_few_digits_lie_on_the_axis(low, high, log):
    ticks = value_axis([], FloatDomain(type="float", low=low, high=high, log=log)).ticks
    assert 2 <= len(ticks) <= 13
    for place, text in ticks:
        assert -1e-6 <= place <= 1 + 1e-6
        reached = low * (high / low) ** place if log else low + place * (high - low)
        assert math.isclose(float(text), reached, rel_tol=1e-5)


def test_ticks_of_whole_numbers_are_whole():
    axis = value_axis([1, 3], IntDomain(type="int", low=1, high=3))
    assert [text for _, text in axis.ticks] == ["1", "2", "3"]
