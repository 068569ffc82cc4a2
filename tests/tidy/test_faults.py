"""The faults of `make mutants` fit the source as it is. That tests catch them, it shows itself."""

from __future__ import annotations

import pytest

from scripts import mutants

FAULTS = mutants.load()


def test_there_are_faults_enough_and_each_has_a_name_and_an_origin() -> None:
    names = {fault.name for fault in FAULTS}
    assert len(names) == len(FAULTS) >= 70
    assert all(fault.origin for fault in FAULTS)


def test_every_fault_can_be_put_in() -> None:
    """Where one cannot, its source has moved: adjust the fault."""
    misfits = []
    for fault in FAULTS:
        source = (mutants.ROOT / mutants.CORE / fault.file).read_text()
        try:
            if fault.put_into(source) == source:
                misfits.append(f"{fault.name}: changes nothing")
        except mutants.CannotTry as error:
            misfits.append(str(error))
    assert not misfits, "\n".join(misfits)


@pytest.mark.parametrize("source", ["x = 2\n", "x = 1\nx = 1\n", "x = 1\n"])
def test_a_fault_that_does_not_fit_is_refused(source: str) -> None:
    """Its text is not there, or twice, or the result is no Python."""
    fault = mutants.Fault("a fault", "paper", "a.py", "x = 1\n", "x = (\n", ())
    with pytest.raises(mutants.CannotTry):
        fault.put_into(source)


def test_the_tests_that_are_tried_first_are_there() -> None:
    for name in {name for fault in FAULTS for name in fault.tests}:
        assert (mutants.ROOT / name).is_file(), name
