"""Quantiles and powers agree with closed forms, tables and scipy."""

import math

import pytest

from videogan.metrics.distributions import (
    chi_square_quantile,
    f_quantile,
    power_of_t_test,
    regularised_beta,
    regularised_gamma,
)
from videogan.metrics.seed_interval import T_QUANTILES

PROBABILITIES = (0.025, 0.5, 0.95, 0.975)


def test_the_incomplete_beta_function_has_its_closed_forms_and_its_symmetry():
    for x in (0.0, 1e-6, 0.2, 0.5, 0.9, 1.0):
        assert regularised_beta(x, 3, 1) == pytest.approx(x**3)
        assert regularised_beta(x, 0.5, 0.5) == pytest.approx(2 / math.pi * math.asin(math.sqrt(x)))
        assert regularised_beta(x, 2.5, 40) == pytest.approx(1 - regularised_beta(1 - x, 40, 2.5))


def test_the_incomplete_gamma_function_has_its_closed_forms():
    for x in (0.0, 1e-6, 0.2, 3.0, 30.0, 300.0):
        assert regularised_gamma(x, 1) == pytest.approx(1 - math.exp(-x))
        assert regularised_gamma(x, 0.5) == pytest.approx(math.erf(math.sqrt(x)))


def test_quantiles_of_f_are_squares_of_student_and_inverses_of_each_other():
    for df, t in enumerate(T_QUANTILES, start=1):
        assert f_quantile(0.95, 1, df) == pytest.approx(t**2, abs=0.001 * t)
    assert f_quantile(0.975, 3, 8) == pytest.approx(1 / f_quantile(0.025, 8, 3))
    assert f_quantile(0.5, 7, 7) == pytest.approx(1)


def test_quantiles_and_powers_equal_scipys():
    stats = pytest.importorskip("scipy.stats", reason="an independent source for quantiles and powers")
    for p in PROBABILITIES:
        for df_1 in (1, 2, 5, 30, 300):
            assert chi_square_quantile(p, df_1) == pytest.approx(stats.chi2.ppf(p, df_1), rel=1e-9)
            for df_2 in (1, 2, 7, 50, 2000):
                assert f_quantile(p, df_1, df_2) == pytest.approx(stats.f.ppf(p, df_1, df_2), rel=1e-8)
    for n in (2, 3, 5, 17, 64, 394):
        for shift in (0.1, 1.0, 2.8, 4.0, 8.0):
            df, effect = 2 * n - 2, shift / math.sqrt(n / 2)
            critical = stats.t.ppf(0.975, df)
            power = stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift)
            assert power_of_t_test(n, effect) == pytest.approx(power, abs=1e-9)


def test_a_test_of_equal_means_errs_at_its_level_and_power_grows_with_seeds_and_with_the_effect():
    assert power_of_t_test(7, 0.0) == pytest.approx(0.05)
    powers = [power_of_t_test(n, 0.8) for n in range(2, 30)]
    assert powers == sorted(powers)
    assert powers[24] > 0.8 > powers[23]
    assert power_of_t_test(2, 30.0) == pytest.approx(1)


@pytest.mark.parametrize("n", [0, 1])
def test_a_test_needs_two_values_of_each(n: int):
    with pytest.raises(ValueError, match=f"at least 2 values of each, got {n}"):
        power_of_t_test(n, 1.0)


def test_arguments_outside_the_domain_are_refused():
    with pytest.raises(ValueError, match="0 <= x <= 1"):
        regularised_beta(1.1, 1, 1)
    with pytest.raises(ValueError, match="x >= 0"):
        regularised_gamma(-1.0, 1)
