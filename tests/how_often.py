"""How often a property is tried: a fifth of the full number in `make test`, or all of it."""

from hypothesis import HealthCheck, settings

FULL = "full"
"""The profile, chosen by `--hypothesis-profile full`."""

PART = 5
"""What is divided by otherwise. New examples are drawn in every run: what one run does not try,
another does."""

PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
"""A busy machine is no fault of what is tested."""

settings.register_profile(FULL, **PATIENT)
if settings.get_current_profile_name() == "default":  # in CI, Hypothesis takes another, as patient
    settings.register_profile("default", **PATIENT)


def examples(full):
    """How many of a full number."""
    return full if settings.get_current_profile_name() == FULL else max(1, full // PART)


def tried(full):
    """Settings of a property that takes long for each of so many examples."""
    return settings(
        max_examples=examples(full), deadline=None, suppress_health_check=list(HealthCheck)
    )
