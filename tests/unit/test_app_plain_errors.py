"""What comes out of a task group is the error that its reader can act on."""

from __future__ import annotations

import pytest

from retrain.app.plain_errors import plainly
from retrain.errors import BusError, ConfigError, RetrainError


def grouped(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("tasks", [ExceptionGroup("inner", list(errors))])


def test_one_error_of_ours_comes_out_as_itself() -> None:
    with pytest.raises(ConfigError, match="the port is taken"), plainly():
        raise grouped(ConfigError("the port is taken"))


def test_of_several_errors_of_ours_the_first_comes_out() -> None:
    with pytest.raises(RetrainError, match="first") as caught, plainly():
        raise grouped(BusError("first"), ConfigError("second"))

    assert isinstance(caught.value, BusError)


def test_a_bug_among_them_keeps_the_whole_group() -> None:
    with pytest.raises(ExceptionGroup) as caught, plainly():
        raise grouped(ConfigError("ours"), KeyError("a bug"))

    assert caught.group_contains(KeyError)


def test_what_is_no_group_passes_through() -> None:
    with pytest.raises(KeyError), plainly():
        raise KeyError("x")
